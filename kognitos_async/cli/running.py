"""What all commands share: how a coroutine becomes a command, and what its errors look like."""

from __future__ import annotations

import asyncio
import sys
from contextlib import contextmanager
from typing import TYPE_CHECKING

import typer

from kognitos_async.errors import KognitosError

if TYPE_CHECKING:
    from collections.abc import Coroutine, Iterator
    from types import ModuleType

INTERRUPTED = 130
"""The exit code of a command ended by Ctrl-C, as shells give it."""


def run_command(work: Coroutine[object, object, int]) -> None:
    """Run `work` and raise `typer.Exit` with its exit code, inside `errors_told`."""
    with errors_told():
        raise typer.Exit(asyncio.run(work))


@contextmanager
def errors_told() -> Iterator[None]:
    """A block that ends in `typer.Exit` when something expected goes wrong in it.

    An error of the library or of the operating system is one line on stderr and exit code 1, Ctrl-C is exit
    code 130. Commands without a coroutine use it as it is.
    """
    code = 0
    try:
        yield
    except* (KognitosError, OSError) as failed:
        # Tasks of a group often fail for one reason: said once.
        for line in dict.fromkeys(lines_of(failed)):
            complain(line)
        code = 1
    except* KeyboardInterrupt:
        code = INTERRUPTED
    if code:
        raise typer.Exit(code)


def complain(line: str) -> None:
    """One line on stderr."""
    print(f"kognitos: {line}", file=sys.stderr)


def emulator() -> ModuleType:
    """`kognitos_async.testing`, or one line on stderr and exit code 2 when its extra is not installed."""
    try:
        from kognitos_async.testing import server  # noqa: F401, PLC0415 - jsonschema may be missing
    except ImportError as failed:
        missing = failed.__cause__
        if not isinstance(missing, ModuleNotFoundError):
            raise
        package = (missing.name or "").partition(".")[0]
        complain(f"{package} is missing: pip install 'kognitos-async[cli,testing]'")
        raise typer.Exit(2) from None
    from kognitos_async import testing  # noqa: PLC0415

    return testing


def lines_of(failed: BaseException) -> Iterator[str]:
    """What an error, or each error of a group, says, in one line each."""
    if isinstance(failed, BaseExceptionGroup):
        for error in failed.exceptions:
            yield from lines_of(error)
    else:
        yield " ".join(str(failed).split()) or type(failed).__name__
