"""Resuming and showing journals of finished and interrupted jobs."""

from __future__ import annotations

import io
import sqlite3
import tempfile
from contextlib import contextmanager, redirect_stdout
from pathlib import Path
from typing import TYPE_CHECKING, Any

from benchmarks.emulator import emulator
from benchmarks.measuring import forget_peak, memory_now, peak_memory, run, spent
from kognitos_async import KognitosClient, PollPolicy, RunRequest
from kognitos_async.bulk.journal_writer import JournalWriter
from kognitos_async.rest_v2.bulk import RunJobs
from kognitos_async.rest_v2.encoding import encode_start

if TYPE_CHECKING:
    from collections.abc import Iterator

    from benchmarks.emulator import Emulated

RUN = (
    "CAST(json_object('id', 'run-' || position, 'name', name, 'agent_id', 'a', 'process_id', 'p', 'stage', "
    "'Published', 'status', 'Succeeded', 'created_at', '2026-01-01T00:00:00Z', 'file_ids', json_array(), "
    "'outputs', json_array(json_object('name', 'total', 'value', 42))) AS BLOB)"
)
"""SQL for the settled run of a row."""


def resume(*, entries: int) -> dict[str, float]:
    """`run_many` with a journal of settled requests: nothing is sent."""
    with _job(entries) as (emulated, journal):
        _rewrite(
            journal, f"state = 'settled', status = 'Succeeded', run_id = 'run-' || position, run = {RUN}"
        )
        memory = memory_now()
        forget_peak()
        took, cpu, outcomes = run(_run_all(emulated, journal, entries))
        if outcomes != entries or emulated.finish()["requests"]:
            raise AssertionError("the journal was not taken up")
        return {"seconds": took, "CPU s": cpu, "memory MB": peak_memory() - memory}


def show(*, entries: int) -> dict[str, float]:
    """`kognitos journal show`, including its import."""
    with _job(entries) as (_, journal):
        _rewrite(
            journal, f"state = 'settled', status = 'Succeeded', run_id = 'run-' || position, run = {RUN}"
        )
        with spent() as it, redirect_stdout(io.StringIO()):
            from kognitos_async.cli.app import run as command  # noqa: PLC0415 - it is measured

            code = command(["journal", "show", str(journal)])
        if code:
            raise AssertionError(f"exit code {code}")
        return {"seconds": it.seconds, "CPU s": it.cpu}


def doubts(*, doubts: int) -> dict[str, float]:
    """`run_many` with a journal of uncertain starts, none of which was executed."""
    with _job(doubts) as (emulated, journal):
        _rewrite(journal, "state = 'starting', attempts = 1, since = 1767225600")
        took, cpu, outcomes = run(
            _run_all(emulated, journal, doubts, max_in_flight=doubts, absence_delay=5.0)
        )
        report = emulated.finish()
        return {
            "readings of the list": report["first pages before a start"],
            "seconds": took,
            "CPU s": cpu,
            "outcomes": outcomes,
        }


@contextmanager
def _job(entries: int) -> Iterator[tuple[Emulated, Path]]:
    """An emulator, and the journal of a job interrupted before it sent anything."""
    with emulator(durations=(0.05, 0.05)) as emulated, tempfile.TemporaryDirectory() as folder:
        journal = Path(folder) / "job"
        run(_create(journal))
        with sqlite3.connect(journal) as database:
            database.executemany(
                "INSERT INTO runs (name, request, state, generation, content) VALUES (?, ?, 'planned', 1, ?)",
                _planned(emulated, entries),
            )
        database.close()
        yield emulated, journal


async def _create(journal: Path) -> None:
    async with JournalWriter(journal, api=RunJobs.api, fingerprint=bytes):
        pass


def _planned(emulated: Emulated, entries: int) -> Iterator[tuple[str, bytes, bytes]]:
    jobs: Any = object.__new__(RunJobs)  # its fingerprints need no client
    for request in _requests(emulated, entries):
        body = encode_start(request, emulated.agent_id, [])
        yield request.name, body, jobs.fingerprint(body)


def _requests(emulated: Emulated, entries: int) -> Iterator[RunRequest]:
    return (RunRequest(process_id=emulated.process_id, name=f"run {n}") for n in range(entries))


def _rewrite(journal: Path, assignments: str) -> None:
    with sqlite3.connect(journal) as database:
        database.execute(f"UPDATE runs SET {assignments}")
    database.close()


async def _run_all(
    emulated: Emulated, journal: Path, entries: int, max_in_flight: int = 100, absence_delay: float = 0.5
) -> tuple[float, float, int]:
    requests = _requests(emulated, entries)
    poll = PollPolicy(initial=0.1, maximum=0.5)
    async with KognitosClient(
        "test-key", base_url=emulated.base_url, agent_id=emulated.agent_id, poll=poll
    ) as client:
        count = 0
        with spent() as it:
            job = client.run_many(
                requests, journal=journal, max_in_flight=max_in_flight, absence_delay=absence_delay
            )
            async with job as outcomes:
                async for outcome in outcomes:
                    if outcome.error is not None:
                        raise outcome.error
                    count += 1
        return it.seconds, it.cpu, count
