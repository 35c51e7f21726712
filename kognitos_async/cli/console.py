"""A console of rich for output that may be read by another program."""

from __future__ import annotations

from rich.console import Console


class PipedConsole(Console):
    """A console that raises `BrokenPipeError` when the reader is gone, as writing to a file does.

    That of rich ends the process, with the exit code of an error.
    """

    def on_broken_pipe(self) -> None:
        """Raise the error again."""
        raise BrokenPipeError
