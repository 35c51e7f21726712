"""How a command runs: its exit code, its errors in one line each, and what signals do."""

from __future__ import annotations

import os
import re
import signal
import sys
from contextlib import contextmanager
from typing import TYPE_CHECKING

import typer

from kognitos_async.cli.text import one_line
from kognitos_async.errors import KognitosError

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Iterator
    from types import ModuleType

FAILED = 1
WRONG_USE = 2
SOME_FAILED = 3
"""Some runs did not succeed."""
INTERRUPTED = 130
"""Ended by Ctrl-C or SIGTERM, as shells give it."""
READER_GONE = 141
"""Standard output was closed by its reader, as `head` does; shells give it for SIGPIPE."""

_OPTIONS = {
    "absence_delay": "--absence-delay",
    "agent_id": "--agent",
    "base_url": "KOGNITOS_BASE_URL",
    "file_name": "the file's name",
    "max_in_flight": "--max-in-flight",
    "organization_id": "--organization",
    "process_id": "--process",
    "requests_per_second": "--requests-per-second",
    "run_timeout": "--run-timeout",
    "workspace_id": "--workspace",
}
"""What the command calls the arguments that the library's messages name."""
_SHORT_NAMES = ("name ", "stage ", "timeout ")
"""Arguments of one word, known by standing first in a message."""
_ARGUMENT = re.compile(r"\b[a-z]+(?:_[a-z]+)+\b")


def run_command(
    work: Coroutine[object, object, int], *, on_interrupt: Callable[[], object] | None = None
) -> None:
    """Run `work` and raise `typer.Exit` with its exit code.

    The first SIGINT or SIGTERM cancels the work, which ends in good order, and calls `on_interrupt`; the
    second ends the process at once. Errors are reported as by `reported_errors`.
    """
    import asyncio  # noqa: PLC0415 - a fifth of what --help takes

    with reported_errors():
        raise typer.Exit(asyncio.run(_interruptible(work, on_interrupt)))


async def _interruptible(
    work: Coroutine[object, object, int], on_interrupt: Callable[[], object] | None
) -> int:
    import asyncio  # noqa: PLC0415 - as above

    loop = asyncio.get_running_loop()
    task = asyncio.ensure_future(work)
    interrupted = False

    def interrupt() -> None:
        nonlocal interrupted
        if interrupted:
            _end_at_once()
        interrupted = True
        if on_interrupt is not None:
            on_interrupt()
        task.cancel()

    for number in (signal.SIGINT, signal.SIGTERM):
        try:
            loop.add_signal_handler(number, interrupt)
        except (NotImplementedError, RuntimeError, ValueError):  # Windows, or not the main thread
            break
    try:
        return await task
    except asyncio.CancelledError:
        if not interrupted:
            raise
        return INTERRUPTED


def _end_at_once() -> None:
    if sys.stderr is not None and sys.stderr.isatty():
        sys.stderr.write("\x1b[?25h")  # progress hides the cursor
        sys.stderr.flush()
    os._exit(INTERRUPTED)


@contextmanager
def reported_errors() -> Iterator[None]:
    """A block that ends in `typer.Exit` when something expected goes wrong in it.

    An error of the library or of the operating system is one line on stderr and exit code 1, Ctrl-C is exit
    code 130. A reader of standard output that has gone is no error of ours: exit code 141, nothing printed.
    """
    code = 0
    try:
        yield
    except* BrokenPipeError:
        code = READER_GONE
    except* (KognitosError, OSError) as failed:
        # Tasks of a group often fail for one reason: reported once.
        for line in dict.fromkeys(lines_of(failed)):
            complain(line)
        code = FAILED
    except* KeyboardInterrupt:
        code = INTERRUPTED
    if code:
        raise typer.Exit(code)


@contextmanager
def usage_errors() -> Iterator[None]:
    """A block in which an argument that the library refuses is a wrong use of the command, exit code 2."""
    try:
        yield
    except KognitosError:  # some are ValueErrors too
        raise
    except (TypeError, ValueError) as problem:
        raise typer.BadParameter(in_options(str(problem))) from None


def in_options(message: str) -> str:
    """A message of the library with the options and variables of the command for Python's arguments."""
    if message.startswith(_SHORT_NAMES):
        message = f"--{message}"
    return _ARGUMENT.sub(lambda found: _OPTIONS.get(found[0], found[0]), message)


def complain(line: str) -> None:
    """Print one line on stderr."""
    if sys.stderr is not None:
        print(f"kognitos: {one_line(line)}", file=sys.stderr, flush=True)


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
        raise typer.Exit(WRONG_USE) from None
    from kognitos_async import testing  # noqa: PLC0415

    return testing


def lines_of(failed: BaseException) -> Iterator[str]:
    """The message of an error, or of each error of a group, in one line each."""
    if isinstance(failed, BaseExceptionGroup):
        for error in failed.exceptions:
            yield from lines_of(error)
    else:
        text = str(failed) or type(failed).__name__
        yield " ".join((in_options(text) if isinstance(failed, KognitosError) else text).split())
