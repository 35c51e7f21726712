"""Invocations whose answer is lost: a run is taken for one only if time, inputs and its user allow it."""

from __future__ import annotations

import asyncio
import random
from collections import Counter
from datetime import UTC, date, datetime, time, timedelta, timezone
from decimal import Decimal

import msgspec
import pytest

from kognitos_async import (
    CapacityError,
    InvokeRequest,
    StartedRun,
    StartUncertainError,
    Table,
    UnknownValue,
)
from kognitos_async.paging import Page
from kognitos_async.platform_v1.encoding import encode_invocation, same_value
from kognitos_async.platform_v1.look_up import LookUps
from kognitos_async.platform_v1.models.runs import PlatformRun
from kognitos_async.platform_v1.names import Scope
from kognitos_async.platform_v1.run_reader import RunReader
from kognitos_async.platform_v1.values import to_values
from kognitos_async.server_clock import ServerClock
from kognitos_async.testing import faults
from kognitos_async.uncertain_start import Answered, Found, OwnStarts, Undecided
from kognitos_async.waiting.recent_starts import RecentStarts

SCOPE = Scope("o", "w")
AUTOMATION = "organizations/o/workspaces/w/automations/a"
PUBLISHED = "AUTOMATION_STAGE_PUBLISHED"
MANUAL = "INVOCATION_SOURCE_MANUAL"
START = 1_780_000_000.0
HOUR = 3600.0
US, THEM = "users/us", "users/them"


class World:
    """An automation, newest first, read without a network; time is a number."""

    def __init__(self, seed: int = 1) -> None:
        self.chance = random.Random(seed)
        self.now = 0.0
        self.off = 0.0
        """How far the stamping clock is ahead of ours."""
        self.runs: list[PlatformRun] = []
        self.restart()

    def restart(self) -> None:
        """A process begins that knows nothing."""
        self.clock = ServerClock(wall=lambda: START + self.now, monotonic=lambda: self.now)
        self.own = OwnStarts()
        self.reader = RunReader(self, SCOPE, RecentStarts(), self.own)
        self.reader.read_page = self.read_page
        self.reader.read = self.read
        self.look_ups = LookUps(self, SCOPE, self.reader, self.own)

    async def read_page(self, group, token, since=None):
        del group, token
        self.now += 0.05
        runs = [run for run in self.runs if since is None or run.create_time >= since]
        for run in runs:
            self.reader._learn(run)
        return Page(tuple(sorted(runs, key=lambda run: run.create_time, reverse=True)), None)

    async def read(self, name):
        return next(run for run in self.runs if run.name == name)

    def make(
        self,
        inputs=None,
        *,
        after=0.0,
        user=US,
        source=MANUAL,
        trigger=None,
        stage=PUBLISHED,
        details=True,
        automation=AUTOMATION,
    ):
        """A run of somebody."""
        found = {"user_id": user, "trigger_id": trigger, "invocation_source": source}
        run = msgspec.convert(
            {
                "name": f"{automation}/runs/r{len(self.runs)}",
                "create_time": datetime.fromtimestamp(START + self.now + after + self.off, UTC),
                "stage": stage,
                "user_inputs": to_values(inputs or {}),
                "invocation_details": {k: v for k, v in found.items() if v} if details else None,
            },
            PlatformRun,
        )
        self.runs.append(run)
        return run

    def invoke(self, inputs, *, answered=False, processed=True):
        """The request, its window, and the run it made."""
        request = InvokeRequest(automation=AUTOMATION, inputs=inputs)
        window, sent = self.clock.window(), self.clock.monotonic()
        self.now += self.chance.uniform(0.01, 0.3)
        run = self.make(inputs) if processed else None
        self.now += self.chance.uniform(0.01, 0.3)
        if answered:
            answer = StartedRun(name=run.name, started_at=run.create_time)
            self.look_ups.note(Answered(answer, sent, self.clock.monotonic()))
        return request, window, run

    async def look_up(self, request, window, **options):
        self.now += 5
        return await self.look_ups.look_up(request, window, **options)


FIVE = {"n": 5}


async def test_the_run_that_all_speaks_for_is_found():
    """Its user is the one that our other runs show."""
    world = World()
    world.invoke({"n": 4}, answered=True)
    request, window, run = world.invoke(FIVE)
    answer = await world.look_up(request, window)
    assert answer == Found(run)
    # From then on it is known, and no other start's.
    assert world.own.get(run.name) is not None


OTHERS = {
    "another user's": {"user": THEM},
    "a trigger's": {"user": None, "trigger": "t", "source": None},
    "a schedule's": {"user": None, "source": "INVOCATION_SOURCE_SCHEDULE"},
    "from a source unknown": {"user": None, "source": "INVOCATION_SOURCE_AGENT"},
    "from a source unknown, in our name": {"source": "INVOCATION_SOURCE_AGENT"},
    "without a user, where ours have one": {"user": None},
    "nobody's that is told": {"details": False},
    "with more inputs": {"inputs": {"n": 5, "iban": "DE89"}},
    "with another input": {"inputs": {"n": 6}},
    "with true for one": {"inputs": {"n": True}},
    "without inputs": {"inputs": {}},
    "of another automation": {"automation": AUTOMATION + "2"},
    "a draft's": {"stage": "AUTOMATION_STAGE_DRAFT"},
    "from before": {"after": -30.0},
    "from hours later": {"after": 3 * HOUR},
}


@pytest.mark.parametrize("other", OTHERS.values(), ids=OTHERS)
async def test_a_run_that_something_speaks_against_is_not_taken(other):
    """The outcome cannot be determined; absence is never proven here."""
    world = World()
    world.invoke({"n": 4}, answered=True)
    request, window, _ = world.invoke(FIVE, processed=False)
    world.make(**{"inputs": FIVE, **other})
    world.now += 4 * HOUR
    answer = await world.look_up(request, window)
    assert isinstance(answer, Undecided)


async def test_inputs_none_against_any():
    """Ours has none: a run with some may have been given defaults, or be anybody's."""
    world = World()
    world.invoke({"n": 4}, answered=True)
    request, window, _ = world.invoke(None, processed=False)
    world.make({"n": 1})
    assert isinstance(await world.look_up(request, window), Undecided)


async def test_without_a_run_of_ours_a_named_user_is_nobody_we_know():
    """So the run may be anybody's; one of ours that a journal knows tells who we are."""
    world = World()
    request, window, run = world.invoke(FIVE)
    assert isinstance(await world.look_up(request, window), Undecided)
    ours = world.make({"n": 1}, after=-HOUR)
    assert await world.look_up(request, window, known_ids={ours.name}) == Found(run)
    theirs = World()
    request, window, _ = theirs.invoke(FIVE, processed=False)
    theirs.make(FIVE, user=THEM)
    ours = theirs.make({"n": 1}, after=-HOUR)
    assert isinstance(await theirs.look_up(request, window, known_ids={ours.name}), Undecided)


async def test_a_run_made_by_hand_whose_user_is_not_told():
    """It says that nobody else's trigger made it, and no more can be known."""
    world = World()
    request, window, _ = world.invoke(FIVE, processed=False)
    run = world.make(FIVE, user=None)
    assert await world.look_up(request, window) == Found(run)


async def test_two_that_may_be_it_are_not_chosen_between():
    """Equal ones, or one beside a larger one; a stranger's does not matter."""
    for more in (FIVE, {"n": 5, "m": 1}):
        world = World()
        world.invoke({"n": 4}, answered=True)
        request, window, _ = world.invoke(FIVE)
        world.make(more)
        assert isinstance(await world.look_up(request, window), Undecided)
    world = World()
    world.invoke({"n": 4}, answered=True)
    request, window, run = world.invoke(FIVE)
    world.make(FIVE, user=THEM)
    assert await world.look_up(request, window) == Found(run)


async def test_equal_invocations_of_this_client_are_kept_apart():
    """One that was answered is another's; one that is in doubt too forbids a choice."""
    world = World()
    world.invoke(FIVE, answered=True)
    request, window, run = world.invoke(FIVE)
    world.invoke(FIVE, answered=True)
    assert await world.look_up(request, window) == Found(run)
    world = World()
    world.invoke({"n": 4}, answered=True)
    request, window, run = world.invoke(FIVE)
    assert isinstance(await world.look_up(request, window, in_doubt_too=True), Undecided)
    with world.look_ups.under_way(encode_invocation(request, SCOPE)):
        assert isinstance(await world.look_up(request, window), Undecided)
    assert await world.look_up(request, window) == Found(run)


@pytest.mark.parametrize("off", [-5 * HOUR, 300.0, 9 * HOUR])
async def test_the_stamping_clock_is_known_from_our_own_runs(off):
    """However far it is off ours: the run is found, and an older one at the wrong time is not taken."""
    world = World()
    world.off = off
    world.invoke({"n": 4}, answered=True)
    await world.reader.read_page(AUTOMATION, None)
    request, window, run = world.invoke(FIVE)
    assert await world.look_up(request, window) == Found(run)
    world.make({"n": 7}, after=-off)
    request, window, _ = world.invoke({"n": 7}, processed=False)
    assert isinstance(await world.look_up(request, window), Undecided)


async def test_no_look_up_is_wrong_in_any_world():
    """Equal inputs, other users, clocks off, processes that end: a thousand worlds."""
    count = Counter()
    for seed in range(1000):
        world = World(seed)
        chance = world.chance
        world.off = chance.choice([0.0, 0.0, 1.5, 300.0, -HOUR, 5 * HOUR])
        known = []
        for _ in range(6):
            world.now += chance.uniform(0, 200)
            inputs = {"n": chance.randrange(3)}
            if chance.random() < 0.4:
                user = chance.choice([THEM, THEM, None])
                world.make(inputs, user=user, source=MANUAL if user else "INVOCATION_SOURCE_TRIGGER")
            answered = chance.random() < 0.5
            processed = answered or chance.random() < 0.5
            request, window, run = world.invoke(inputs, answered=answered, processed=processed)
            if chance.random() < 0.3:
                world.make({**inputs, "more": 1} if chance.random() < 0.5 else inputs, user=THEM)
            if answered:
                known.append(run.name)
                continue
            if chance.random() < 0.2:
                world.restart()
            answer = await world.look_up(request, window, known_ids=set(known))
            if isinstance(answer, Found):
                assert run is not None, f"seed {seed}: another's run"
                assert answer.run.name == run.name, f"seed {seed}"
                known.append(run.name)
            elif run is not None:
                known.append(run.name)  # resolved by hand
            count[type(answer).__name__] += 1
    assert count["Found"] > 500
    assert set(count) == {"Found", "Undecided"}


SAME = [
    1,
    Decimal("1.0"),
    True,
    "1",
    None,
    [1],
    [True],
    {"a": 1},
    {"a": True},
    {1, 2},
    date(2026, 1, 1),
    time(9),
]


def test_values_are_the_same_only_as_the_api_means_them():
    """Python takes True for 1, in lists and dicts too."""
    for index, one in enumerate(SAME):
        for other in SAME[index:]:
            expected = one is other or {id(one), id(other)} == {id(SAME[0]), id(SAME[1])}
            assert same_value(one, other) == same_value(other, one) == expected, (one, other)
    utc = datetime(2026, 1, 1, 12, tzinfo=UTC)
    assert same_value(utc, datetime(2026, 1, 1, 12, tzinfo=UTC))
    assert not same_value(utc, utc.astimezone(timezone(timedelta(hours=1))))
    assert not same_value({1}, {True})
    assert not same_value({"a": 1}, {"b": 1})
    # Tables that pyarrow cannot hold, and what this version does not know, compare member by member.
    assert same_value(Table(columns={"a": ["x", 1]}), Table(columns={"a": ["x", 1]}))
    assert not same_value(Table(columns={"a": ["x", 1]}), Table(columns={"a": ["x", True]}))
    assert not same_value(UnknownValue({"new": [1]}), UnknownValue({"new": [True]}))


# Against the emulator


async def test_invoked_once(client, server):
    """Or found, where a run of ours shows who we are; then every wait takes what came back."""
    automation = server.platform.automation.id
    first = await client.automations.invoke(automation, {"n": 1})
    server.misbehave("InvokeAutomation", faults.reset(after_work=True))
    run = await client.automations.start_once(
        InvokeRequest(automation=automation, inputs={"n": 2}), absence_delay=0.05
    )
    assert isinstance(run, StartedRun)
    assert server.count("InvokeAutomation") == 2
    assert {run.id, first.id} == set(server.platform.runs)
    settled = await client.wait_for_run(msgspec.json.decode(msgspec.json.encode(run), type=StartedRun))
    assert settled.user_inputs == {"n": 2}
    assert (await client.wait_for_run(settled.handle)).name == run.name
    assert run.handle is run


async def test_a_lost_invocation_that_is_not_listed_is_not_sent_again(client, server):
    """Nor one of an earlier attempt."""
    request = InvokeRequest(automation=server.platform.automation.id, inputs={"n": 2})
    server.misbehave("InvokeAutomation", faults.reset(after_work=False))
    with pytest.raises(StartUncertainError, match="cannot be determined") as caught:
        await client.automations.start_once(request, absence_delay=0.01)
    assert isinstance(caught.value.__cause__, StartUncertainError)
    since = caught.value.since
    with pytest.raises(StartUncertainError) as caught:
        await client.automations.start_once(request, earlier=since, absence_delay=0.01)
    assert caught.value.request == request
    assert server.count("InvokeAutomation") == 1


async def test_hooks_and_room(client, server):
    """As `runs.start` of the other API."""
    seen = []

    async def note():
        seen.append(server.count("InvokeAutomation"))

    server.misbehave("InvokeAutomation", faults.capacity_reached(), times=2)
    with pytest.raises(CapacityError):
        await client.automations.invoke(server.platform.automation.id, before_send=note, wait_for_room=False)
    await client.automations.invoke(server.platform.automation.id, before_send=note)
    assert seen == [0, 1, 2]
    with pytest.raises(TypeError, match="before_send"):
        await client.automations.invoke(server.platform.automation.id, before_send="no")


async def test_many_are_found_in_one_reading(client, server):
    """By their names, and those without one by the name that a journal would give them."""
    automation = server.platform.automation.id
    since = datetime.now(UTC)
    requests = [InvokeRequest(automation=automation, inputs={"n": n}, name=f"n {n}") for n in range(20)]
    for request in requests[:10]:
        server.platform.add_run(inputs=request.inputs)
    found = await client.runs.find_many(requests, since=since)
    assert [len(found[f"n {n}"]) for n in range(20)] == [1] * 10 + [0] * 10
    assert server.count("ListRuns") == 1
    nameless = [InvokeRequest(automation=automation, inputs={"n": 1})] * 1
    [(name, runs)] = (await client.runs.find_many(nameless, since=since)).items()
    assert name.startswith("invocation ")
    assert len(runs) == 1
    twice = [InvokeRequest(automation=automation, inputs={"n": 1}) for _ in range(2)]
    with pytest.raises(ValueError, match="unique names"):
        await client.runs.find_many(twice, since=since)


async def test_many_lost_invocations_at_once_read_the_list_once(client, server):
    """As after a crash: fifty in doubt, two thousand runs, each found by its own `start_once`."""
    automation = server.platform.automation.id
    own = await client.automations.invoke(automation, {"n": -1})
    since = datetime.now(UTC)
    user = server.platform.runs[own.id].user
    for number in range(2000):
        server.platform.add_run(inputs={"n": number}, user=user)
    requests = [InvokeRequest(automation=automation, inputs={"n": n}, name=f"n {n}") for n in range(50)]
    before = server.count("ListRuns")
    found = await asyncio.gather(
        *(client.automations.start_once(one, earlier=since, absence_delay=0.0) for one in requests)
    )
    assert len({run.name for run in found}) == 50
    assert server.count("InvokeAutomation") == 1
    pages = 3  # of a thousand
    assert server.count("ListRuns") - before <= pages


async def test_runs_of_others_are_not_found_once_we_are_known(client, server):
    """A stranger's run with the same inputs is listed only while nothing tells who we are."""
    automation = server.platform.automation.id
    request = InvokeRequest(automation=automation, inputs={"n": 1})
    since = datetime.now(UTC)
    server.platform.add_run(inputs={"n": 1}, user="users/other")
    assert len(await client.runs.find_started(request, since=since)) == 1
    await client.automations.invoke(automation, {"n": 2})
    await client.runs.find_started(request, since=since)
    assert await client.runs.find_started(request, since=since) == []


async def test_look_ups_at_once_share_a_reading(client, server):
    """Also those that `find_started` begins from many tasks."""
    request = InvokeRequest(automation=server.platform.automation.id, inputs={"n": 1})
    since = datetime.now(UTC)
    await asyncio.gather(*(client.runs.find_started(request, since=since) for _ in range(30)))
    assert server.count("ListRuns") == 1
