"""Invoking and waiting: one run, several, thousands; what settles, what is raised, what it costs."""

from __future__ import annotations

import asyncio
import random
from datetime import timedelta
from decimal import Decimal

import pytest

from kognitos_async import (
    AwaitingGuidanceError,
    InvokeRequest,
    JournalError,
    NotFoundError,
    PlatformRun,
    RunFailedError,
    RunState,
    RunStoppedError,
    StartUncertainError,
    UnknownStatusError,
    WaitTimeoutError,
)
from kognitos_async.platform_v1.names import Scope
from tests.platform.world import AUTOMATION, EPOCH, Platform
from tests.virtual_time import VirtualLoop, run_virtually


@pytest.mark.parametrize("bare_ids", [True, False])
def test_an_automation_is_invoked_and_waited_for(bare_ids):
    """By its id, with Python values in and out, whether the API answers with a full name or a bare id."""

    async def main():
        platform = Platform(bare_ids=bare_ids)
        async with platform.client() as client:
            started = await client.automations.invoke("a", {"amount": Decimal("12.50"), "name": "x"})
            assert started.name == f"{AUTOMATION}/runs/run0"
            assert (started.id, started.automation) == ("run0", AUTOMATION)
            seen = []
            run = await client.wait_for_run(started, on_update=lambda run: seen.append(run.state))
            assert run.state is RunState.COMPLETED
            assert run.succeeded
            assert run.settled
            assert run.outputs == {"total": 7}
            assert run.user_inputs == {"amount": Decimal("12.50"), "name": "x"}
            assert seen == ["executing", "completed"]
            assert run.raise_for_status() is run
            again = await client.run_and_wait("a", timeout=60)
            assert again.id == "run1"

    run_virtually(main())


FAILURES = [
    ("failed", {"id": "e1", "description": "no such sheet"}, RunFailedError, "no such sheet.*e1"),
    (
        "awaiting_guidance",
        {"exception": "x1", "description": "which vendor?"},
        AwaitingGuidanceError,
        "which vendor.*x1",
    ),
    ("awaiting_guidance", {}, AwaitingGuidanceError, "no description"),
    ("stopped", {"reason": "lunch"}, RunStoppedError, "lunch"),
    ("stopped", {}, RunStoppedError, "no reason"),
]


@pytest.mark.parametrize(("word", "body", "kind", "says"), FAILURES, ids=lambda value: str(value)[:20])
def test_what_does_not_complete_is_returned_and_raises_when_asked(word, body, kind, says):
    """Empty objects count: it is the presence of the member that tells the state."""

    async def main():
        platform = Platform()
        name = platform.add(word=word, body=body)
        async with platform.client() as client:
            run = await client.wait_for_run(name)
        assert run.state == word
        assert run.settled
        assert not run.succeeded
        assert run.outputs == {}
        with pytest.raises(kind, match=says) as caught:
            run.raise_for_status()
        assert caught.value.run is run
        assert (run.failure is not None) == (word == "failed")
        assert (run.guidance is not None) == (word == "awaiting_guidance")
        assert run.stop_reason == body.get("reason")

    run_virtually(main())


def test_a_narrower_wait_continues_while_a_person_is_needed():
    """Until the state requested, or a final one."""

    async def main():
        platform = Platform()
        name = platform.add(word="awaiting_guidance", body={})
        async with platform.client() as client:
            with pytest.raises(WaitTimeoutError) as caught:
                await client.wait_for_run(name, until={"completed"}, timeout=60)
            assert caught.value.run.state == "awaiting_guidance"
            platform.runs["run0"]["word"] = "failed"
            assert (await client.wait_for_run(name, until={"completed"})).state == "failed"

    run_virtually(main())


def test_after_a_reply_the_next_question_ends_the_wait():
    """Not the exception that was answered, for as long as the run shows it."""

    async def main():
        platform = Platform()
        name = platform.add(word="awaiting_guidance", body={"exception": "x1"}, settles=0)
        loop = asyncio.get_running_loop()
        async with platform.client() as client:
            first = await client.wait_for_run(name)
            assert first.guidance.exception == "x1"
            with pytest.raises(WaitTimeoutError) as caught:
                await client.wait_for_run(first, after=first, timeout=30)
            assert caught.value.run.guidance.exception == "x1"
            loop.call_later(5, platform.runs["run0"].update, {"body": {"exception": "x2"}})
            second = await client.wait_for_run(name, after=first, timeout=60)
            assert second.guidance.exception == "x2"
            loop.call_later(5, platform.runs["run0"].update, {"word": "completed", "body": {}})
            assert (await client.wait_for_run(second, after=second, timeout=60)).state == "completed"
            last = await client.wait_for_run(name)
            assert (await client.wait_for_run(name, after=last)).state == "completed"
            with pytest.raises(TypeError, match="after"):
                await client.wait_for_run(name, after=name)

    run_virtually(main())


def test_a_run_stopped_again_ends_the_wait_after_it_was_stopped():
    """No field identifies a stop, but between two of them the run continues."""

    async def main():
        platform = Platform()
        name = platform.add(word="stopped", body={}, settles=0)
        loop = asyncio.get_running_loop()
        async with platform.client() as client:
            stopped = await client.wait_for_run(name)
            loop.call_later(5, platform.runs["run0"].update, {"word": "executing"})
            loop.call_later(20, platform.runs["run0"].update, {"word": "stopped"})
            again = await client.wait_for_run(stopped, after=stopped, timeout=60)
            assert again.state == "stopped"
            assert 20 < loop.time() < 25

    run_virtually(main())


def test_a_state_this_version_does_not_know_is_not_waited_for_for_ever():
    """It is kept as it came, and never counts as settled."""

    async def main():
        platform = Platform()
        name = platform.add(word="hibernating", body={}, settles=0)
        platform.check = False
        async with platform.client() as client:
            with pytest.raises(UnknownStatusError) as caught:
                await client.wait_for_run(name)
        assert caught.value.run.state == "hibernating"
        assert not caught.value.run.settled

    run_virtually(main())


def test_a_bare_id_needs_its_automation():
    """Said before anything is sent; a run there is not is an error at once."""

    async def main():
        platform = Platform()
        platform.add()
        async with platform.client() as client:
            with pytest.raises(ValueError, match="pass its full name, or its automation"):
                await client.wait_for_run("run0")
            with pytest.raises(TypeError, match="run must be"):
                await client.wait_for_run(3)
            assert (await client.wait_for_run("run0", automation="a")).state == "completed"
            with pytest.raises(NotFoundError, match="no such run"):
                await client.wait_for_run("run9", automation="a")

    run_virtually(main())


def crowd(count, **options):
    async def main():
        platform = Platform(**options)
        platform.check = False
        chance = random.Random(5)
        for _ in range(3000):
            platform.add(after=-1e6, settles=-1e6)
        ends = {}
        async with platform.client() as client:
            names = []
            for number in range(count):
                name = platform.add(after=number / count - 1, settles=chance.uniform(2, 10))
                ends[name] = platform.runs[name.rpartition("/")[2]]["settles"]
                names.append(name)
            runs = [await client.runs.get(name) for name in names[:1]]
            started = [run_of(name, platform) for name in names]
            platform.count.clear()
            late = []
            async with client.wait_for_runs(started) as settled:
                async for run in settled:
                    late.append((platform.now() - ends[run.name]).total_seconds())
                    assert run.outputs == {"total": 7}
        assert len(late) == count
        assert runs
        return platform, sum(late) / count

    with asyncio.Runner(debug=False, loop_factory=VirtualLoop) as runner:
        return runner.run(main())


def run_of(name, platform):
    """The run as its start was seen."""
    created = platform.runs[name.rpartition("/")[2]]["created"]
    return PlatformRun(name=name, create_time=created, state_object={"pending": {}})


def test_two_thousand_waits_share_pages_of_a_thousand():
    """At most 0.05 requests a run, of runs created since the first of them."""
    platform, late = crowd(2000)
    assert sum(platform.count.values()) <= 0.05 * 2000
    assert platform.page_sizes == {1000}
    assert all(text and text.startswith('create_time >= "2025-12-31T23:59:59') for text in platform.filters)
    assert late < 2


def test_outputs_that_a_list_leaves_out_cost_one_reading_each():
    """And no more."""
    platform, _ = crowd(2000, list_outputs=False)
    assert platform.count["get"] <= 2000
    assert platform.count["list"] <= 0.05 * 2000


# Starts whose answer is lost


def test_a_lost_invocation_is_in_doubt_and_can_be_looked_up():
    """By its time, stage and inputs; never sent again by itself."""

    async def main():
        platform = Platform()
        platform.lost = 1
        async with platform.client() as client:
            with pytest.raises(StartUncertainError, match="automations/a") as caught:
                await client.automations.invoke("a", {"n": 1, "flag": True})
            error = caught.value
            await asyncio.sleep(1)
            platform.add(inputs={"n": {"number": {"lo": 2}}, "flag": {"bool_value": True}})
            platform.add(inputs={"n": {"number": {"lo": 1}}, "flag": {"number": {"lo": 1}}})
            platform.add(inputs={"n": {"number": {"lo": 1}}, "flag": {"bool_value": True}}, source="SCHEDULE")
            platform.add(inputs={"n": {"number": {"lo": 1}}})
            since = EPOCH - timedelta(seconds=1)
            found = await client.runs.find_started(error.request, since=since)
            assert [run.id for run in found] == ["run0"]
            assert await client.runs.find_started(error.request, since=EPOCH + timedelta(hours=1)) == []
        assert platform.count["invoke"] == 1

    run_virtually(main())


def bulk(platform, requests, path, **options):
    async def main():
        async with platform.client() as client:
            job = client.run_many(requests, journal=path, **{"absence_delay": 1, **options})
            async with job as outcomes:
                return [outcome async for outcome in outcomes]

    return run_really(main())


def run_really(main):
    """Journals are written by threads, which the virtual clock does not wait for."""
    with asyncio.Runner(debug=True) as runner:
        return runner.run(main)


def requests_of(count):
    return [InvokeRequest(automation="a", inputs={"n": n}) for n in range(count)]


def brisk(**options):
    platform = Platform(latency=0.001, **options)
    platform.longest = 0.05
    original = platform.client
    from kognitos_async import PollPolicy  # noqa: PLC0415

    platform.client = lambda: original(poll=PollPolicy(initial=0.02, maximum=0.05))
    return platform


def test_many_invocations_once_each(tmp_path):
    """With a journal that a second call finds complete."""
    platform = brisk()
    path = tmp_path / "journal"
    got = bulk(platform, requests_of(20), path)
    assert all(o.error is None and o.run.outputs == {"total": 7} for o in got)
    assert platform.count["invoke"] == 20
    again = bulk(platform, requests_of(20), path)
    assert all(o.resumed and o.run.outputs == {"total": 7} for o in again)
    assert [o.request.inputs["n"] for o in again] == list(range(20))
    assert platform.count["invoke"] == 20


def test_a_lost_invocation_of_a_job_is_adopted_when_only_one_run_can_be_it(tmp_path):
    """And never sent again."""
    platform = brisk()
    platform.lost = 1
    got = bulk(platform, requests_of(5), tmp_path / "journal", absence_delay=0.05)
    assert all(o.error is None for o in got)
    assert platform.count["invoke"] == len(platform.runs) == 5


def test_a_lost_invocation_that_cannot_be_found_stays_in_doubt(tmp_path):
    """Absence proves nothing here: it is an outcome of its own, now and after a resumption."""
    platform = brisk()
    platform.lost = 1
    add = platform.add

    def hidden(**fields):
        name = add(**fields)
        if len(platform.runs) == 1:
            platform.runs["run0"]["inputs"] = {"n": {"text": "changed by the API"}}
        return name

    platform.add = hidden
    path = tmp_path / "journal"
    for _ in range(2):
        got = bulk(platform, requests_of(5), path, absence_delay=0.05)
        [doubtful] = [o for o in got if o.error is not None]
        assert isinstance(doubtful.error, StartUncertainError)
        assert platform.count["invoke"] == 5


def test_runs_of_another_organization(tmp_path):
    """Named on purpose, they are invoked, looked up and waited for as those of the client's own."""
    platform = brisk()
    platform.lost = 1
    theirs = platform.client

    def other():
        client = theirs()
        client._scope = client.runs._scope = client.automations._scope = Scope("mine", "w")
        return client

    platform.client = other
    requests = [InvokeRequest(automation=AUTOMATION, inputs={"n": n}, organization_id="o") for n in range(3)]
    for resumed in (False, True):
        got = bulk(platform, requests, tmp_path / "journal", absence_delay=0.05)
        assert all(o.error is None and o.run.succeeded and o.resumed == resumed for o in got), got
    assert platform.count["invoke"] == 3
    [refused] = bulk(platform, [InvokeRequest(automation=AUTOMATION)], None)
    assert "organization 'o'" in str(refused.error)


def test_equal_requests_need_names_in_a_journal(tmp_path):
    """Or one of them is taken for the other."""
    platform = brisk()
    twice = [InvokeRequest(automation="a", inputs={"n": 1})] * 2
    got = bulk(platform, twice, tmp_path / "one")
    assert sorted(type(o.error).__name__ for o in got) == ["DuplicateNameError", "NoneType"]
    assert all(o.error is None or isinstance(o.error, JournalError) for o in got)
    named = [InvokeRequest(automation="a", inputs={"n": 1}, name=f"copy {n}") for n in range(2)]
    assert all(o.error is None for o in bulk(platform, named, tmp_path / "two"))
    assert platform.count["invoke"] == 3


def test_requests_that_cannot_be_sent_are_outcomes(tmp_path):
    """They do not stop other requests."""
    platform = brisk()
    requests = [InvokeRequest(automation="a", inputs={"n": object()}), 3, *requests_of(2)]
    got = bulk(platform, requests, tmp_path / "journal")
    assert [o.error is None for o in got].count(True) == 2
    assert platform.count["invoke"] == 2


# Following


def test_runs_are_followed():
    """Each as it appears and as its state changes."""

    async def main():
        platform = Platform()
        seen = []
        async with platform.client() as client, client.runs.follow("a", since=EPOCH) as runs:
            platform.add()
            async for run in runs:
                seen.append((run.id, str(run.state)))
                if len(seen) == 1:
                    platform.add(word="stopped", body={})
                if len(seen) == 4:
                    break
        assert sorted(seen) == [
            ("run0", "completed"),
            ("run0", "executing"),
            ("run1", "executing"),
            ("run1", "stopped"),
        ]

    run_virtually(main())
