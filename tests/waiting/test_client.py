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
    ClientClosedError,
    KognitosError,
    NotFoundError,
    PermissionDeniedError,
    PollPolicy,
    RetryPolicy,
    RunExceptionError,
    RunFailedError,
    RunStatus,
    RunStoppedError,
    StartUncertainError,
    UnknownStatusError,
    WaitTimeoutError,
)
from kognitos_async.testing import Schedule, faults
from tests.client.helpers import eventually, quiet

FAST_POLL = PollPolicy(initial=0.005, maximum=0.01)


@pytest.fixture
async def server(serve):
    """A server whose runs stay as they are until told otherwise."""
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


async def test_a_settled_run_needs_no_request(client, server):
    """A Run that has settled already, outputs and all, is returned without a request."""
    run = await client.runs.get(server.add_run(status="Stopped").id)
    before = server.count()
    assert await client.wait_for_run(run) == run
    assert server.count() == before


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


async def test_until_a_status_of_ones_own(client, server):
    """until= ends the wait in the statuses given, settled or not."""
    made = server.add_run(status="Running")
    run = await client.wait_for_run(made.id, until={RunStatus.RUNNING})
    assert (run.status, run.settled) == (RunStatus.RUNNING, False)


async def test_until_may_be_words(client, server):
    """until= may hold a word this version does not know, which then ends the wait."""
    made = server.add_run(status="Archived")
    assert (await client.wait_for_run(made.id, until={RunStatus("Archived")})).status == "Archived"


async def test_a_run_that_ended_otherwise_ends_the_wait(client, server):
    """A run that has ended outside `until` is returned: it will never get there."""
    made = server.add_run(status="Stopped")
    assert (await client.wait_for_run(made.id, until={RunStatus.SUCCEEDED})).status == RunStatus.STOPPED


async def test_exception_outside_until_is_waited_through(client, server):
    """A run in Exception may go on: with until without it, the wait does too."""
    made = server.add_run(status="Exception")
    wait = asyncio.create_task(client.wait_for_run(made.id, until={RunStatus.SUCCEEDED}))
    await asyncio.sleep(0.03)
    assert not wait.done()
    server.set_status(made.id, "Succeeded")
    assert (await wait).succeeded


async def test_timeout_has_the_last_run(client, server):
    """WaitTimeoutError, a TimeoutError, carries the run last seen, and pickles."""
    made = server.add_run(status="Running")
    with pytest.raises(TimeoutError) as caught:
        await client.wait_for_run(made.id, timeout=0.04)
    error = caught.value
    assert isinstance(error, WaitTimeoutError)
    assert (error.run.id, error.run.status) == (made.id, RunStatus.RUNNING)
    assert "0.04" in str(error)
    assert pickle.loads(pickle.dumps(error)).run == error.run


async def test_timeout_covers_a_request_that_hangs(client, server):
    """A timeout ends a wait in the middle of a request too; the run was then never seen."""
    made = server.add_run()
    server.misbehave("*", faults.hang(), times=None)
    loop = asyncio.get_running_loop()
    before = loop.time()
    with pytest.raises(WaitTimeoutError) as caught:
        await client.wait_for_run(made.id, timeout=0.05)
    assert caught.value.run is None
    assert loop.time() - before < 1


async def test_timeout_covers_the_sleep(server, connect):
    """A timeout ends a wait that sleeps for an hour between polls."""
    client = await connect(server, poll=PollPolicy(initial=3600, maximum=3600))
    run = await client.runs.start(server.process.id, name="x")
    with pytest.raises(WaitTimeoutError) as caught:
        await client.wait_for_run(run, timeout=0.02)
    assert caught.value.run == run


async def test_timeout_of_zero(client, server):
    """A timeout of 0 gives up without hanging, even on a run that has settled but was not read."""
    made = server.add_run(status="Running")
    with pytest.raises(WaitTimeoutError):
        await client.wait_for_run(made.id, timeout=0)


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
    """404s just after the start are patience: the wait goes on to the settled run."""
    server = await serve(schedule=Schedule.fixed(0.02))
    client = await connect(server)
    server.misbehave("get_run", faults.not_found(), times=4)
    server.misbehave("list_runs", faults.not_found(), times=4)
    run = await client.run_and_wait(server.process.id, name="x", timeout=8)
    assert run.succeeded
    assert server.count("get_run", status=404) + server.count("list_runs", status=404) > 0


async def test_not_visible_yet_by_its_id(serve, connect):
    """The patience is the same for the bare id of a run that this client has just started."""
    server = await serve(schedule=Schedule.fixed(0.02))
    client = await connect(server)
    run = await client.runs.start(server.process.id, name="x")
    handle = server.misbehave("get_run", faults.not_found(), times=3)
    assert (await client.wait_for_run(run.id, timeout=8)).succeeded
    assert handle.hits == 3


async def test_unknown_runs_end_a_wait_at_once(client, server):
    """The id of a run that was not just started ends the wait with NotFoundError on the first 404."""
    with pytest.raises(NotFoundError):
        await client.wait_for_run("no-such-run", timeout=8)
    assert server.count("get_run") == 1


@pytest.mark.parametrize(
    ("status", "kind"), [(400, BadRequestError), (401, AuthenticationError), (403, PermissionDeniedError)]
)
@pytest.mark.parametrize("by_id", [True, False])
async def test_what_polling_cannot_mend(client, server, status, kind, by_id):
    """400, 401 and 403 end a wait at once, although the run was only just started."""
    run = await client.runs.start(server.process.id, name="x")
    server.misbehave("get_run", faults.answer(status, b'{"message":"no"}'), times=None)
    server.misbehave("list_runs", faults.answer(status, b'{"message":"no"}'), times=None)
    with pytest.raises(kind):
        await client.wait_for_run(run.id if by_id else run, timeout=8)
    assert server.count("get_run") == 1


MENDABLE = {
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


@pytest.mark.parametrize("fault", MENDABLE.values(), ids=MENDABLE)
async def test_what_polling_may_mend(server, connect, fault):
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


async def test_trouble_to_the_end_is_the_cause(server, connect):
    """A wait that timed out among failing polls has the last failure as its cause."""
    client = await connect(server, retry=RetryPolicy(max_attempts=1))
    made = server.add_run(status="Running")
    server.misbehave("*", faults.server_error(500), times=None)
    with pytest.raises(WaitTimeoutError) as caught:
        await client.wait_for_run(made.id, timeout=0.05)
    assert caught.value.run is None
    assert caught.value.__cause__.status == 500


async def test_an_unknown_word_three_times(client, server):
    """A status word unknown to this version raises UnknownStatusError on the third poll, with the run."""
    made = server.add_run(status="Reticulating")
    with pytest.raises(UnknownStatusError) as caught:
        await client.wait_for_run(made.id, timeout=8)
    assert (caught.value.run.id, str(caught.value.run.status)) == (made.id, "Reticulating")
    assert not caught.value.run.settled
    assert server.count("get_run") == 3


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


async def test_unknown_words_may_be_waited_through(client, server):
    """unknown_status="wait" polls on."""
    made = server.add_run(status="Reticulating")
    poll = PollPolicy(initial=0.005, maximum=0.01, unknown_status="wait")
    wait = asyncio.create_task(client.wait_for_run(made.id, poll=poll))
    await eventually(lambda: server.count("get_run") > 5 or wait.done())
    assert not wait.done()
    server.set_status(made.id, "Succeeded")
    assert (await wait).succeeded


async def test_updates_are_told(client, server):
    """on_update hears of each status once, in order, the last one too."""
    made = server.add_run(status="Created")
    heard = []
    wait = asyncio.create_task(
        client.wait_for_run(made.id, on_update=lambda run: heard.append(str(run.status)))
    )
    for word, next_word in (("Created", "Running"), ("Running", "Succeeded")):
        await eventually(lambda word=word: word in heard)
        server.set_status(made.id, next_word)
    await wait
    assert heard == ["Created", "Running", "Succeeded"]


async def test_an_update_that_raises(client, server):
    """What on_update raises ends the wait as it is, and the client stays usable."""
    made = server.add_run(status="Running")

    def refuse(_run):
        raise LookupError("mine")

    with pytest.raises(LookupError, match="mine"):
        await client.wait_for_run(made.id, on_update=refuse)
    server.set_status(made.id, "Succeeded")
    assert (await client.wait_for_run(made.id)).succeeded


async def test_cancelling_stops_polling_and_nothing_else(client, server):
    """A cancelled wait polls no more, leaves the run alone, and the client goes on."""
    made = server.add_run(status="Running")
    wait = asyncio.create_task(client.wait_for_run(made.id))
    await eventually(lambda: server.count() > 1)
    wait.cancel()
    with pytest.raises(asyncio.CancelledError):
        await wait
    await quiet(server)
    assert made.status == "Running"
    assert (await client.health()).ok


async def test_a_fresh_run_is_polled_after_initial(server, connect):
    """A Run just started is first polled after `initial`, a bare id at once."""
    client = await connect(server, poll=PollPolicy(initial=0.04, maximum=0.04, jitter=0))
    run = await client.runs.start(server.process.id, name="x")
    started = server.log[-1].time
    with pytest.raises(WaitTimeoutError):
        await client.wait_for_run(run, timeout=0.05)
    assert server.log[1].time - started >= 0.035
    other = server.add_run(status="Running")
    before = server.count()
    with pytest.raises(WaitTimeoutError):
        await client.wait_for_run(other.id, timeout=0.03)
    assert server.count() == before + 1


async def test_waiting_for_several(client, server):
    """wait_for_runs yields each run as it settles, by Run or id."""
    made = [server.add_run(status="Running") for _ in range(3)]
    order = []
    async with client.wait_for_runs([made[0].id, await client.runs.get(made[1].id), made[2].id]) as runs:
        for place in (2, 0, 1):
            server.set_status(made[place].id, "Succeeded")
            order.append((await anext(runs)).id)
        with pytest.raises(StopAsyncIteration):
            await anext(runs)
    assert order == [made[2].id, made[0].id, made[1].id]


async def test_leaving_several_waits(client, server):
    """Leaving the block of wait_for_runs early ends all its polls."""
    made = [server.add_run(status="Running") for _ in range(5)]
    server.set_status(made[3].id, "Stopped")
    async with client.wait_for_runs([run.id for run in made]) as runs:
        assert (await anext(runs)).id == made[3].id
    await quiet(server)


async def test_one_of_several_fails(client, server):
    """What one wait raises is raised in its turn; the others are still to be had."""
    made = server.add_run(status="Running")
    async with client.wait_for_runs(["none", made.id]) as runs:
        with pytest.raises(NotFoundError):
            await anext(runs)
        server.set_status(made.id, "Succeeded")
        assert (await anext(runs)).id == made.id


WRONG = [
    ({"timeout": -1}, ValueError, "timeout"),
    ({"timeout": float("nan")}, ValueError, "timeout"),
    ({"timeout": "5"}, TypeError, "timeout"),
    ({"timeout": True}, TypeError, "timeout"),
    ({"until": "Succeeded"}, TypeError, "until"),
    ({"until": ()}, ValueError, "until"),
    ({"until": 5}, TypeError, "until"),
    ({"poll": 5}, TypeError, "poll"),
    ({"on_update": 5}, TypeError, "on_update"),
]


@pytest.mark.parametrize(("wrong", "kind", "word"), WRONG)
async def test_arguments_are_refused_before_a_start(client, server, wrong, kind, word):
    """A wrong argument of a wait is refused by name before run_and_wait starts anything."""
    with pytest.raises(kind, match=word):
        await client.run_and_wait(server.process.id, name="x", **wrong)
    with pytest.raises(kind, match=word):
        await client.wait_for_run("some-id", **wrong)
    assert server.count() == 0
    assert not server.runs


async def test_a_coroutine_function_is_no_callback(client, server):
    """An async on_update is refused: nobody would await it."""

    async def on_update(_run):
        pass

    with pytest.raises(TypeError, match="on_update"):
        await client.run_and_wait(server.process.id, name="x", on_update=on_update)
    assert server.count() == 0


@pytest.mark.parametrize("run", ["", None, 5, {"id": "x"}])
async def test_what_is_no_run(client, server, run):
    """Neither a Run nor an id is refused before anything is sent, by both waits."""
    with pytest.raises((ValueError, TypeError), match="run"):
        await client.wait_for_run(run)
    with pytest.raises((ValueError, TypeError), match="run"):
        client.wait_for_runs([run])
    assert server.count() == 0


async def test_waiting_on_a_closed_client(server, connect):
    """A wait on a client that is closed raises ClientClosedError instead of hanging."""
    client = await connect(server)
    made = server.add_run(status="Running")
    await client.aclose()
    with pytest.raises(ClientClosedError):
        await client.wait_for_run(made.id)
    assert issubclass(ClientClosedError, KognitosError)


async def test_an_unread_run_is_not_returned_when_time_is_up(client, server):
    """A succeeded run of a list that left its outputs out is read first, or the wait times out."""
    made = server.add_run(status="Succeeded", outputs={"the output total": 1})
    listed = msgspec.structs.replace(await client.runs.get(made.id), outputs=())
    server.misbehave("get_run", faults.hang(), times=None)
    with pytest.raises(WaitTimeoutError) as late:
        await client.wait_for_run(listed, timeout=0.1)
    assert late.value.run.id == made.id
