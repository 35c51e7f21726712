"""The journal of a running job: planned, starting, started, settled, each durable before the next step.

Only a planned request is written later, with the next durable step or after a short delay: nothing was sent
for it yet.
"""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self, TypeVar

import msgspec

from kognitos_async.bulk.early_uploads import adopt_early_uploads, early_uploads_of
from kognitos_async.bulk.group_commit import GroupCommit
from kognitos_async.bulk.journal_errors import damaged, mapping_sqlite_errors
from kognitos_async.bulk.journal_file import JournalFile
from kognitos_async.bulk.journal_schema import FILES
from kognitos_async.bulk.journal_steps import ChangedRow, NewRow, duplicate
from kognitos_async.bulk.ledger import (
    PLANNED,
    SETTLED,
    STARTED,
    STARTING,
    STATES,
    ChangedRequestError,
    Entry,
    Others,
    Recorded,
    run_key,
)
from kognitos_async.errors import JournalError
from kognitos_async.uncertain_start import MOST_REMEMBERED, name_key

if TYPE_CHECKING:
    import asyncio
    import sqlite3
    from collections.abc import Callable, Sequence
    from types import TracebackType

T = TypeVar("T")

_NEW = ("name", "request", "state", "generation", "content", "attempts", "since", "start_window")
_STARTING = (f"state = '{STARTING}'", "attempts = {}", "since = coalesce(since, {})", "start_window = {}")
_PLANNED = (f"state = '{PLANNED}'", "since = NULL", "start_window = NULL")
_STARTED = (f"state = '{STARTED}'", "run_id = {}")
_SETTLED = (f"state = '{SETTLED}'", "status = {}", "run = {}")
_LAST_TIME = 253402300799.0
"""The last second of the year 9999."""
COLUMNS = "position, name, request, state, attempts, since, start_window, run_id, status, run, content"


class JournalWriter:
    """The journal of one job, opened exclusively for writing: an async context manager and a `StartLedger`.

    `api` is recorded in a new journal; `fingerprint` returns equal bytes for equivalent requests. Raises
    `JournalError` when the file is not a journal, of another version or API, damaged, in use, not writable,
    deleted or replaced. After a failed write every later one fails too.
    """

    resolves_doubts = True
    is_new: bool
    """Whether the journal was empty when the job began."""

    def __init__(
        self, path: str | os.PathLike[str], *, api: str, fingerprint: Callable[[bytes], bytes]
    ) -> None:
        self.path: Path = Path(os.path.abspath(os.fspath(path)))  # noqa: PTH100 - resolve() follows links
        self._api = api
        self._fingerprint = fingerprint
        self._generation = 0
        self._runs = _RecordedRuns()
        self._in_doubt: list[int] = []
        self.is_new = False
        self._commits: GroupCommit | None = None

    async def __aenter__(self) -> Self:
        self._commits = commits = GroupCommit(self.path)
        try:
            await commits.open(self._open)
        except BaseException:
            # The thread may still be opening the file.
            await commits.close()
            raise
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._commits is not None:
            try:
                await self._commits.close()
            finally:
                self._commits = None

    # Steps

    async def begin(self, name: str, request: bytes = b"{}", content: bytes | None = None) -> Entry:
        """The entry of a request, created if there is none; committed with the next durable step.

        `content` is the fingerprint, by default that of `request`. A changed request replaces one that
        certainly never started. Raises `ChangedRequestError` if the recorded one has or may have a run,
        `DuplicateNameError` for a name that this job has already begun.
        """
        known = self._fingerprint(request) if content is None else content
        return await self._do(lambda db: self._begin(db, name, request, known), durable=False)

    async def first_start(self, name: str, request: bytes, content: bytes, window: bytes) -> None:
        """Record a request of a new journal and its first start, which is sent next.

        Combines `begin` and `about_to_send` in one step. Raises `DuplicateNameError` for a name on record.
        """
        values = (name, request, STARTING, self._generation, content, 1, time.time(), window)
        await self._write(NewRow(_NEW, name, values))

    async def about_to_send(self, name: str, attempt: int, window: bytes | None = None) -> None:
        """Record that start number `attempt` is sent next; `window` (JSON) bounds when it is processed."""
        await self._write(ChangedRow(_STARTING, name, (attempt, time.time(), window)))

    async def not_sent(self, name: str) -> None:
        """Record that the start certainly made no run: the request is planned again."""
        await self._write(ChangedRow(_PLANNED, name, ()))

    async def started(self, name: str, handle: Any) -> None:
        """Record the run of a request."""
        await self.started_soon(name, handle)

    def started_soon(self, name: str, handle: Any) -> asyncio.Future[None]:
        """Record the run of a request, ahead of any later step; the future is done once it is on disk."""
        run_id = run_key(handle)
        self._runs.add(run_id)
        return self._write(ChangedRow(_STARTED, name, (run_id,)))

    async def settled(self, name: str, run: Any) -> None:
        """Record the settled run with its outputs."""
        content = msgspec.json.encode(run)
        await self._write(ChangedRow(_SETTLED, name, (str(run.status), content)))

    async def resume(self, name: str) -> Entry:
        """The recorded entry of a request, without comparing its content."""

        def step(database: sqlite3.Connection) -> Entry:
            known = self._entry(database, name)
            content = known.content or self._fingerprint_of(known.request)
            return self._begin(database, name, known.request, content)

        return await self._do(step, durable=False)

    async def again(self, name: str) -> Entry:
        """Plan a settled request again; its run stays on record."""

        def step(database: sqlite3.Connection) -> Entry:
            archive_run(database, name)
            return self._entry(database, name)

        return await self._do(step, durable=False)

    # Queries

    async def needs_start(self, name: str) -> bool:
        """Whether the request has no run and no start in doubt."""
        statement = "SELECT state FROM runs WHERE name = ?"
        row = await self._do(lambda db: db.execute(statement, (name,)).fetchone(), durable=False)
        return row is None or row[0] == PLANNED

    async def file_id(self, mark: str) -> str | None:
        """The id of the uploaded file with this content mark; None if it was not uploaded."""
        statement = "SELECT file_id FROM files WHERE mark = ?"
        row = await self._do(lambda db: db.execute(statement, (mark,)).fetchone(), durable=False)
        return None if row is None else str(row[0])

    async def uploaded(self, mark: str, file_id: str) -> None:
        """Record an uploaded file, so that later processes do not upload it again."""
        statement = "INSERT OR REPLACE INTO files VALUES (?, ?)"
        await self._do(lambda db: db.execute(statement, (mark, file_id)).rowcount, durable=True)

    async def in_doubt(self) -> list[Entry]:
        """The entries whose starts were in doubt when the journal was opened, and still are."""

        def find(database: sqlite3.Connection) -> list[Entry]:
            statement = f"SELECT {COLUMNS} FROM runs WHERE position = ? AND state = '{STARTING}'"  # noqa: S608
            rows = (database.execute(statement, (at,)).fetchone() for at in self._in_doubt)
            return [entry_of(self.path, row) for row in rows if row is not None]

        return await self._do(find, durable=False)

    async def left_over(self, after: int) -> Entry | None:
        """The next unfinished entry after position `after` that is not in this job's input."""
        generation = self._generation

        def find(database: sqlite3.Connection) -> Entry | None:
            row = database.execute(
                f"SELECT {COLUMNS} FROM runs WHERE state IN ('{STARTING}', '{STARTED}') "  # noqa: S608
                "AND generation < ? AND position > ? ORDER BY position LIMIT 1",
                (generation, after),
            ).fetchone()
            return None if row is None else entry_of(self.path, row)

        return await self._do(find, durable=False)

    async def recent(self) -> list[Recorded]:
        """The last 10,000 runs on record by the time of their start, oldest first."""
        return [] if self.is_new else await self._do(_recent, durable=False)

    async def others(self, entry: Entry) -> Others:
        """The runs and doubts of the other entries, which a look-up for this one must rule out."""
        return await self._do(lambda db: self._runs.others(db, entry), durable=False)

    # In the thread

    def _open(self) -> tuple[JournalFile, sqlite3.Connection]:
        file = JournalFile(self.path, writing=True)
        try:
            database = file.connect()
            try:
                self._prepare(file, database)
            except BaseException:
                file.disconnect(database)
                raise
        except BaseException:
            file.close()
            raise
        return file, database

    def _prepare(self, file: JournalFile, database: sqlite3.Connection) -> None:
        file.check(database)
        with mapping_sqlite_errors(self.path), database:
            self._generation, self.is_new = _next_generation(database, self.path, self._api)
            adopt_early_uploads(self.path, database)
            in_doubt = database.execute(f"SELECT position FROM runs WHERE state = '{STARTING}'")  # noqa: S608
            self._in_doubt = [position for (position,) in in_doubt]
            # Version 1 had no fingerprints. Entries in doubt need one even if the input lacks them.
            for position, request in database.execute(
                f"SELECT position, request FROM runs WHERE content IS NULL AND state = '{STARTING}'"  # noqa: S608
            ).fetchall():
                database.execute(
                    "UPDATE runs SET content = ? WHERE position = ?",
                    (self._fingerprint_of(request), position),
                )
        early_uploads_of(self.path).unlink(missing_ok=True)

    def _fingerprint_of(self, request: bytes) -> bytes:
        try:
            return self._fingerprint(request)
        except (msgspec.MsgspecError, ValueError, TypeError, KeyError, AttributeError) as problem:
            raise damaged(self.path, f"a request cannot be decoded: {problem}") from problem

    def _begin(self, database: sqlite3.Connection, name: str, request: bytes, content: bytes) -> Entry:
        row = database.execute(
            f"SELECT {COLUMNS}, generation FROM runs WHERE name = ?",  # noqa: S608
            (name,),
        ).fetchone()
        if row is None:
            position = database.execute(
                "INSERT INTO runs (name, request, state, generation, content) VALUES (?, ?, ?, ?, ?)",
                (name, request, PLANNED, self._generation, content),
            ).lastrowid
            return Entry(position or 0, name, request, PLANNED, content=content)
        entry = entry_of(self.path, row[:-1])
        if row[-1] == self._generation:
            raise duplicate(name)
        same = (entry.content or self._fingerprint_of(entry.request)) == content
        if not same and entry.state != PLANNED:
            database.execute(
                "UPDATE runs SET generation = ? WHERE position = ?", (self._generation, entry.position)
            )
            raise ChangedRequestError(
                f"journal {self.path} holds a different request named {name!r}, which is {entry.state}: "
                "rename the changed request, or restore the original"
            )
        # A request that was sent stays on record as sent.
        kept = entry.request if entry.state != PLANNED else request
        database.execute(
            "UPDATE runs SET generation = ?, request = ?, content = ? WHERE position = ?",
            (self._generation, kept, content, entry.position),
        )
        return entry._replace(request=kept, content=content)

    def _entry(self, database: sqlite3.Connection, name: str) -> Entry:
        row = database.execute(f"SELECT {COLUMNS} FROM runs WHERE name = ?", (name,)).fetchone()  # noqa: S608
        if row is None:
            raise JournalError(f"journal {self.path} holds no request {name!r}")
        return entry_of(self.path, row)

    def _write(self, row: NewRow | ChangedRow) -> asyncio.Future[None]:
        return self._open_commits().write(row)

    def _do(self, work: Callable[[sqlite3.Connection], T], *, durable: bool) -> asyncio.Future[T]:
        return self._open_commits().do(work, durable=durable)

    def _open_commits(self) -> GroupCommit:
        if self._commits is None:
            raise JournalError(f"journal {self.path} is closed")
        return self._commits


class _RecordedRuns:
    """The ids of all recorded runs, and the names in doubt: read once for all look-ups of a job."""

    def __init__(self) -> None:
        self._ids: set[str] | None = None
        self._names_in_doubt: dict[str, set[str]] = {}

    def add(self, run_id: str) -> None:
        """Add a run recorded by this job."""
        if self._ids is not None:
            self._ids.add(run_id)

    def others(self, database: sqlite3.Connection, entry: Entry) -> Others:
        """The runs and doubts of the entries other than this one."""
        if self._ids is None:
            rows = database.execute(
                "SELECT run_id FROM runs WHERE run_id IS NOT NULL UNION ALL SELECT run_id FROM earlier_runs"
            )
            self._ids = {run_id for (run_id,) in rows}
            for (name,) in database.execute(f"SELECT name FROM runs WHERE state = '{STARTING}'"):  # noqa: S608
                self._names_in_doubt.setdefault(name_key(name), set()).add(name)
        doubt = database.execute(
            f"SELECT 1 FROM runs WHERE content = ? AND state = '{STARTING}' AND name != ? LIMIT 1",  # noqa: S608
            (entry.content, entry.name),
        ).fetchone()
        # Names that a service may store alike could have made the same run.
        alike = self._names_in_doubt.get(name_key(entry.name), set()) - {entry.name}
        return Others(self._ids, doubt is not None or bool(alike))


def _recent(database: sqlite3.Connection) -> list[Recorded]:
    rows = database.execute(
        "SELECT name, request, run_id, since FROM runs "
        "WHERE typeof(run_id) = 'text' AND typeof(since) = 'real' AND typeof(request) = 'blob' "
        "ORDER BY since DESC LIMIT ?",
        (MOST_REMEMBERED,),
    )
    return [Recorded(*row) for row in rows][::-1]


def _next_generation(database: sqlite3.Connection, path: Path, api: str) -> tuple[int, bool]:
    """The generation of this job, and whether the journal is empty; begins a transaction."""
    database.execute("BEGIN IMMEDIATE")
    database.execute(FILES)
    database.execute("UPDATE job SET generation = generation + 1, api = coalesce(api, ?)", (api,))
    generation, recorded = database.execute("SELECT generation, api FROM job").fetchone()
    if recorded != api:
        raise JournalError(
            f"journal {path} belongs to a job of the other API ({recorded}); use another journal, or the "
            "client that wrote it"
        )
    return generation, database.execute("SELECT 1 FROM runs LIMIT 1").fetchone() is None


def entry_of(path: Path, row: Sequence[Any]) -> Entry:
    """The entry in a row. Raises `JournalError` for a row that no job can have written."""
    entry = Entry(*row)
    if (
        not (entry.name and isinstance(entry.name, str))
        or not isinstance(entry.request, bytes)
        or not isinstance(entry.attempts, int)
        or entry.state not in STATES
        or (entry.state == STARTED and not (entry.run_id and isinstance(entry.run_id, str)))
        or not (entry.since is None or (isinstance(entry.since, float) and 0 <= entry.since <= _LAST_TIME))
        or (entry.state == SETTLED and not isinstance(entry.run, bytes))
    ):
        raise damaged(path, f"request {entry.name!r} in state {entry.state!r} has invalid fields")
    return entry


def archive_run(database: sqlite3.Connection, name: str) -> None:
    """Move the run of a request to the earlier ones and plan the request again."""
    database.execute(
        "INSERT INTO earlier_runs (position, run_id, status, run) "
        "SELECT position, coalesce(run_id, ''), status, run FROM runs WHERE name = ?",
        (name,),
    )
    database.execute(
        f"UPDATE runs SET state = '{PLANNED}', since = NULL, start_window = NULL, run_id = NULL, "  # noqa: S608
        "status = NULL, run = NULL WHERE name = ?",
        (name,),
    )
