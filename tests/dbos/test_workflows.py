"""One worker on SQLite: what users of `KognitosWorkflows` see."""

from __future__ import annotations

import asyncio
import functools
import os

import pytest

from kognitos_async import (
    BadRequestError,
    ConfigurationError,
    FileSource,
    InvokeRequest,
    KognitosError,
    RunRequest,
    StartUncertainError,
    UploadError,
)
from kognitos_async.integrations.dbos import ChangedWorkflowError, OnSettledError, WorkflowCancelledError
from kognitos_async.testing import Schedule, faults
from tests.fork_server import ENGINE
from tests.support import RETRY, dbos_on_sqlite, eventually

pytestmark = dbos_on_sqlite


@pytest.fixture(params=["sqlite", "postgres"])
def either_url(request, database_url):
    """A database of either kind."""
    return request.getfixturevalue("postgres_url") if request.param == "postgres" else database_url


def request_of(server, name="invoice 1", **changes):
    return RunRequest(**{"process_id": server.process.id, "name": name, **changes})


async def test_each_request_becomes_one_run(make, server):
    """Enqueued before anybody works, by another client of the database, and waited for."""
    anybody = make()
    handles = [await anybody.enqueue(request_of(server, f"invoice {n}", inputs={"n": n})) for n in range(5)]
    assert [await handle.status() for handle in handles] == ["ENQUEUED"] * 5
    make().launch()
    runs = [await handle.result() for handle in handles]
    assert [run.name for run in runs] == [f"invoice {n}" for n in range(5)]
    assert all(run.succeeded for run in runs)
    assert server.count("create_run") == 5
    status = await anybody.status()
    assert (status.settled, status.open, status.done) == ({"Succeeded": 5}, 0, 5)


async def test_enqueueing_again_is_the_same_workflow(make, server):
    """From anywhere and at any time, its inputs in any order; with other inputs it is an error."""
    kognitos = make()
    kognitos.launch()
    first = await kognitos.enqueue(request_of(server, inputs={"a": 1, "b": 2}))
    second = await make().enqueue(request_of(server, inputs={"b": 2, "a": 1}))
    assert first.workflow_id == second.workflow_id
    run = await second.result()
    with pytest.raises(ChangedWorkflowError, match="'invoice 1'"):
        await kognitos.enqueue(request_of(server, inputs={"a": 2}))
    third = await kognitos.enqueue(request_of(server, inputs={"a": 1, "b": 2}))
    assert await third.result() == run
    assert list(server.runs) == [run.id]


async def test_a_lost_answer_is_looked_up(make, server):
    """The run was made, so it is found; it was not, so it is started again: one run each."""
    server.misbehave("create_run", faults.reset(after_work=True), times=1)
    server.misbehave("create_run", faults.reset(after_work=False), times=1)
    kognitos = make()
    kognitos.launch()
    handles = [await kognitos.enqueue(request_of(server, name)) for name in ("made", "not made")]
    assert [(await handle.result()).name for handle in handles] == ["made", "not made"]
    assert server.duplicates() == {}
    assert len(server.runs) == 2


async def test_full_organizations_and_rates_are_waited_for(make, server):
    """As long as it takes: the workflow has no other outcome than its run."""
    server.misbehave("create_run", faults.capacity_reached(), times=6)
    server.misbehave("create_run", faults.rate_limited(0), times=1)
    kognitos = make()
    kognitos.launch()
    assert (await (await kognitos.enqueue(request_of(server))).result()).succeeded
    assert len(server.runs) == 1


async def test_what_the_api_refuses_is_the_outcome(make, server):
    """As the error it is, until somebody lets the workflow go on."""
    fault = server.misbehave("create_run", faults.refused(400, "no such input"))
    kognitos = make()
    kognitos.launch()
    handle = await kognitos.enqueue(request_of(server))
    with pytest.raises(BadRequestError, match="no such input"):
        await handle.result()
    assert (await kognitos.status()).refused == 1
    fault.cancel()
    assert (await (await kognitos.resolve("invoice 1", not_started=True)).result()).succeeded


async def test_files_are_uploaded_once(make, server, tmp_path):
    """Also where the start behind them has to be done again by somebody else."""
    path = tmp_path / "scan.pdf"
    path.write_bytes(b"content")
    fault = server.misbehave("create_run", faults.refused(400, "no"))
    files = [path, FileSource(b"more", "more.txt")]
    kognitos = make()
    kognitos.launch()
    handle = await kognitos.enqueue(request_of(server, files=files))
    with pytest.raises(BadRequestError):
        await handle.result()
    path.unlink()
    fault.cancel()
    run = await (await kognitos.resolve("invoice 1", not_started=True)).result()
    assert len(run.file_ids) == 2
    assert server.count("create_file") == 2


async def test_uploads_are_retried_like_starts(make, server):
    """As long as the service fails, and longer than the client does for itself."""
    server.misbehave("create_file", faults.server_error(500), times=6)
    kognitos = make(client={"retry": RETRY})
    kognitos.launch()
    request = request_of(server, files=[FileSource(b"content", "scan.pdf")])
    assert (await (await kognitos.enqueue(request)).result()).succeeded
    assert server.count("create_file") == 7
    assert len(server.runs) == 1


async def test_what_has_no_upload_goes_on_when_resolved(make, server, tmp_path):
    """With the file that is there now, or with a run that a person has started; other files stay uploaded."""
    kognitos = make()
    kognitos.launch()
    paths = [tmp_path / "here.pdf", tmp_path / "gone.pdf"]
    paths[0].write_bytes(b"content")
    handles = [await kognitos.enqueue(request_of(server, name, files=paths)) for name in ("a:b", "b")]
    for handle in handles:
        with pytest.raises(UploadError, match=r"gone.pdf cannot be read: No such file"):
            await handle.result()
    assert (await kognitos.status()).refused == 2
    made = server.add_run(name="b", status="Succeeded")
    assert (await (await kognitos.resolve("b", run=made.id)).result()).id == made.id
    paths[1].write_bytes(b"more")
    run = await (await kognitos.resolve("a:b", not_started=True)).result()
    assert len(run.file_ids) == 2
    assert server.count("create_file") == 3
    assert server.count("create_run") == 1
    with pytest.raises(KognitosError, match="no workflow of that name"):
        await kognitos.resolve("b", run=made.id)


async def test_a_request_cancelled_in_the_queue_goes_on_when_resolved(make, server, either_url):
    """Nothing was recorded about its start; a name that ends alike is another one's."""
    kognitos = make(database_url=either_url)
    for name in ("invoice 1", "its:invoice 1"):
        await (await kognitos.enqueue(request_of(server, name))).cancel()
    kognitos.launch()
    assert (await kognitos.status()).cancelled == 2
    resolved = await kognitos.resolve("invoice 1", not_started=True)
    assert (await resolved.result()).name == "invoice 1"
    assert (await kognitos.status()).cancelled == 1
    assert len(server.runs) == 1


async def test_of_two_that_resolve_at_once_one_gets_an_error(make, server):
    """And the request is started once."""
    kognitos = make()
    handle = await kognitos.enqueue(request_of(server))
    await handle.cancel()
    both = (one.resolve("invoice 1", not_started=True) for one in (kognitos, make()))
    done = await asyncio.gather(*both, return_exceptions=True)
    [refused] = [str(one) for one in done if isinstance(one, KognitosError)]
    assert refused.startswith("'invoice 1' cannot be resolved: ")
    kognitos.launch()
    assert (await handle.result()).succeeded
    assert len(server.runs) == 1


async def test_a_cancelled_wait_goes_on_when_resolved(make, server, either_url):
    """With the run that was started, which is never started again."""
    server.schedule = Schedule.fixed(3600)
    kognitos = make(database_url=either_url)
    kognitos.launch()
    handle = await kognitos.enqueue(request_of(server))
    await eventually(lambda: len(server.runs) == 1)
    while not (await kognitos.status()).running:  # noqa: ASYNC110 - recorded by the worker, without an event
        await asyncio.sleep(0.05)
    await handle.cancel()
    with pytest.raises(WorkflowCancelledError):
        await handle.result()
    [run] = server.runs
    for decision in ({"not_started": True}, {"run": "another"}):
        with pytest.raises(KognitosError, match=f"already has run {run}, give that one"):
            await kognitos.resolve("invoice 1", **decision)
    resolved = await kognitos.resolve("invoice 1", run=run)
    server.set_status(run, "Succeeded")
    assert (await resolved.result()).id == run
    assert server.count("create_run") == 1


async def test_cancelling_stops_waiting_and_nothing_else(make, server):
    """The run goes on, nobody asks for it any more, and others are not touched."""
    server.schedule = Schedule.fixed(3600)
    kognitos = make()
    kognitos.launch()
    handle = await kognitos.enqueue(request_of(server))
    await eventually(lambda: len(server.runs) == 1)
    await handle.cancel()
    with pytest.raises(WorkflowCancelledError, match="'invoice 1'"):
        await handle.result()
    assert [str(run.status) for run in server.runs.values()] == ["Running"]
    assert (await kognitos.status()).cancelled == 1


async def test_on_settled_is_called_with_each_run(make, server):
    """A function or a coroutine function, a step of its own."""
    seen = []

    async def note(run):
        seen.append((run.name, run.succeeded))

    kognitos = make(on_settled=note)
    kognitos.launch()
    await (await kognitos.enqueue(request_of(server))).result()
    assert seen == [("invoice 1", True)]


async def test_a_run_that_was_not_handed_on_is_seen_and_handed_on_when_resolved(make, server):
    """Its function is called several times; the run is neither started again nor replaced by another."""
    seen = []
    broken = True

    def note(run):
        seen.append(run.name)
        if broken:
            raise ConnectionError("the booking system is down")

    kognitos = make(on_settled=note)
    kognitos.launch()
    handle = await kognitos.enqueue(request_of(server))
    with pytest.raises(OnSettledError, match="ConnectionError: the booking system is down") as caught:
        await handle.result()
    [run] = server.runs
    assert caught.value.run_id == run
    assert seen == ["invoice 1"] * 7
    status = await kognitos.status()
    assert (status.not_handed_on, status.settled, status.open, status.done) == (1, {}, 0, 1)
    for decision in ({"not_started": True}, {"run": "another"}):
        with pytest.raises(KognitosError, match=f"it already has run {run}"):
            await kognitos.resolve("invoice 1", **decision)
    broken = False
    assert (await (await kognitos.resolve("invoice 1", run=run)).result()).id == run
    assert seen == ["invoice 1"] * 8
    assert (await kognitos.status()).settled == {"Succeeded": 1}
    assert server.count("create_run") == 1


async def test_the_next_worker_goes_on(make, server):
    """A run that was started is waited for, not started again, by a process that comes later."""
    first = make()
    first.launch()
    server.misbehave("get_run", faults.unavailable(0))
    server.misbehave("list_runs", faults.unavailable(0))
    handle = await first.enqueue(request_of(server))
    await eventually(lambda: len(server.runs) == 1)
    await asyncio.to_thread(first.close)
    server.behave()
    second = make()
    second.launch()
    run = await (await second.enqueue(request_of(server))).result()
    assert list(server.runs) == [run.id]
    assert handle.workflow_id == (await second.handle(request_of(server))).workflow_id


async def test_the_capacity_is_kept(make, server):
    """No start is refused for want of room, whatever capacity an earlier worker had."""
    server._world.capacity = 2
    earlier = make(capacity=5)
    earlier.launch()
    await asyncio.to_thread(earlier.close)
    kognitos = make(capacity=2)
    kognitos.launch()
    handles = [await kognitos.enqueue(request_of(server, f"invoice {n}")) for n in range(5)]
    await asyncio.gather(*(handle.result() for handle in handles))
    assert server.count("create_run") == 5


async def test_invocations_of_the_platform(make_platform, server):
    """The same; a lost invocation that is not found is never sent again."""
    kognitos = make_platform()
    kognitos.launch()
    automation = server.platform.automation.id
    handle = await kognitos.enqueue(InvokeRequest(automation=automation, inputs={"n": 1}, name="good"))
    run = await handle.result()
    assert run.succeeded
    with pytest.raises(ChangedWorkflowError):
        await kognitos.enqueue(InvokeRequest(automation=automation, inputs={"n": 2}, name="good"))
    server.misbehave("InvokeAutomation", faults.reset(after_work=False), times=1)
    lost = await kognitos.enqueue(InvokeRequest(automation=automation, inputs={"n": 3}, name="lost"))
    with pytest.raises(StartUncertainError):
        await lost.result()
    assert (await kognitos.status()).undecided == ["lost"]
    with pytest.raises(ValueError, match="exactly one of run and not_started"):
        await kognitos.resolve("lost")
    for wrong in ("abc\n", "..", "automations/x/runs/r"):
        with pytest.raises(ValueError, match="run must be"):
            await kognitos.resolve("lost", run=wrong)
    with pytest.raises(KognitosError, match="belongs to another request"):
        await kognitos.resolve("lost", run=run.id)
    made = server.platform.add_run(state="completed")
    assert (await (await kognitos.resolve("lost", run=made.id)).result()).id == made.id
    assert server.count("InvokeAutomation") == 2


async def test_a_database_file_is_for_one_worker(make, server, fork_server):
    """A second one is refused and the first works on; one process is one worker."""
    kognitos = make()
    kognitos.launch()
    with pytest.raises(RuntimeError, match="already a worker"):
        make().launch()
    code = (
        "import sys; from kognitos_async.integrations.dbos import KognitosWorkflows\n"
        "KognitosWorkflows({'api_key': 'k', 'agent_id': 'a'}, database_url=sys.argv[1]).launch()"
    )
    url = kognitos._database.url
    second = functools.partial(fork_server.run, "-c", code, url, env=os.environ, imports=ENGINE)
    done = await asyncio.to_thread(second)
    assert "another worker uses" in done.stderr
    assert (await (await kognitos.enqueue(request_of(server))).result()).succeeded


@pytest.mark.parametrize(
    ("options", "kind", "message"),
    [
        ({"capacity": 0}, ValueError, "capacity must be at least 1, got 0"),
        ({"capacity": True}, TypeError, "capacity must be an int, got bool"),
        ({"starts_per_second": 0}, ValueError, "starts_per_second must be above 0 and finite, got 0"),
        ({"starts_per_second": "5"}, TypeError, "starts_per_second must be a number, got str"),
        ({"name": "K"}, ValueError, "name must be 3 to 64 of a-z, 0-9, - and _, got 'K'"),
        ({"on_settled": 5}, TypeError, "on_settled must be a callable, got int"),
        ({"database_url": "mysql://h/d"}, ConfigurationError, "sqlite or postgresql, got mysql"),
        ({"database_url": "postgresql://u:a@b:c@h/d"}, ConfigurationError, "must be a URL such as"),
        ({"database_url": "sqlite://"}, ConfigurationError, "an in-memory database is not durable"),
    ],
)
def test_wrong_arguments_are_refused(make, options, kind, message):
    """At once, naming the argument."""
    with pytest.raises(kind, match=message):
        make(**options)


async def test_wrong_requests_are_refused(make, server):
    """Before anything is stored."""
    kognitos = make()
    with pytest.raises(TypeError, match="request must be a RunRequest, got InvokeRequest"):
        await kognitos.enqueue(InvokeRequest(automation="a"))
    with pytest.raises(ValueError, match="name must be"):
        await kognitos.enqueue(request_of(server, "x" * 101))
    with pytest.raises(ValueError, match="role must be start, wait or both, got 'sleep'"):
        kognitos.launch("sleep")
    with pytest.raises(ConfigurationError, match="role must be both on SQLite"):
        kognitos.launch("start")
    with pytest.raises(KognitosError, match="no workflow of that name"):
        await kognitos.resolve("nobody", not_started=True)


@pytest.mark.slow
async def test_a_run_that_is_on_record_for_another_workflow_is_not_adopted(make, server):
    """The look-up finds it, but somebody has to decide; then the start goes out after all."""
    kognitos = make(absence_delay=1.0)
    kognitos.launch()
    server.misbehave("create_run", faults.reset(after_work=True), times=1)
    handle = await kognitos.enqueue(request_of(server))
    await eventually(lambda: len(server.runs) == 1)
    [run] = server.runs
    kognitos._database.execute(
        "INSERT INTO {starts} (workflow_id, name, state, run_id) VALUES ('w', 'theirs', 'settled', :run_id)",
        {"run_id": run},
    )
    with pytest.raises(StartUncertainError, match=f"run {run} belongs to another request") as caught:
        await handle.result()
    assert caught.value.request.name == "invoice 1"
    assert (await kognitos.status()).undecided == ["invoice 1"]
    with pytest.raises(ValueError, match="run must be an id"):
        await kognitos.resolve("invoice 1", run=f"{run}\n")
    with pytest.raises(KognitosError, match="belongs to another request"):
        await kognitos.resolve("invoice 1", run=run)
    assert server.count("create_run") == 1
    started = await (await kognitos.resolve("invoice 1", not_started=True)).result()
    assert set(server.runs) == {run, started.id}
