"""The files of a bulk job: each content uploaded once, and remembered beside the journal."""

from __future__ import annotations

import asyncio
import hashlib
import json
import os
from typing import TYPE_CHECKING

import anyio.to_thread

from kognitos_async.errors import JournalError

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable
    from pathlib import Path

_PIECE = 1024 * 1024


class Uploads:
    """Ids of uploaded files by name and content.

    A resumed job must name the ids it named before, or its requests would be others; touching or moving a
    file changes neither. Each id is on disk, a line of `JOURNAL.files`, before it is used. Raises
    `JournalError` when that file cannot be read.
    """

    def __init__(self, upload: Callable[[Path], Awaitable[str]], journal: Path) -> None:
        self._upload = upload
        self._record = journal.with_name(f"{journal.name}.files")
        self._ids = _recorded(self._record)
        self._under_way: dict[str, asyncio.Future[str]] = {}
        self._recording = asyncio.Lock()

    async def id_of(self, path: Path) -> str:
        """The id of a file, uploaded now if it has not been. Raises what the upload raises, and `OSError`."""
        key = await anyio.to_thread.run_sync(_key, path)
        if key in self._ids:
            return self._ids[key]
        if key not in self._under_way:
            task = asyncio.ensure_future(self._upload_once(key, path))
            self._under_way[key] = task
            task.add_done_callback(lambda _: self._under_way.pop(key, None))
        return await asyncio.shield(self._under_way[key])

    async def _upload_once(self, key: str, path: Path) -> str:
        file_id = await self._upload(path)
        async with self._recording:
            await anyio.to_thread.run_sync(_append, self._record, key, file_id)
        self._ids[key] = file_id
        return file_id

    async def close(self) -> None:
        """End the uploads under way."""
        tasks = list(self._under_way.values())
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


def _recorded(record: Path) -> dict[str, str]:
    """The ids of an earlier process. A last line without its end was not on disk yet, so nobody used it."""
    if not record.exists():
        return {}
    try:
        lines = record.read_bytes().splitlines(keepends=True)
        if lines and not lines[-1].endswith(b"\n"):
            os.truncate(record, sum(map(len, lines[:-1])))
            del lines[-1]
        return dict(_pair(line) for line in lines)
    except ValueError:
        raise JournalError(f"{record} is damaged: restore it from a copy") from None


def _pair(line: bytes) -> tuple[str, str]:
    match json.loads(line):
        case [str(key), str(file_id)]:
            return key, file_id
    raise ValueError(line)


def _append(record: Path, key: str, file_id: str) -> None:
    with record.open("a", encoding="utf-8") as file:
        file.write(json.dumps([key, file_id]) + "\n")
        file.flush()
        os.fsync(file.fileno())


def _key(path: Path) -> str:
    content = hashlib.sha256()
    with path.open("rb") as file:
        while piece := file.read(_PIECE):
            content.update(piece)
    return f"{path.name}|{content.hexdigest()}"
