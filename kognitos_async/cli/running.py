"""Exit codes, one-line error messages and signal handling of the commands."""

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
"""Ended by Ctrl-C or SIGTERM; what shells report for SIGINT."""
READER_GONE = 141
"""Standard output was closed by its reader, such as `head`; what shells report for SIGPIPE."""

_OPTIONS = {
    "absence_delay": "--absence-delay",
    "agent_id": "--agent",
    "base_url": "KOGNITOS_BASE_URL",
    "database_url": "--database-url",
    "executor_id": "--executor-id",
    "file_name": "the file's name",
    "max_in_flight": "--max-in-flight",
    "organization_id": "--organization",
    "process_id": "--process",
    "requests_per_second": "--requests-per-second",
    "run_timeout": "--run-timeout",
    "starts_per_second": "--starts-per-second",
    "workspace_id": "--workspace",
}
"""Options and variables for the argument names in messages of the library."""
_SHORT_NAMES = ("name ", "seed ", "stage ", "timeout ")
"""Arguments of one word, replaced only at the start of a message."""
_TO_THE_CLIENT = " to the call or to the client"
"""Where the library's messages say to pass an argument; the command has options instead."""
_ARGUMENT = re.compile(r"\b[a-z]+(?:_[a-z]+)+\b")


def run_command(
    work: Coroutine[object, object, int], *, on_interrupt: Callable[[], object] | None = None
) -> None:
    """Run `work` and raise `typer.Exit` with its exit code.

    The first SIGINT or SIGTERM calls `on_interrupt` and cancels the work; the second ends the process at
    once. Errors are reported as by `reported_errors`.
    """
    import asyncio  # noqa: PLC0415 - a fifth of the time of --help

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
    """Turn expected errors of the block into `typer.Exit`.

    An error of the library or the operating system is printed in one line, exit code 1; Ctrl-C is exit code
    130. If the reader of standard output has closed it, nothing is printed, exit code 141.
    """
    code = 0
    try:
        yield
    except* BrokenPipeError:
        code = READER_GONE
    except* (KognitosError, OSError) as failed:
        # Tasks of a group often fail with the same message: print it once.
        for line in dict.fromkeys(lines_of(failed)):
            complain(line)
        code = FAILED
    except* KeyboardInterrupt:
        code = INTERRUPTED
    if code:
        raise typer.Exit(code)


@contextmanager
def usage_errors() -> Iterator[None]:
    """Turn a `TypeError` or `ValueError` of the library into a usage error, exit code 2."""
    try:
        yield
    except KognitosError:  # some are also ValueErrors
        raise
    except (TypeError, ValueError) as problem:
        raise typer.BadParameter(in_options(str(problem))) from None


def in_options(message: str) -> str:
    """A message of the library with argument names replaced by options and variables of the command."""
    if message.startswith(_SHORT_NAMES):
        message = f"--{message}"
    message = message.replace(_TO_THE_CLIENT, "")
    return _ARGUMENT.sub(lambda found: _OPTIONS.get(found[0], found[0]), message)


def complain(line: str) -> None:
    """Print one line on stderr."""
    if sys.stderr is not None:
        print(f"kognitos: {one_line(line)}", file=sys.stderr, flush=True)


def emulator() -> ModuleType:
    """Import `kognitos_async.testing`; one line on stderr and exit code 2 if its extra is not installed."""
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
    """One line for an error, or for each error of a group."""
    if isinstance(failed, BaseExceptionGroup):
        for error in failed.exceptions:
            yield from lines_of(error)
    else:
        text = str(failed) or type(failed).__name__
        yield " ".join((in_options(text) if isinstance(failed, KognitosError) else text).split())
