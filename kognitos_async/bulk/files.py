"""The files of a job's requests: uploaded concurrently, each once, identified by content and name."""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from typing import TYPE_CHECKING, Generic

import msgspec

from kognitos_async.bulk.types import EncodedStart, Jobs, Ledger, Q, R
from kognitos_async.errors import KognitosError, UploadError
from kognitos_async.uploads.placeholders import content_mark, marks_in, replaced
from kognitos_async.work_stream import side_by_side

if TYPE_CHECKING:
    from collections.abc import Mapping

    from kognitos_async.uploads.sources import FileSource

_HASHED_AT_ONCE = 4
_CACHED_IDS = 10_000
"""File ids kept in memory; a journal keeps all of them on disk."""


class JobFiles(Generic[Q, R]):
    """Uploads the files of one job's requests, at most `max_uploads` at a time."""

    def __init__(self, jobs: Jobs[Q, R], *, max_uploads: int) -> None:
        self.ledger: Ledger | None = None
        self._jobs = jobs
        self._slots = asyncio.Semaphore(max_uploads)
        self._hashing = asyncio.Semaphore(_HASHED_AT_ONCE)
        self._ids: OrderedDict[str, str] = OrderedDict()
        self._uploads: dict[str, _SharedUpload] = {}

    async def named_by_content(self, start: EncodedStart) -> EncodedStart:
        """The start with its files identified by content, so that moving or touching them changes nothing.

        Raises `UploadError` for a file that cannot be read.
        """
        marks: dict[str, str] = {}

        async def mark(placeholder: str, file: FileSource) -> None:
            async with self._hashing:
                marks[placeholder] = content_mark(await _content_hash(file), file.name)

        await side_by_side(mark(placeholder, file) for placeholder, file in start.files.items())
        record = replaced(start.record, marks)
        files = {marks[placeholder]: file for placeholder, file in start.files.items()}
        return msgspec.structs.replace(
            start, record=record, content=self._jobs.fingerprint(record), files=files
        )

    async def uploaded(self, request: Q, record: bytes, files: Mapping[str, FileSource]) -> bytes:
        """The record with each content mark replaced by a file id; files not uploaded yet are uploaded.

        Raises `UploadError`, and what else an upload raises.
        """
        marks = marks_in(record)
        if not marks:
            return record
        ids: dict[str, str] = {}

        async def upload(mark: str) -> None:
            ids[mark] = await self._id_of(request, mark, files.get(mark))

        await side_by_side(upload(mark) for mark in dict.fromkeys(marks))
        return replaced(record, ids)

    async def known(self, record: bytes) -> bytes:
        """The record with the marks of uploaded files replaced by their ids, also from earlier processes."""
        ids = {mark: await self._known_id(mark) for mark in dict.fromkeys(marks_in(record))}
        return replaced(record, {mark: known for mark, known in ids.items() if known is not None})

    async def prepare(self, request: Q, start: EncodedStart) -> None:
        """Upload the files ahead of the start. A failure is ignored here: the start meets it again."""
        try:
            named = await self.named_by_content(start)
            if self.ledger is not None and not await self.ledger.needs_start(named.name):
                return
            await self.uploaded(request, named.record, named.files)
        except KognitosError:
            return

    async def _id_of(self, request: Q, mark: str, file: FileSource | None) -> str:
        # Requests with the same file share one upload; if it fails or is cancelled, the next one tries.
        shared = self._uploads.setdefault(mark, _SharedUpload())
        shared.users += 1
        try:
            async with shared.lock:
                if (known := await self._known_id(mark)) is not None:
                    return known
                if file is None:
                    name = mark.rpartition(":")[2]
                    raise UploadError(f"file {name!r} was not uploaded and is in no request of the input")
                async with self._slots:
                    found = await self._upload(request, file)
                if self.ledger is not None:
                    await self.ledger.uploaded(mark, found)
                self._remember(mark, found)
                return found
        finally:
            shared.users -= 1
            if not shared.users:
                del self._uploads[mark]

    async def _upload(self, request: Q, file: FileSource) -> str:
        try:
            return await self._jobs.upload(request, file)
        except OSError as problem:
            if isinstance(problem, KognitosError):
                raise
            raise _unreadable(file, problem) from problem
        except ValueError as problem:
            if isinstance(problem, KognitosError):
                raise
            raise UploadError(f"file {file.name!r} cannot be uploaded: {problem}") from problem

    async def _known_id(self, mark: str) -> str | None:
        if mark in self._ids:
            self._ids.move_to_end(mark)
            return self._ids[mark]
        known = None if self.ledger is None else await self.ledger.file_id(mark)
        if known is not None:
            self._remember(mark, known)
        return known

    def _remember(self, mark: str, file_id: str) -> None:
        self._ids[mark] = file_id
        if len(self._ids) > _CACHED_IDS:
            self._ids.popitem(last=False)


class _SharedUpload:
    """The upload of one file, shared by the requests that need it."""

    def __init__(self) -> None:
        self.lock = asyncio.Lock()
        self.users = 0


async def _content_hash(file: FileSource) -> str:
    try:
        return await file.content_hash()
    except OSError as problem:
        raise _unreadable(file, problem) from problem
    except ValueError as problem:
        raise UploadError(f"file {file.name!r} cannot be uploaded: {problem}") from problem


def _unreadable(file: FileSource, problem: OSError) -> UploadError:
    return UploadError(f"file {file.source!s} cannot be read: {problem.strerror or problem}")
