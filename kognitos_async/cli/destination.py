"""Where a command writes a file: beside its place and then moved there, or straight into what is no file."""

from __future__ import annotations

import os
import re
import stat
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from typing import BinaryIO

_DESCRIPTOR = re.compile(r"/dev/fd/(\d+)|/proc/self/fd/(\d+)")
_STANDARD = {"-": 1, "/dev/stdout": 1, "/dev/stderr": 2}


class Destination:
    """A path that a command writes to.

    A regular file, one that does not exist yet, or a link to one is written as `part`, beside it, and
    replaced when `finish` is called: nobody sees half of it. A device, a FIFO or an open descriptor
    (`-`, /dev/stdout, /dev/fd/3) is written straight into.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.descriptor: int | None = _descriptor(path)
        """The descriptor that the path names, None for a path of the file system."""
        self.target: Path = path if self.descriptor is not None else Path(os.path.realpath(path))
        self.part: Path = self.target.with_name(f"{self.target.name}.part")

    @property
    def is_file(self) -> bool:
        """Whether it is written beside and moved."""
        if self.descriptor is not None:
            return False
        try:
            return stat.S_ISREG(self.target.stat().st_mode)
        except FileNotFoundError:
            return True

    def open(self) -> BinaryIO:
        """The file to write into: the part, or the thing itself. A FIFO waits for its reader."""
        if self.descriptor is not None:
            return os.fdopen(os.dup(self.descriptor), "wb")
        if self.is_file:
            return self.part.open("wb")
        return self.target.open("wb")

    def finish(self) -> None:
        """Move the part into its place, with the mode of the file that it replaces."""
        if self.is_file:
            with suppress(OSError):
                self.part.chmod(stat.S_IMODE(self.target.stat().st_mode))
            self.part.replace(self.target)

    def discard(self) -> None:
        """Delete the part."""
        if self.is_file:
            self.part.unlink(missing_ok=True)

    def lost(self) -> OSError:
        """The error for a reader that has gone: none of ours where it is that of standard output."""
        if self.descriptor == 1:
            return BrokenPipeError()
        return OSError(f"{self.path}: its reader has gone")


def _descriptor(path: Path) -> int | None:
    text = str(path)
    if text in _STANDARD:
        return _STANDARD[text]
    found = _DESCRIPTOR.fullmatch(text)
    return int(found[1] or found[2]) if found else None
