"""Versions and machine of a run."""

from __future__ import annotations

import importlib.metadata
import os
import platform
from pathlib import Path

PACKAGES = (
    "kognitos-async",
    "aiohttp",
    "msgspec",
    "anyio",
    "httpx",
    "sniffio",
    "pydantic",
    "openapi-python-client",
    "uvloop",
    "openai",
    "apify-client",
    "databricks-sdk",
    "aiobotocore",
    "botocore",
    "pyarrow",
)


def versions() -> str:
    """Versions of Python and the measured packages."""
    return ", ".join(
        [f"Python {platform.python_version()}", *(f"{name} {_version(name)}" for name in PACKAGES)]
    )


def machine() -> str:
    """Processor, cores, memory, kernel, and load of the machine."""
    facts = [_first("/proc/cpuinfo", "model name") or platform.processor() or platform.machine()]
    facts.append(f"{os.cpu_count()} cores")
    if memory := _first("/proc/meminfo", "MemTotal"):
        facts.append(f"{int(memory.split()[0]) / 1024**2:.1f} GB of memory")
    facts.append(f"{platform.system()} {platform.release()}")
    facts.append("load average at the start " + " ".join(f"{load:.2f}" for load in os.getloadavg()))
    return ", ".join(facts)


def _version(package: str) -> str:
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return "not installed"


def _first(path: str, field: str) -> str:
    file = Path(path)
    if not file.exists():
        return ""
    lines = (line for line in file.read_text().splitlines() if line.startswith(field))
    return next(lines, "").partition(":")[2].strip()
