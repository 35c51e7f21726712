"""Reading a journal while its job runs or afterwards, and deciding on starts in doubt."""

from __future__ import annotations

import asyncio
import os
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import msgspec

from kognitos_async import checks
from kognitos_async.bulk.journal_errors import damaged, mapping_sqlite_errors
from kognitos_async.bulk.journal_file import JournalFile
from kognitos_async.bulk.journal_writer import COLUMNS, entry_of
from kognitos_async.bulk.ledger import PLANNED, PLATFORM_V1, STARTED, STARTING, STATES, run_key
from kognitos_async.errors import JournalError
from kognitos_async.event_loop import finished

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import AsyncIterator, Callable, Iterator
    from types import TracebackType

    from kognitos_async.bulk.ledger import Entry
    from kognitos_async.platform_v1.models.runs import InvokeRequest, PlatformRun, StartedRun
    from kognitos_async.rest_v2.models import Run, RunRequest

_BATCH = 200
"""Entries of one query: queries are short, so that they never block the job that writes."""
NOT_STARTED = "not started"


class JournalEntry(msgspec.Struct, frozen=True, kw_only=True):
    """One request in a journal.

    `request`, `run` and `earlier_runs` are decoded from the `*_json` fields on access and raise
    `JournalError` when the record is damaged.
    """

    name: str
    """The name of the request, unique in the journal."""
    state: str
    """`planned` (certainly not started), `starting` (may have been started), `started` or `settled`."""
    status: str | None
    """The status of the settled run; None until it has settled."""
    run_id: str | None
    """The id of the run, on the platform API its full name; None until it is known."""
    attempts: int
    """Number of starts sent."""
    since: datetime | None
    """UTC time just before the start in doubt was sent; None if none is in doubt."""
    api: str
    """The API of the job: `rest_v2` or `platform_v1`."""
    request_json: bytes
    """The request as recorded."""
    run_json: bytes | None
    """The settled run as recorded; None until it has settled."""
    earlier_json: tuple[bytes, ...]
    """The runs before a rerun as recorded, oldest first."""

    @property
    def request(self) -> RunRequest | InvokeRequest:
        """The request as sent, or as it will be sent."""
        request: RunRequest | InvokeRequest = self._read(
            partial(_request_of, self.api, self.name), self.request_json
        )
        return request

    @property
    def run(self) -> Run | PlatformRun | None:
        """The settled run with its outputs; None until it has settled."""
        return None if self.run_json is None else self._read(_run_decoder(self.api), self.run_json)

    @property
    def earlier_runs(self) -> tuple[Run | PlatformRun, ...]:
        """The settled runs of the request before it was run again, oldest first."""
        return tuple(self._read(_run_decoder(self.api), content) for content in self.earlier_json)

    def _read(self, decode: Callable[[bytes], Any], content: bytes) -> Any:
        try:
            return decode(content)
        except (msgspec.MsgspecError, ValueError) as problem:
            raise JournalError(
                f"the journal is damaged: request {self.name!r} cannot be decoded ({problem}). Restore the "
                "journal from a backup"
            ) from problem

    def __repr__(self) -> str:
        return f"JournalEntry(name={self.name!r}, state={self.state!r}, run_id={self.run_id!r})"


class Entries:
    """Entries of a journal, in the order in which they were planned. Iterate with `for` or `async for`."""

    def __init__(self, read: Callable[[int], list[tuple[int, JournalEntry]]]) -> None:
        self._read = read

    def __iter__(self) -> Iterator[JournalEntry]:
        position = -1
        while rows := self._read(position):
            for position, entry in rows:  # noqa: B007 - the next query begins after the last one
                yield entry

    async def __aiter__(self) -> AsyncIterator[JournalEntry]:
        position = -1
        while rows := await asyncio.to_thread(self._read, position):
            for position, entry in rows:  # noqa: B007 - the next query begins after the last one
                yield entry


class Journal:
    """The journal of a bulk job of either client, opened for reading, with `with` or `async with`.

    It may be read while the job runs; each query sees a committed state. Raises `JournalError` when the file
    is missing, not a journal, of another version, damaged, or separated from its companion file. In a forked
    process it is opened again; a journal that a job of the parent was writing at the fork is refused there.
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self.path: Path = Path(os.path.abspath(os.fspath(path)))  # noqa: PTH100 - resolve() follows links
        """The absolute path of the journal."""
        self._file: JournalFile | None = None
        self._database: sqlite3.Connection | None = None

    def __enter__(self) -> Self:
        self._open()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    async def __aenter__(self) -> Self:
        try:
            await finished(asyncio.ensure_future(asyncio.to_thread(self._open)))
        except asyncio.CancelledError:
            self.close()
            raise
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close the file. May be called more than once."""
        file, self._file = self._file, None
        database, self._database = self._database, None
        try:
            if file is not None and database is not None:
                file.disconnect(database)
        finally:
            if file is not None:
                file.close()

    def __repr__(self) -> str:
        return f"Journal({str(self.path)!r})"

    @property
    def api(self) -> str | None:
        """The API of the job: "rest_v2" or "platform_v1"; None if no job has used the journal yet."""
        with mapping_sqlite_errors(self.path):
            api: str | None = self._connection.execute("SELECT api FROM job").fetchone()[0]
        return api

    @property
    def in_use(self) -> bool:
        """Whether a job, in any process, was using the journal when it was opened."""
        self._open()
        return self._file is not None and self._file.in_use

    def summary(self) -> dict[str, int]:
        """The number of requests in each state: planned, starting, started and settled."""
        with mapping_sqlite_errors(self.path):
            counts = dict(
                self._connection.execute("SELECT state, count(*) FROM runs GROUP BY state").fetchall()
            )
        if unknown := counts.keys() - set(STATES):
            raise damaged(self.path, f"unknown request state {min(map(str, unknown))!r}")
        return {state: counts.get(state, 0) for state in STATES}

    def statuses(self) -> dict[str, int]:
        """The number of settled runs in each status, most frequent first."""
        with mapping_sqlite_errors(self.path):
            rows = self._connection.execute(
                "SELECT coalesce(status, 'unknown'), count(*) FROM runs WHERE state = 'settled' "
                "GROUP BY status ORDER BY count(*) DESC, status"
            ).fetchall()
        return dict(rows)

    def entries(self, *, state: str | None = None, status: str | None = None) -> Entries:
        """The requests in the given state whose settled run has the given status, by default all.

        Iterate with `for` or `async for`. They are read in batches of 200; each batch sees the state at that
        time. Raises `ValueError` for an unknown `state`, `TypeError` unless `status` is a str.
        """
        if state is not None and state not in STATES:
            raise ValueError(f"state must be one of {', '.join(STATES)}, got {state!r}")
        if status is not None and not isinstance(status, str):
            raise TypeError(f"status must be a str, got {type(status).__name__}")
        return Entries(partial(self._read, state, None if status is None else str(status)))

    async def resolve(self, name: str, run: Run | PlatformRun | StartedRun | str) -> None:
        """Decide on a start in doubt: `run` is the run it made (a run, its handle or id), or "not started".

        The next call of the job awaits that run, or starts the request. A planned request may be given a run
        too. Raises `JournalError` when there is no such request, when it is started or settled, when the run
        belongs to another request, and while the job is running; `ValueError` for text that is no id, on the
        platform API no run's name; `TypeError` for arguments of another type.
        """
        if not isinstance(name, str):
            raise TypeError(f"name must be a str, got {type(name).__name__}")
        await finished(asyncio.ensure_future(asyncio.to_thread(self._resolve, name, run)))

    @property
    def _connection(self) -> sqlite3.Connection:
        self._open()
        assert self._database is not None  # noqa: S101 - _open has set it or raised
        return self._database

    def _open(self) -> None:
        if self._file is not None and self._file.inherited:
            self.close()
        if self._database is not None:
            return
        file = JournalFile(self.path, writing=False)
        if file.version == 1:
            file.close()
            with _writing(self.path):
                pass  # opening it for writing migrates it
            file = JournalFile(self.path, writing=False)
        try:
            self._database = file.connect()
        except BaseException:
            file.close()
            raise
        self._file = file

    def _read(self, state: str | None, status: str | None, after: int) -> list[tuple[int, JournalEntry]]:
        with mapping_sqlite_errors(self.path):
            database = self._connection
            api = self.api or ""
            rows = database.execute(
                f"SELECT {COLUMNS} FROM runs WHERE position > ? "  # noqa: S608
                + ("AND state = ? " if state is not None else "")
                + ("AND status = ? " if status is not None else "")
                + f"ORDER BY position LIMIT {_BATCH}",
                (after, *(value for value in (state, status) if value is not None)),
            ).fetchall()
            return [
                (
                    row[0],
                    _entry(
                        api,
                        entry_of(self.path, row),
                        database.execute(
                            "SELECT run FROM earlier_runs WHERE position = ? ORDER BY rowid", (row[0],)
                        ).fetchall(),
                    ),
                )
                for row in rows
            ]

    def _resolve(self, name: str, run: Any) -> None:
        with _writing(self.path) as database, mapping_sqlite_errors(self.path):
            row = database.execute(f"SELECT {COLUMNS} FROM runs WHERE name = ?", (name,)).fetchone()  # noqa: S608
            if row is None:
                raise JournalError(f"journal {self.path} holds no request {name!r}")
            entry = entry_of(self.path, row)
            api = database.execute("SELECT api FROM job").fetchone()[0]
            # Earlier versions recorded what is no id.
            open_again = entry.state == STARTED and not _is_usable(entry.run_id, api)
            if entry.state not in (STARTING, PLANNED) and not open_again:
                raise JournalError(
                    f"request {name!r} of journal {self.path} is not in doubt: it is {entry.state}, run "
                    f"{entry.run_id}"
                )
            if run == NOT_STARTED:
                database.execute(
                    f"UPDATE runs SET state = '{PLANNED}', since = NULL, start_window = NULL, run_id = NULL "  # noqa: S608
                    "WHERE name = ?",
                    (name,),
                )
                return
            run_id = _id_of(run, entry, api)
            other = database.execute(
                "SELECT name FROM runs WHERE run_id = :run AND name != :name UNION ALL SELECT runs.name FROM "
                "earlier_runs JOIN runs USING (position) WHERE earlier_runs.run_id = :run",
                {"run": run_id, "name": name},
            ).fetchone()
            if other is not None:
                raise JournalError(f"run {run_id} belongs to request {other[0]!r} in journal {self.path}")
            database.execute(
                f"UPDATE runs SET state = '{STARTED}', run_id = ? WHERE name = ?",  # noqa: S608
                (run_id, name),
            )


class _writing:  # noqa: N801 - used as a statement
    """An exclusive connection to the journal for the block."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def __enter__(self) -> sqlite3.Connection:
        if not self._path.exists():
            raise JournalError(f"there is no journal {self._path}")
        self._file = JournalFile(self._path, writing=True)
        try:
            self._database = self._file.connect()
        except BaseException:
            self._file.close()
            raise
        return self._database

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            self._file.disconnect(self._database)
        finally:
            self._file.close()


def _entry(api: str, entry: Entry, earlier: list[tuple[bytes | None]]) -> JournalEntry:
    return JournalEntry(
        name=entry.name,
        state=entry.state,
        status=entry.status,
        run_id=entry.run_id,
        attempts=entry.attempts,
        since=None if entry.since is None else datetime.fromtimestamp(entry.since, UTC),
        api=api,
        request_json=entry.request,
        run_json=entry.run,
        earlier_json=tuple(run for (run,) in earlier if run is not None),
    )


def _request_of(api: str, name: str, record: bytes) -> RunRequest | InvokeRequest:
    if api == PLATFORM_V1:
        from kognitos_async.platform_v1.encoding import request_of  # noqa: PLC0415 - loaded when used

        return request_of(record, name)
    from kognitos_async.rest_v2.bulk import request_of_body  # noqa: PLC0415 - loaded when used

    return request_of_body(record)


def _run_decoder(api: str) -> Callable[[bytes], Run | PlatformRun]:
    if api == PLATFORM_V1:
        from kognitos_async.platform_v1.bulk import RUN  # noqa: PLC0415 - loaded when used

        return RUN.decode
    from kognitos_async.rest_v2.bulk import RUN as RUN_V2  # noqa: PLC0415 - loaded when used

    return RUN_V2.decode


def _id_of(run: Any, entry: Entry, api: str | None) -> str:
    """The key under which a run is recorded: its id, on the platform API its full name."""
    run_id = run if isinstance(run, str) or not hasattr(run, "id") else run_key(run)
    if not isinstance(run_id, str) or not run_id.strip():
        raise TypeError(f"run must be a run, its id or {NOT_STARTED!r}, got {type(run).__name__}")
    if api != PLATFORM_V1:
        return checks.identifier("run", run_id)
    from kognitos_async.platform_v1.names import RUN, parse_name  # noqa: PLC0415 - loaded when used

    if "/" not in run_id:
        checks.identifier("run", run_id)
        run_id = f"{msgspec.json.decode(entry.request)['automation']}/runs/{run_id}"
    return str(parse_name("run", run_id, RUN))


def _is_usable(run_id: str | None, api: str | None) -> bool:
    """Whether a recorded run can be read by its id."""
    if api != PLATFORM_V1:
        return run_id is not None and checks.is_identifier(run_id)
    from kognitos_async.platform_v1.names import is_run_name  # noqa: PLC0415 - loaded when used

    return run_id is not None and is_run_name(run_id)
