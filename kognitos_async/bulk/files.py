"""The files of a job's requests: uploaded concurrently, each once, identified by content and name."""

from __future__ import annotations

import asyncio
import re
from collections import OrderedDict
from http import HTTPStatus
from typing import TYPE_CHECKING, Generic

import msgspec

from kognitos_async.bulk.types import EncodedStart, Jobs, Ledger, Q, R
from kognitos_async.errors import APIStatusError, KognitosError, UploadError
from kognitos_async.server_clock import StartWindow
from kognitos_async.uploads.placeholders import content_mark, marks_in, replaced
from kognitos_async.uploads.sources import HashedFile
from kognitos_async.work_stream import side_by_side

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

    from kognitos_async.uploads.sources import FileSource

_HASHED_AT_ONCE = 4
_CACHED_IDS = 10_000
"""File ids kept in memory; a journal keeps all of them on disk."""
_REFUSALS = frozenset({400, 404, 409, 410, 412, 422})
_FILE = re.compile(r"\bfiles?\b|file_ids?\b", re.IGNORECASE)
_OTHER = re.compile(r"\b(agent|process|automation|workspace|organization|stage|version)", re.IGNORECASE)


class JobFiles(Generic[Q, R]):
    """Uploads the files of one job's requests, at most `max_uploads` at a time."""

    def __init__(self, jobs: Jobs[Q, R], *, max_uploads: int) -> None:
        self.ledger: Ledger | None = None
        self._jobs = jobs
        self._slots = asyncio.Semaphore(max_uploads)
        self._hashing = asyncio.Semaphore(_HASHED_AT_ONCE)
        self._ids: OrderedDict[str, str] = OrderedDict()
        self._uploads: dict[str, _SharedUpload] = {}
        self._refused: set[str] = set()
        self.reached: bool = False
        """Whether a file was uploaded."""

    async def named_by_content(self, start: EncodedStart) -> EncodedStart:
        """The start with its files identified by content, so that moving or touching them changes nothing.

        Raises `UploadError` for a file that cannot be read.
        """
        marks: dict[str, str] = {}
        files: dict[str, FileSource] = {}

        async def mark(placeholder: str, file: FileSource) -> None:
            async with self._hashing:
                sha256 = await _content_hash(file)
            marks[placeholder] = marked = content_mark(sha256, file.name)
            # Until its upload has a slot, a file may be written anew.
            is_fixed = isinstance(file.source, bytes)
            files[marked] = file if is_fixed else HashedFile(file.source, file.file_name, sha256=sha256)

        await side_by_side(mark(placeholder, file) for placeholder, file in start.files.items())
        record = replaced(start.record, marks)
        return msgspec.structs.replace(
            start, record=record, content=self._jobs.fingerprint(record), files=files
        )

    async def ids_of(
        self,
        request: Q,
        marks: Collection[str],
        files: Mapping[str, FileSource],
        *,
        forgotten: Mapping[str, str] | None = None,
    ) -> dict[str, str]:
        """File ids by content mark; files not uploaded yet are uploaded.

        The ids in `forgotten` are no longer valid and are replaced. Raises `UploadError`, and what else an
        upload raises.
        """
        ids: dict[str, str] = {}
        lost = forgotten or {}

        async def upload(mark: str) -> None:
            ids[mark] = await self._id_of(request, mark, files.get(mark), forgotten=lost.get(mark))

        await side_by_side(upload(mark) for mark in dict.fromkeys(marks))
        return ids

    async def known_ids(self, marks: Collection[str]) -> dict[str, str]:
        """The ids of uploaded files by content mark, also from earlier processes."""
        ids = {mark: await self._known_id(mark) for mark in dict.fromkeys(marks)}
        return {mark: known for mark, known in ids.items() if known is not None}

    def refuse(self, ids: Collection[str]) -> None:
        """Note ids that were refused right after a new upload: no other request uploads those files again."""
        self._refused.update(ids)

    async def prepare(self, request: Q, start: EncodedStart) -> None:
        """Upload the files ahead of the start. A failure is ignored here: the start meets it again."""
        try:
            named = await self.named_by_content(start)
            if self.ledger is not None and not await self.ledger.needs_start(named.name):
                return
            await self.ids_of(request, marks_in(named.record), named.files)
        except KognitosError:
            return

    async def _id_of(self, request: Q, mark: str, file: FileSource | None, *, forgotten: str | None) -> str:
        # Requests with the same file share one upload; if it fails or is cancelled, the next one tries.
        shared = self._uploads.setdefault(mark, _SharedUpload())
        shared.users += 1
        try:
            async with shared.lock:
                known = await self._known_id(mark)
                if known is not None and (known != forgotten or known in self._refused):
                    return known
                if file is None:
                    name = mark.rpartition(":")[2]
                    raise UploadError(f"file {name!r} was not uploaded and is in no request of the input")
                async with self._slots:
                    found = await self._upload(request, file)
                self.reached = True
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


class RequestFiles(Generic[Q, R]):
    """The files of one request, and the file ids in its start.

    An ambiguous start keeps its ids. A start that was refused because the service no longer knows a file is
    attempted once more with its files uploaded again.
    """

    def __init__(self, job: JobFiles[Q, R], request: Q) -> None:
        self.sources: Mapping[str, FileSource] = {}
        self._job = job
        self._request = request
        self._ids: dict[str, str] = {}
        self._renewed = False

    async def uploaded(self, record: bytes) -> bytes:
        """The record with each content mark replaced by a file id; files not uploaded yet are uploaded.

        Raises `UploadError`, and what else an upload raises.
        """
        missing = [mark for mark in marks_in(record) if mark not in self._ids]
        if missing:
            self._ids.update(await self._job.ids_of(self._request, missing, self.sources))
        return replaced(record, self._ids)

    async def known(self, record: bytes) -> bytes:
        """The record with the marks of uploaded files replaced by the ids that were sent."""
        missing = [mark for mark in marks_in(record) if mark not in self._ids]
        return replaced(record, {**await self._job.known_ids(missing), **self._ids})

    def are_forgotten(self, refusal: KognitosError) -> bool:
        """Whether the start may have been refused for file ids that a new upload can replace."""
        if not self._ids or not _is_about_files(refusal, self._ids.values()):
            return False
        if self._renewed:
            self._job.refuse(self._ids.values())
        return not self._renewed

    async def uploaded_again(self, record: bytes) -> bytes:
        """The record with new file ids in place of those just refused. Raises what `uploaded` raises."""
        self._renewed = True
        self._ids = await self._job.ids_of(self._request, self._ids, self.sources, forgotten=self._ids)
        return replaced(record, self._ids)

    def written(self, window: StartWindow) -> bytes:
        """The JSON of the window of a start, together with the file ids sent."""
        if not self._ids:
            return msgspec.json.encode(window)
        return msgspec.json.encode(_SentWindow(**msgspec.structs.asdict(window), file_ids=self._ids))

    def read(self, recorded: bytes | None) -> StartWindow | None:
        """The recorded window of an ambiguous start, whose file ids are used from now on; None if unknown."""
        try:
            window = None if recorded is None else _WINDOW.decode(recorded)
        except msgspec.MsgspecError:  # written by a later version: the time alone gives a wider window
            return None
        if window is not None:
            self._ids = window.file_ids
        return window


class _SentWindow(StartWindow, frozen=True, kw_only=True, omit_defaults=True):
    """The window of a start together with its file ids."""

    file_ids: dict[str, str] = msgspec.field(default_factory=dict)


_WINDOW = msgspec.json.Decoder(_SentWindow)


def _is_about_files(refusal: KognitosError, ids: Collection[str]) -> bool:
    """Whether the API may have refused a start because it does not know one of its files.

    Neither API documents that message. A refusal counts if it contains one of the ids or the word "file", and
    a 404 also if it names no other resource.
    """
    if not isinstance(refusal, APIStatusError) or refusal.status not in _REFUSALS:
        return False
    words = " ".join([refusal.message, *(f"{kind} {content}" for kind, content in refusal.details)])
    if _FILE.search(words) or any(one in words for one in ids):
        return True
    return refusal.status == HTTPStatus.NOT_FOUND and not _OTHER.search(words)


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
