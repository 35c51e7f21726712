"""The tests, as a package: this file is run before anything else of theirs."""

import os
import sys

# Each process of xdist compiles the tests, and the plugins of pytest with all of their packages. That takes
# longer than to import them. Where the environment forbids bytecode, each would do so in each run.
sys.dont_write_bytecode = False
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
