"""Waiting for one run through the client: what ends a wait and what does not."""

from __future__ import annotations

import asyncio
import pickle

import msgspec
import pytest

from kognitos_async import (
    SETTLED,
    AuthenticationError,
    BadRequestError,
    PermissionDeniedError,
    PollPolicy,
    RetryPolicy,
    RunExceptionError,
    RunFailedError,
    RunStatus,
    RunStoppedError,
    StartUncertainError,
    WaitTimeoutError,
)
from kognitos_async.testing import Schedule, faults
from tests.support import eventually

FAST_POLL = PollPolicy(initial=0.005, maximum=0.01)


@pytest.fixture
async def server(serve):
    """A server whose runs keep their status until a test changes it."""
    return await serve(schedule=Schedule.manual())


@pytest.mark.parametrize("word", sorted(SETTLED))
async def test_every_settled_word_ends_a_wait(client, server, word):
    """A run settled in any of the six words is returned, a failed one too."""
    made = server.add_run(status=str(word))
    run = await client.wait_for_run(made.id)
    assert (run.id, run.status, run.settled) == (made.id, word, True)


@pytest.mark.parametrize(
    ("word", "kind"),
    [
        ("Exception", RunExceptionError),
        ("Stopped", RunStoppedError),
        ("Cancelled", RunStoppedError),
        ("Failed", RunFailedError),
        ("TimedOut", RunFailedError),
    ],
)
async def test_a_failed_run_raises_when_asked(client, server, word, kind):
    """raise_for_status() of a run that did not succeed raises its own error with the run."""
    run = await client.wait_for_run(server.add_run(status=word).id)
    with pytest.raises(kind) as caught:
        run.raise_for_status()
    assert caught.value.run is run


async def test_outputs_come_along(client, server):
    """A run waited for comes with its outputs."""
    made = server.add_run(status="Succeeded", outputs={"total": 5})
    assert (await client.wait_for_run(made.id)).outputs_by_name == {"total": 5}


async def test_start_and_wait(serve, connect):
    """run_and_wait starts one run and returns it settled, with outputs, all arguments passed on."""
    server = await serve(schedule=Schedule.fixed(0.03))
    client = await connect(server)
    run = await client.run_and_wait(server.process.id, name="x", stage="Draft", inputs={"n": 2}, timeout=5)
    assert (run.succeeded, run.stage, run.outputs_by_name["the output total"]) == (True, "Draft", 2)
    assert list(server.runs) == [run.id]


async def test_a_succeeded_run_of_a_list_gets_its_outputs(serve, connect):
    """A succeeded run from a list that leaves outputs out is completed by a read."""
    server = await serve(list_outputs=False)
    client = await connect(server)
    server.add_run(status="Succeeded", outputs={"a": 1})
    [listed] = await client.runs.list(server.process.id).collect()
    assert listed.outputs == ()
    assert (await client.wait_for_run(listed)).outputs_by_name == {"a": 1}


async def test_many_waits_get_outputs(serve, connect):
    """Waits that share polls return complete runs although the list leaves outputs out."""
    server = await serve(list_outputs=False, schedule=Schedule.fixed(0.05))
    client = await connect(server)
    runs = [await client.runs.start(server.process.id, name=f"r{n}", inputs={"n": n}) for n in range(20)]
    done = await asyncio.gather(*(client.wait_for_run(run, timeout=8) for run in runs))
    assert [run.id for run in done] == [run.id for run in runs]
    assert [run.outputs_by_name["the output total"] for run in done] == list(range(20))


async def test_two_waits_on_one_run(client, server):
    """Two waits on one run end together; cancelling one leaves the other."""
    made = server.add_run()
    waits = [asyncio.create_task(client.wait_for_run(made.id)) for _ in range(3)]
    await asyncio.sleep(0.02)
    waits[0].cancel()
    server.set_status(made.id, "Succeeded")
    results = await asyncio.gather(*waits, return_exceptions=True)
    assert isinstance(results[0], asyncio.CancelledError)
    assert [run.id for run in results[1:]] == [made.id, made.id]


async def test_timeout_has_the_last_run(client, server):
    """WaitTimeoutError, a TimeoutError, carries the run last seen, and pickles."""
    made = server.add_run(status="Running")
    with pytest.raises(TimeoutError) as caught:
        await client.wait_for_run(made.id, timeout=0.04)
    error = caught.value
    assert isinstance(error, WaitTimeoutError)
    assert (error.run.id, error.run.status) == (made.id, RunStatus.RUNNING)
    assert "0.04" in str(error)
    copied = pickle.loads(pickle.dumps(error))
    assert (copied.run, copied.run_id) == (error.run, made.id)


async def test_timeout_covers_a_request_that_hangs(client, server):
    """A timeout ends a wait in the middle of a request too; the run was then never seen."""
    made = server.add_run()
    server.misbehave("*", faults.hang(), times=None)
    loop = asyncio.get_running_loop()
    before = loop.time()
    with pytest.raises(WaitTimeoutError) as caught:
        await client.wait_for_run(made.id, timeout=0.05)
    assert (caught.value.run, caught.value.run_id) == (None, made.id)
    assert loop.time() - before < 1


async def test_run_and_wait_times_out_with_the_run(client, server):
    """run_and_wait that runs out of time has started the run and says which."""
    with pytest.raises(WaitTimeoutError) as caught:
        await client.run_and_wait(server.process.id, name="x", timeout=0.03)
    assert [caught.value.run.id] == list(server.runs)


async def test_run_and_wait_never_cuts_the_start_short(server, connect):
    """A timeout shorter than the start leaves the start to its end: the run is known, not in doubt."""
    client = await connect(server)
    server.misbehave("create_run", faults.slow_body(0.04, chunks=2))
    with pytest.raises(WaitTimeoutError) as caught:
        await client.run_and_wait(server.process.id, name="x", timeout=0.001)
    assert [caught.value.run.id] == list(server.runs)


async def test_run_and_wait_in_doubt(client, server):
    """A start in doubt ends run_and_wait with StartUncertainError, without a second start."""
    server.misbehave("create_run", faults.reset(after_work=True))
    with pytest.raises(StartUncertainError):
        await client.run_and_wait(server.process.id, name="x")
    assert len(server.runs) == 1


async def test_not_visible_yet(serve, connect):
    """404s just after the start do not end the wait."""
    server = await serve(schedule=Schedule.fixed(0.02))
    client = await connect(server)
    server.misbehave("get_run", faults.not_found(), times=4)
    server.misbehave("list_runs", faults.not_found(), times=4)
    run = await client.run_and_wait(server.process.id, name="x", timeout=8)
    assert run.succeeded
    assert server.count("get_run", status=404) + server.count("list_runs", status=404) > 0


@pytest.mark.parametrize(
    ("status", "kind"), [(400, BadRequestError), (401, AuthenticationError), (403, PermissionDeniedError)]
)
@pytest.mark.parametrize("by_id", [True, False])
async def test_errors_that_polling_cannot_help(client, server, status, kind, by_id):
    """400, 401 and 403 end a wait at once, although the run was only just started."""
    run = await client.runs.start(server.process.id, name="x")
    server.misbehave("get_run", faults.answer(status, b'{"message":"no"}'), times=None)
    server.misbehave("list_runs", faults.answer(status, b'{"message":"no"}'), times=None)
    with pytest.raises(kind):
        await client.wait_for_run(run.id if by_id else run, timeout=8)
    assert server.count("get_run") == 1


TRANSIENT = {
    "500": faults.server_error(500),
    "503": faults.unavailable(),
    "proxy 502": faults.proxy_error(502),
    "html 200": faults.html_page(200),
    "reset": faults.reset(after_work=False),
    "cut": faults.cut_body(),
    "429": faults.rate_limited(0.01),
    "wrong json": faults.wrong_json(b'{"id": "x'),
    "408": faults.answer(408, b"{}"),
}


@pytest.mark.parametrize("fault", TRANSIENT.values(), ids=TRANSIENT)
async def test_transient_errors_do_not_end_a_wait(server, connect, fault):
    """Whatever may pass does not end a wait, even when the retries of one poll are used up."""
    client = await connect(server, retry=RetryPolicy(max_attempts=1))
    made = server.add_run(status="Running")
    # Two polls fail, at the least: aiohttp itself sends a reset GET again once.
    handle = server.misbehave("*", fault, times=3)
    wait = asyncio.create_task(client.wait_for_run(made.id, timeout=8))
    await eventually(lambda: handle.hits == 3 or wait.done())
    assert not wait.done()
    server.set_status(made.id, "Succeeded")
    assert (await wait).succeeded


async def test_an_unknown_word_twice_is_nothing(client, server):
    """Two unknown words and then a known one, again and again, do not end a wait."""
    made = server.add_run(status="Running")
    server.misbehave("get_run", faults.status_word("Reticulating"), times=2)
    server.misbehave("get_run", faults.status_word("Running"), times=1)
    handle = server.misbehave("get_run", faults.status_word("Reticulating"), times=2)
    wait = asyncio.create_task(client.wait_for_run(made.id, timeout=8))
    await eventually(lambda: handle.hits == 2 or wait.done())
    assert not wait.done()
    server.set_status(made.id, "Succeeded")
    assert (await wait).succeeded


async def test_an_unread_run_is_not_returned_when_time_is_up(client, server):
    """A succeeded run of a list that left its outputs out is read first, or the wait times out."""
    made = server.add_run(status="Succeeded", outputs={"the output total": 1})
    listed = msgspec.structs.replace(await client.runs.get(made.id), outputs=())
    server.misbehave("get_run", faults.hang(), times=None)
    with pytest.raises(WaitTimeoutError) as late:
        await client.wait_for_run(listed, timeout=0.1)
    assert late.value.run.id == made.id


@pytest.mark.parametrize("unusable", ["", ".", "..", "r\n"])
async def test_a_run_without_a_usable_id_is_refused_at_the_call(serve, connect, unusable):
    """As the id itself is; other waits are not affected."""
    server = await serve(schedule=Schedule.fixed(0.05))
    client = await connect(server)
    run = await client.runs.start(server.process.id, name="r")
    bad = msgspec.structs.replace(run, id=unusable)
    async with asyncio.TaskGroup() as group:
        good = group.create_task(client.wait_for_run(run, timeout=5))
        with pytest.raises(ValueError, match=r"run\.id must be"):
            await client.wait_for_run(bad)
        for call in (client.watch_run, lambda one: client.wait_for_runs([one])):
            with pytest.raises(ValueError, match=r"run\.id must be"):
                call(bad)
    assert good.result().settled


async def test_a_platform_run_without_a_usable_name_is_refused_at_the_call(serve):
    """As the name itself is."""
    server = await serve(schedule=Schedule.fixed(0.05))
    async with server.platform_client() as client:
        run = await client.automations.invoke(server.platform.automation.id)
        bad = msgspec.structs.replace(run, name=f"{run.automation}/runs/..")
        with pytest.raises(ValueError, match="run must be"):
            await client.wait_for_run(bad)
        for call in (client.watch_run, lambda one: client.wait_for_runs([one])):
            with pytest.raises(ValueError, match="run must be"):
                call(bad)
