"""The client's jobs on uvloop, which the `uvloop` extra brings."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest

from kognitos_async import ClientClosedError, KognitosClient, PollPolicy, RetryPolicy, RunRequest
from kognitos_async.testing import KognitosServer, Schedule, faults
from kognitos_async.throttle import Gate
from kognitos_async.waiting.poller import Poller

if TYPE_CHECKING:
    from collections.abc import Coroutine
    from pathlib import Path

uvloop = pytest.importorskip("uvloop")


def run(job: Coroutine[None, None, None]) -> None:
    with asyncio.Runner(debug=True, loop_factory=uvloop.new_event_loop) as runner:
        runner.run(job)


def client_of(server: KognitosServer) -> KognitosClient:
    return server.client(poll=PollPolicy(initial=0.02, maximum=0.1), retry=RetryPolicy(base_delay=0.01))


def test_upload_bulk_and_history(tmp_path: Path) -> None:
    document = tmp_path / "invoice.pdf"
    document.write_bytes(b"%PDF-1.4\n" + bytes(200_000))

    async def job() -> None:
        async with KognitosServer(schedule=Schedule.fixed(0.05)) as server, client_of(server) as client:
            server.misbehave("create_run", faults.reset(after_work=True), times=2)
            server.misbehave("get_run", faults.reset(after_work=False), times=2)
            file = await client.files.upload(document)
            requests = [
                RunRequest(process_id=server.process.id, name=f"uvloop {n}", file_ids=[file.id])
                for n in range(50)
            ]
            async with client.run_many(
                requests, journal=tmp_path / "journal", absence_delay=0.05
            ) as outcomes:
                found = [outcome.run async for outcome in outcomes]
            assert [one.succeeded for one in found if one] == [True] * 50
            assert server.duplicates() == {}
            listed = [one.name async for one in client.runs.list(server.process.id, limit=10)]
            assert sorted(listed) == sorted(request.name for request in requests)

    run(job())


def test_timeouts_cancellation_and_closing() -> None:
    async def job() -> None:
        async with KognitosServer(schedule=Schedule.manual()) as server:
            before = asyncio.all_tasks()
            async with client_of(server) as client:
                started = await client.runs.start(server.process.id, name="never settles")
                with pytest.raises(TimeoutError):
                    await client.wait_for_run(started, timeout=0.2)
                cancelled = asyncio.create_task(client.wait_for_run(started, timeout=None))
                await asyncio.sleep(0.1)
                cancelled.cancel()
                with pytest.raises(asyncio.CancelledError):
                    await cancelled
                cut_off = asyncio.create_task(client.wait_for_run(started, timeout=None))
                await asyncio.sleep(0.1)
            with pytest.raises(ClientClosedError):
                await cut_off
            async with asyncio.timeout(10):
                while asyncio.all_tasks() - before:  # noqa: ASYNC110 - the server's end a moment later
                    await asyncio.sleep(0.01)

    run(job())


def counted(monkeypatch: pytest.MonkeyPatch, owner: type, name: str) -> list[None]:
    """As many entries as there are calls of a method."""
    calls: list[None] = []
    original = getattr(owner, name)

    def counting(self: object, *arguments: object) -> object:
        calls.append(None)
        return original(self, *arguments)

    monkeypatch.setattr(owner, name, counting)
    return calls


def test_polls_that_are_not_yet_due_let_the_loop_sleep(monkeypatch: pytest.MonkeyPatch) -> None:
    """Uvloop's timers may fire 0.5 ms early; checking again at once would be a busy loop."""
    looks = counted(monkeypatch, Poller, "serve_due")

    async def job() -> None:
        async with KognitosServer(schedule=Schedule.fixed(1.0)) as server, client_of(server) as client:
            run = await client.runs.start(server.process.id, name="uvloop")
            looks.clear()
            await client.wait_for_run(run, poll=PollPolicy(initial=0.013, maximum=0.013))
            polls = server.count("list_runs") + server.count("get_run")
            # Before each poll the timer fires, and after it the next is set.
            assert len(looks) <= 2.2 * polls

    run(job())


def test_a_rate_limit_lets_the_loop_sleep(monkeypatch: pytest.MonkeyPatch) -> None:
    timers = counted(monkeypatch, Gate, "_on_timer")

    async def job() -> None:
        gate = Gate(max_concurrent=100, requests_per_second=150.0)
        for _ in range(60):
            await gate.enter(starts_run=False)
            gate.leave()

    run(job())
    assert len(timers) <= 60
