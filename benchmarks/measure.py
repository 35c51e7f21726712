"""One measurement in a process of its own: `python -m benchmarks.measure MODULE.FUNCTION JSON`."""

from __future__ import annotations

import importlib
import json
import logging
import sys


def main() -> None:
    """Print the figures of the function named, called with the JSON's members, as JSON."""
    module, _, function = sys.argv[1].partition(".")
    logging.getLogger("kognitos_async").setLevel(logging.ERROR)
    figures = getattr(importlib.import_module(f"benchmarks.{module}"), function)(**json.loads(sys.argv[2]))
    print(json.dumps(figures))


if __name__ == "__main__":
    main()
