"""`watch_run` of both clients: what it yields, when, and that leaving it ends its polls."""

from __future__ import annotations

import asyncio
import sys

import pytest

from kognitos_async import (
    ClientClosedError,
    KognitosClient,
    NotFoundError,
    PollPolicy,
    RunStatus,
    WaitTimeoutError,
)
from kognitos_async.testing import KognitosServer, Schedule

POLL = PollPolicy(initial=0.01, factor=1.0, maximum=0.01)
RUNNERS = {"asyncio": None}
if sys.platform != "win32":
    import uvloop

    RUNNERS["uvloop"] = uvloop.new_event_loop


class Rest:
    """A run of REST API v2 moved by hand."""

    settled = "Succeeded"

    def __init__(self, server):
        self.server = server
        self.connect = lambda: server.client(poll=POLL)

    def add(self, status="Running"):
        return self.server.add_run(name="watched", status=status).id

    def move(self, run_id, status):
        self.server.set_status(run_id, status)

    def status(self, run):
        return str(run.status)


class PlatformApi(Rest):
    """The same for the platform API."""

    settled = "completed"
    words = {"Running": "executing", "Created": "pending", "Succeeded": "completed", "Stopped": "stopped"}  # noqa: RUF012

    def __init__(self, server):
        super().__init__(server)
        self.connect = lambda: server.platform_client(poll=POLL)

    def add(self, status="Running"):
        return self.server.platform.add_run(state=self.words[status]).name

    def move(self, run_id, status):
        self.server.platform.set_state(run_id.rpartition("/")[2], self.words[status])

    def status(self, run):
        back = {word: status for status, word in self.words.items()}
        return back[str(run.state)]


@pytest.fixture(params=list(RUNNERS))
def run(request):
    """Runs a coroutine on either event loop, in debug mode, within ten seconds."""

    def running(main):
        async def bounded():
            async with asyncio.timeout(10):
                await main
            others = asyncio.all_tasks() - {asyncio.current_task()}
            assert not [task for task in others if "kognitos_async" in task.get_name()]

        with asyncio.Runner(debug=True, loop_factory=RUNNERS[request.param]) as runner:
            runner.run(bounded())

    return running


@pytest.fixture(params=[Rest, PlatformApi], ids=["v2", "platform"])
def api(request):
    """Either API, made of a server."""
    return request.param


def test_the_run_now_each_change_and_the_settled_one_last(run, api):
    """Nothing twice; the settled run is complete, and ends the loop."""

    async def main():
        async with KognitosServer(schedule=Schedule.manual()) as server:
            world = api(server)
            run_id = world.add("Created")
            async with world.connect() as client, client.watch_run(run_id) as states:
                seen = []
                async for state in states:
                    seen.append(world.status(state))
                    following = {"Created": "Running", "Running": "Succeeded"}.get(seen[-1])
                    if following:
                        world.move(run_id, following)
                assert seen == ["Created", "Running", "Succeeded"]
                with pytest.raises(StopAsyncIteration):
                    await anext(states)

    run(main())


def test_a_settled_run_comes_once(run, api):
    """Whether it is named by its id or given as it was read."""

    async def main():
        async with KognitosServer(schedule=Schedule.manual()) as server:
            world = api(server)
            run_id = world.add("Stopped")
            async with world.connect() as client:
                read = await client.wait_for_run(run_id)
                for given in (run_id, read):
                    async with client.watch_run(given) as states:
                        assert [world.status(state) async for state in states] == ["Stopped"]

    run(main())


def test_a_time_limit_around_a_step_loses_nothing(run, api):
    """The iterator continues where it was, however often the limit expires."""

    async def main():
        async with KognitosServer(schedule=Schedule.manual()) as server:
            world = api(server)
            run_id = world.add("Created")
            asyncio.get_running_loop().call_later(0.2, world.move, run_id, "Running")
            asyncio.get_running_loop().call_later(0.4, world.move, run_id, "Succeeded")
            async with world.connect() as client, client.watch_run(run_id) as states:
                seen, cut = [], 0
                while True:
                    try:
                        async with asyncio.timeout(0.03):
                            seen.append(world.status(await anext(states)))
                    except TimeoutError:
                        cut += 1
                    except StopAsyncIteration:
                        break
                assert seen == ["Created", "Running", "Succeeded"]
                assert cut > 2

    run(main())


def test_leaving_stops_polling(run, api):
    """Also by leaving an async generator of one's own that holds the block."""

    async def main():
        async with KognitosServer(schedule=Schedule.manual()) as server:
            world = api(server)
            run_id = world.add()

            async def mine(client):
                async with client.watch_run(run_id) as states:
                    async for state in states:
                        yield state

            async with world.connect() as client:
                async for _ in mine(client):
                    break
                await asyncio.sleep(0.1)
                before = server.count()
                await asyncio.sleep(0.1)
                assert server.count() == before
                assert asyncio.current_task().cancelling() == 0

    run(main())


def test_what_ends_a_wait_is_raised_by_the_iterator(run, api):
    """A timeout with the last run seen, a run that is not there, a client that is closed."""

    async def main():
        async with KognitosServer(schedule=Schedule.manual()) as server:
            world = api(server)
            run_id = world.add()
            async with world.connect() as client:
                async with client.watch_run(run_id, timeout=1) as states:
                    assert world.status(await anext(states)) == "Running"
                    with pytest.raises(WaitTimeoutError) as caught:
                        await anext(states)
                assert world.status(caught.value.run) == "Running"
                async with client.watch_run(run_id[:-2] + "zz") as states:
                    with pytest.raises(NotFoundError):
                        await anext(states)
                async with client.watch_run(run_id) as states:
                    await anext(states)
                    await client.aclose()
                    with pytest.raises(ClientClosedError):
                        await anext(states)
                async with client.watch_run(run_id) as states:
                    with pytest.raises(ClientClosedError):
                        await anext(states)

    run(main())


async def test_a_run_just_started_comes_first_without_a_request(server, connect):
    """It is known as it is now; `until` ends the watch where it says."""
    client = await connect(server)
    started = await client.runs.start(server.process.id, name="watched")
    before = server.count()
    async with client.watch_run(started, until={RunStatus.SUCCEEDED}) as states:
        assert await anext(states) == started
        assert server.count() == before
        *_, last = [state async for state in states]
    assert last.succeeded


async def test_many_watches_share_their_polls(serve, connect):
    """Fifty watches of one process cost list pages, not reads of each."""
    server = await serve(schedule=Schedule.fixed(0.3))
    client = await connect(server, poll=PollPolicy(initial=0.05, factor=1.0, maximum=0.05))
    runs = [await client.runs.start(server.process.id, name=f"n{number}") for number in range(50)]

    async def watch(run):
        async with client.watch_run(run) as states:
            return [str(state.status) async for state in states][-1]

    assert await asyncio.gather(*map(watch, runs)) == ["Succeeded"] * 50
    assert server.count("get_run") <= 60  # the list leaves outputs out: one read each completes them
    assert server.count("list_runs") >= 1


@pytest.mark.parametrize("wrong", [{"timeout": -1}, {"until": ()}, {"until": "Succeeded"}, {"poll": 3}])
def test_wrong_arguments_are_refused_at_the_call(wrong):
    """Before anything is sent, by name."""
    with pytest.raises((TypeError, ValueError), match=next(iter(wrong))):
        KognitosClient("a-key").watch_run("r", **wrong)
