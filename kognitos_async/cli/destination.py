"""Output files: regular files are replaced atomically, devices and FIFOs are written directly."""

from __future__ import annotations

import os
import re
import stat
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

import typer

if TYPE_CHECKING:
    from typing import BinaryIO

_DESCRIPTOR = re.compile(r"/dev/fd/(\d+)|/proc/self/fd/(\d+)")
_STANDARD = {"-": 1, "/dev/stdout": 1, "/dev/stderr": 2}
_MAGIC = re.compile(rb"SQLite format 3\0|.{8}DUCK", re.DOTALL)
"""How a database of SQLite or DuckDB begins."""


class Destination:
    """A path to write to.

    A regular file (or a link to one, or a new one) is written as `part` in the same folder and replaced by
    `finish`, never seen incomplete. A device, a FIFO or an open descriptor (`-`, /dev/stdout, /dev/fd/3) is
    written directly.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.descriptor: int | None = _descriptor(path)
        """The descriptor that the path names; None for a file."""
        self.target: Path = path if self.descriptor is not None else Path(os.path.realpath(path))
        self.part: Path = self.target.with_name(f"{self.target.name}.part")

    @property
    def is_file(self) -> bool:
        """Whether this is a regular file, to be replaced atomically."""
        if self.descriptor is not None:
            return False
        try:
            return stat.S_ISREG(self.target.stat().st_mode)
        except FileNotFoundError:
            return True

    def problem(self) -> str | None:
        """Why the path cannot be written, without opening it; None if it probably can."""
        try:
            if self.descriptor is not None:
                os.fstat(self.descriptor)
                return None
            if not self.is_file:
                if self.target.is_dir():
                    return "it is a folder"
                return None if os.access(self.target, os.W_OK) else "it is not writable"
            for replaced in (self.target, self.part):
                if _is_database(replaced):
                    return f"{replaced} is a database, perhaps a journal or a mirror"
            folder = self.target.parent
            if not folder.is_dir():
                return f"there is no folder {folder}"
            return None if os.access(folder, os.W_OK | os.X_OK) else f"the folder {folder} is not writable"
        except OSError as problem:
            return problem.strerror or str(problem)

    def open(self) -> BinaryIO:
        """Open the part or the target for writing. A FIFO blocks until it has a reader."""
        if self.descriptor is not None:
            return os.fdopen(os.dup(self.descriptor), "wb")
        if self.is_file:
            return self.part.open("wb")
        return self.target.open("wb")

    def finish(self) -> None:
        """Replace the target with the part, keeping the mode of the old file."""
        if self.is_file:
            with suppress(OSError):
                self.part.chmod(stat.S_IMODE(self.target.stat().st_mode))
            self.part.replace(self.target)

    def discard(self) -> None:
        """Delete the part."""
        if self.is_file:
            self.part.unlink(missing_ok=True)

    def lost(self) -> OSError:
        """The error for a closed reader; for standard output `BrokenPipeError`, which is not reported."""
        if self.descriptor == 1:
            return BrokenPipeError()
        return OSError(f"{self.path}: closed by its reader")


def destination_of(output: Path) -> Destination:
    """The destination that --output names. Raises `typer.BadParameter` if it cannot be written.

    Work that takes long or starts runs must not end with the discovery that its results have no place.
    """
    destination = Destination(output)
    if (problem := destination.problem()) is not None:
        raise typer.BadParameter(f"cannot write {output}: {problem}", param_hint="--output")
    return destination


def _is_database(path: Path) -> bool:
    try:
        with path.open("rb") as file:
            return _MAGIC.match(file.read(16)) is not None
    except (FileNotFoundError, PermissionError):
        return False


def _descriptor(path: Path) -> int | None:
    text = str(path)
    if text in _STANDARD:
        return _STANDARD[text]
    found = _DESCRIPTOR.fullmatch(text)
    return int(found[1] or found[2]) if found else None
