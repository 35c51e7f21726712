"""The files of a bulk job, each uploaded once, and remembered beside the journal."""

from __future__ import annotations

import asyncio
import json
import os
from typing import TYPE_CHECKING

import anyio.to_thread

from kognitos_async.errors import JournalError

if TYPE_CHECKING:
    from pathlib import Path

    from kognitos_async.rest_v2.client import KognitosClient


class Uploads:
    """Ids of uploaded files by path, size and time of change.

    A resumed job must name the ids it named before, or its requests would be others. Each is on disk, a line
    of `JOURNAL.files`, before it is used. Raises `JournalError` when that file cannot be read.
    """

    def __init__(self, client: KognitosClient, journal: Path) -> None:
        self._client = client
        self._record = journal.with_name(f"{journal.name}.files")
        self._busy = asyncio.Lock()
        self._ids = _recorded(self._record)

    async def id_of(self, path: Path) -> str:
        """The id of a file, uploaded now if it has not been."""
        key = _key(path)
        async with self._busy:
            if key not in self._ids:
                file_id = (await self._client.files.upload(path)).id
                await anyio.to_thread.run_sync(_record, self._record, key, file_id)
                self._ids[key] = file_id
            return self._ids[key]


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


def _record(record: Path, key: str, file_id: str) -> None:
    with record.open("a", encoding="utf-8") as file:
        file.write(json.dumps([key, file_id]) + "\n")
        file.flush()
        os.fsync(file.fileno())


def _key(path: Path) -> str:
    state = path.stat()
    return f"{path.resolve()}|{state.st_size}|{state.st_mtime_ns}"
