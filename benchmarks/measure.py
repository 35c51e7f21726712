"""One measurement in its own process.

python -m benchmarks.measure MODULE.FUNCTION JSON LOOP [sample]
"""

from __future__ import annotations

import importlib
import json
import logging
import os
import sys
from collections import Counter

from benchmarks.measuring import Settings


def main() -> None:
    """Call the given function with the members of the JSON, and print its numbers or its samples as JSON."""
    name, arguments, Settings.loop, *options = sys.argv[1:]
    if "sample" in options:
        Settings.samples = Counter()
    module, _, function = name.partition(".")
    logging.getLogger("kognitos_async").setLevel(logging.ERROR)
    numbers = getattr(importlib.import_module(f"benchmarks.{module}"), function)(**json.loads(arguments))
    print(json.dumps(numbers if Settings.samples is None else Settings.samples), flush=True)
    os._exit(0)  # threads of a client's extension may abort the process as the interpreter ends


if __name__ == "__main__":
    main()
