"""What an import costs."""

from __future__ import annotations

import importlib
import time


def measure(*, module: str) -> dict[str, float]:
    """Seconds that importing `module` takes in a fresh process."""
    began = time.perf_counter()
    importlib.import_module(module)
    return {"import ms": 1000 * (time.perf_counter() - began)}
