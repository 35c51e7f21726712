"""What all commands share: how a coroutine becomes a command, and what its errors look like."""

from __future__ import annotations

import asyncio
import sys
from typing import TYPE_CHECKING

import typer

from kognitos_async.errors import KognitosError

if TYPE_CHECKING:
    from collections.abc import Coroutine, Iterator
    from types import ModuleType

INTERRUPTED = 130
"""The exit code of a command ended by Ctrl-C, as shells give it."""


def run_command(work: Coroutine[object, object, int]) -> None:
    """Run `work` and raise `typer.Exit` with its exit code.

    An error of the library or of the operating system is one line on stderr and exit code 1.
    """
    code = 1
    try:
        code = asyncio.run(work)
    except* (KognitosError, OSError) as failed:
        # Tasks of a group often fail for one reason: said once.
        for line in dict.fromkeys(_lines(failed)):
            complain(line)
    except* KeyboardInterrupt:
        code = INTERRUPTED
    raise typer.Exit(code)


def complain(line: str) -> None:
    """One line on stderr."""
    print(f"kognitos: {line}", file=sys.stderr)


def emulator() -> ModuleType:
    """`kognitos_async.testing`, or one line on stderr and exit code 2 when its extra is not installed."""
    try:
        from kognitos_async.testing import server  # noqa: F401, PLC0415 - jsonschema may be missing
    except ImportError as missing:
        complain(str(missing))
        raise typer.Exit(2) from None
    from kognitos_async import testing  # noqa: PLC0415

    return testing


def _lines(failed: BaseException) -> Iterator[str]:
    if isinstance(failed, BaseExceptionGroup):
        for error in failed.exceptions:
            yield from _lines(error)
    else:
        yield " ".join(str(failed).split()) or type(failed).__name__
