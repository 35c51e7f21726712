"""A file that is replaced at once by its new content."""

from __future__ import annotations

import asyncio
import errno
import os
import secrets
import stat
from contextlib import asynccontextmanager, suppress
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO, cast

import anyio.to_thread

from kognitos_async.event_loop import finished
from kognitos_async.uploads.reading import opened

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator

    from kognitos_async.uploads.reading import ThreadedFile


def replaceable(path: Path) -> Path:
    """The file at the end of all links. Raises `OSError` for a folder, a FIFO or a device."""
    real = Path(os.path.realpath(path))
    try:
        mode = real.stat().st_mode
    except FileNotFoundError:
        return real
    if stat.S_ISDIR(mode):
        raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), str(path))
    if not stat.S_ISREG(mode):
        raise OSError(errno.EINVAL, "Not a regular file", str(path))
    return real


@asynccontextmanager
async def replacing(target: Path) -> AsyncGenerator[ThreadedFile]:
    """An async context manager over a new file, durable and in the place of `target` after the block.

    It has the mode of `target`, if that exists. A block that raises leaves everything as it was.
    """
    in_thread = anyio.to_thread.run_sync
    beside = target.with_name(f".{secrets.token_hex(8)}.part")
    try:
        async with opened(lambda: _opened_like(beside, target)) as file:
            yield file
            await file.call(_sync, file.file)
        await in_thread(beside.replace, target)
    finally:
        # In a task of its own, because a scope of anyio may cancel each await here.
        await finished(asyncio.ensure_future(in_thread(partial(beside.unlink, missing_ok=True))))


def _opened_like(beside: Path, target: Path) -> BinaryIO:
    file = cast("BinaryIO", beside.open("xb"))
    with suppress(OSError):
        beside.chmod(stat.S_IMODE(target.stat().st_mode))
    return file


def _sync(file: BinaryIO) -> None:
    file.flush()
    os.fsync(file.fileno())
