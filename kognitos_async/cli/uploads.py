"""The files of a bulk job, each uploaded once, and remembered beside the journal."""

from __future__ import annotations

import asyncio
import json
from typing import TYPE_CHECKING

from kognitos_async.errors import JournalError

if TYPE_CHECKING:
    from pathlib import Path

    from kognitos_async.rest_v2.client import KognitosClient


class Uploads:
    """Ids of uploaded files by path, size and time of change.

    A resumed job must name the ids it named before, or its requests would be others. They are on disk, in
    `JOURNAL.files`, before they are used. Raises `JournalError` when that file cannot be read.
    """

    def __init__(self, client: KognitosClient, journal: Path) -> None:
        self._client = client
        self._record = journal.with_name(f"{journal.name}.files")
        self._busy = asyncio.Lock()
        self._ids: dict[str, str] = {}
        if self._record.exists():
            try:
                self._ids = json.loads(self._record.read_text(encoding="utf-8"))
            except ValueError:
                raise JournalError(f"{self._record} is damaged: restore it from a copy") from None

    async def id_of(self, path: Path) -> str:
        """The id of a file, uploaded now if it has not been."""
        key = _key(path)
        async with self._busy:
            if key not in self._ids:
                self._ids[key] = (await self._client.files.upload(path)).id
                self._save()
            return self._ids[key]

    def _save(self) -> None:
        draft = self._record.with_name(f"{self._record.name}.new")
        draft.write_text(json.dumps(self._ids), encoding="utf-8")
        draft.replace(self._record)


def _key(path: Path) -> str:
    state = path.stat()
    return f"{path.resolve()}|{state.st_size}|{state.st_mtime_ns}"
