"""Waits that share polls, under virtual time, against lists of every order and every fault."""

from __future__ import annotations

import asyncio
import contextvars
import random
from statistics import fmean

import pytest

from kognitos_async import (
    SETTLED,
    AuthenticationError,
    BadRequestError,
    ClientClosedError,
    DecodeError,
    NotFoundError,
    OutcomeUnknownError,
    PermissionDeniedError,
    PollPolicy,
    RateLimitError,
    RunStatus,
    ServerError,
    UnknownStatusError,
    WaitTimeoutError,
)
from kognitos_async.rest_v2.models import ENDED
from kognitos_async.waiting.policy import is_transient
from kognitos_async.waiting.shared_polls import SharedPolls
from kognitos_async.waiting.watch import Watch
from tests.virtual_time import VirtualLoop, run_virtually
from tests.waiting.fakes import FakeReader

POLL = PollPolicy(initial=0.5, maximum=2)
ORDERS = ("newest", "oldest", "shuffled")
REFUSALS = (
    PermissionDeniedError("no lists for you", status=403),
    BadRequestError("what?", status=400),
    DecodeError("html", path="$", body=b"<html>", malformed=True),
    DecodeError("items is not a list", path="$.items", body=b"{}"),
    ServerError("down", status=500),
    OutcomeUnknownError("reset"),
    RateLimitError("slow down", status=429),
)


def named(error):
    return f"{type(error).__name__}-{error}"


def copy(error):
    """An error of its own for each raise: one shared object would collect everybody's tracebacks."""
    twin = type(error).__new__(type(error), *error.args)
    twin.args = error.args
    twin.__dict__.update(error.__dict__)
    return twin


def watch_of(run_id, *, policy=POLL, until=SETTLED, on_update=None, grace_until=float("-inf")):
    return Watch(
        run_id=run_id,
        until=until,
        ended=ENDED,
        policy=policy,
        on_update=on_update,
        grace_until=grace_until,
    )


class Together:
    """A polls, and what each of its waits came to and when."""

    def __init__(self, reader, *, seed=3):
        self.reader = reader
        self.chance = random.Random(seed)
        self.polls = SharedPolls(reader, self.chance)
        self.at = {}
        self.outcomes = {}

    async def wait(self, run_id, *, bare=False, delay=None, timeout=None, **fields):
        watch = watch_of(run_id, **fields)
        if delay is None:
            delay = 0.0 if bare else watch.next_delay(self.chance, None)
        group = None if bare else self.reader.group[run_id]
        try:
            outcome = await self.polls.wait(watch, group, delay=delay, timeout=timeout)
        except Exception as error:  # noqa: BLE001
            outcome = error
        self.at[run_id] = asyncio.get_running_loop().time()
        self.outcomes[run_id] = outcome
        return outcome

    def delays(self):
        return [self.at[run_id] - self.reader.ends[run_id] for run_id in self.at]

    def all_settled(self, ids):
        return all(getattr(self.outcomes.get(run_id), "status", None) in SETTLED for run_id in ids)


def run_many_virtually(main):
    """`run_virtually` for crowds: without asyncio's debug checks, which record a stack for every timer."""
    with asyncio.Runner(debug=False, loop_factory=VirtualLoop) as runner:
        return runner.run(main)


async def nothing_left(polls):
    """Nobody is waited for, no task is left, nothing is under way."""
    for _ in range(3):
        await asyncio.sleep(0)
    assert asyncio.all_tasks() == {asyncio.current_task()}
    assert polls._task is None
    runs = polls._runs
    for kept in (runs.by_id, runs.groups, runs.ungrouped, runs._due):
        assert not kept


def together(reader, ids=None, *, limit=3600.0, **fields):
    """All runs of `reader` (or `ids`) waited for at once."""
    waited = list(reader.ends) if ids is None else list(ids)

    async def main():
        all_of_them = Together(reader)
        async with asyncio.timeout(limit):
            await asyncio.gather(*(all_of_them.wait(run_id, **fields) for run_id in waited))
        await nothing_left(all_of_them.polls)
        assert reader.under_way == 0
        return all_of_them

    return (run_virtually if len(waited) <= 60 else run_many_virtually)(main())


def one_by_one(reader, *, policy=POLL):
    """The plain way, one read a poll: how many requests, and the mean delay after a run has settled."""
    chance = random.Random(3)

    async def wait(run_id):
        polls = 0
        while True:
            await asyncio.sleep(policy.delay(polls, chance))
            polls += 1
            if (await reader.read(run_id)).settled:
                return asyncio.get_running_loop().time() - reader.ends[run_id]

    async def main():
        return fmean(await asyncio.gather(*(wait(run_id) for run_id in reader.ends)))

    return run_many_virtually(main())


def reader_of(count, *, order="newest", shortest=2.0, longest=10.0, **options):
    """A list of `count` runs that were started one after the other just now."""
    reader = FakeReader(order, **options)
    chance = random.Random(7)
    for number in range(count):
        reader.add(f"r{number}", chance.uniform(shortest, longest), born=number / count - 1)
    return reader


# What it costs and how late it is


@pytest.fixture(scope="module")
def plain_way():
    reader = reader_of(2000)
    return one_by_one(reader), reader.requests


@pytest.mark.parametrize("order", ORDERS)
def test_two_thousand_waits_share_their_polls(order, plain_way):
    """In any order of the list: at most 0.08 requests a run, and no later than by polling alone."""
    reader = reader_of(2000, order=order)
    waits = together(reader)
    assert waits.all_settled(reader.ends)
    assert reader.requests <= 0.08 * 2000
    assert fmean(waits.delays()) <= plain_way[0]
    assert plain_way[1] > 3 * 2000


@pytest.mark.parametrize("order", ORDERS)
def test_lists_without_outputs_cost_one_read_more_a_run(order):
    """What a list shows as succeeded without outputs is completed by one single read, and has them then."""
    reader = reader_of(2000, order=order, list_outputs=False)
    waits = together(reader)
    assert reader.requests <= 1.3 * 2000
    assert max(reader.reads.values()) <= 2
    assert all(run.outputs_by_name == {"total": 1} for run in waits.outcomes.values())


@pytest.mark.parametrize("order", ORDERS)
def test_bare_ids_find_their_list(order, plain_way):
    """Bare ids share polls too, once one of them has been read and its list is known."""
    reader = reader_of(2000, order=order)
    waits = together(reader, bare=True)
    assert waits.all_settled(reader.ends)
    assert reader.requests <= 0.4 * 2000
    assert fmean(waits.delays()) <= plain_way[0]


@pytest.mark.parametrize("bare", [False, True])
def test_runs_of_several_processes_are_kept_apart(bare):
    """Each is found in its own process's list, whether that was known or not."""
    reader = FakeReader("newest")
    chance = random.Random(7)
    for number in range(500):
        reader.add(f"r{number}", chance.uniform(2, 10), born=number / 500, process=f"p{number % 5}")
    waits = together(reader, bare=bare)
    assert waits.all_settled(reader.ends)
    assert all(run.process_id == reader.group[run.id][1] for run in waits.outcomes.values())
    assert reader.requests <= 0.8 * 500


@pytest.mark.parametrize(("order", "latency"), [("newest", 0.05), ("oldest", 0.001)])
def test_a_long_history_stays_cheap(order, latency):
    """With 100,000 older runs in the list: under one request a run."""
    reader = reader_of(2000, order=order, latency=latency)
    waited = list(reader.ends)
    reader.add_older(100_000)
    waits = together(reader, waited)
    assert waits.all_settled(waited)
    assert reader.requests < 2000


def test_a_long_history_in_front_delays_no_run(plain_way):
    """With new runs behind 1,000 slow pages, single reads come first, fewer than without a list."""
    reader = reader_of(2000, order="oldest")
    waited = list(reader.ends)
    reader.add_older(100_000)
    waits = together(reader, waited)
    assert waits.all_settled(waited)
    assert reader.requests < plain_way[1] / 2
    assert max(waits.delays()) < 10


@pytest.mark.parametrize("order", ORDERS)
@pytest.mark.parametrize("older", [0, 5000])
def test_a_few_waits_lose_nothing_by_sharing(order, older):
    """Twenty waits: no more requests than one each poll (and two), and no more delay."""
    alone = reader_of(20, order=order)
    plain_delay = one_by_one(alone)
    reader = reader_of(20, order=order)
    waited = list(reader.ends)
    reader.add_older(older)
    waits = together(reader, waited)
    assert waits.all_settled(waited)
    assert reader.requests <= alone.requests + 2
    assert fmean(waits.delays()) <= plain_delay * 1.1


@pytest.mark.parametrize("bare", [False, True])
def test_a_single_wait_reads_its_run_and_no_list(bare):
    """For one run a list page is never cheaper."""
    reader = reader_of(1)
    together(reader, bare=bare)
    assert reader.pages == 0
    assert reader.reads["r0"] > 3


def test_the_schedule_of_a_single_wait_is_the_policys():
    """Reads come after 0.5, 0.75, 1.125 … 2 seconds, counted from one answer to the next read."""
    times = []

    async def main():
        reader = reader_of(1, shortest=12, longest=12, latency=0.0)
        reader.before_read = lambda run_id: times.append(asyncio.get_running_loop().time())
        await Together(reader).wait("r0", policy=PollPolicy(initial=0.5, maximum=2, jitter=0))

    run_virtually(main())
    steps = [later - earlier for earlier, later in zip([0.0, *times], times, strict=False)]
    assert steps[:5] == pytest.approx([0.5, 0.75, 1.125, 1.6875, 2.0])
    assert all(step == pytest.approx(2.0) for step in steps[5:])


# Lists that cannot be relied on


@pytest.mark.parametrize("bare", [False, True])
@pytest.mark.parametrize("refusal", REFUSALS, ids=named)
def test_a_list_that_never_answers_leaves_single_reads(refusal, bare):
    """Whatever is permanently wrong with the list, every run settles by single reads."""
    reader = reader_of(100)

    def refuse(group, token):
        raise copy(refusal)

    reader.before_page = refuse
    waits = together(reader, bare=bare, limit=600)
    assert waits.all_settled(reader.ends)
    assert all(reader.reads[run_id] for run_id in reader.ends)
    if not is_transient(refusal):
        assert reader.pages <= 3


@pytest.mark.parametrize("order", ORDERS)
def test_a_list_that_never_shows_the_runs(order):
    """They settle by single reads, no later than without a list, and sweeps soon stop."""
    reader = reader_of(500, order=order)
    reader.hidden = set(reader.ends)
    alone = reader_of(500)
    plain_delay = one_by_one(alone)
    waits = together(reader)
    assert waits.all_settled(reader.ends)
    assert reader.requests <= 1.2 * alone.requests + 20
    assert fmean(waits.delays()) <= 1.3 * plain_delay


@pytest.mark.parametrize("hidden", [0, 1])
@pytest.mark.parametrize("turn", ["same", "first"])
def test_tokens_that_go_in_circles_end_nothing(turn, hidden):
    """A list that leads back to a page read before costs some pages and keeps no run unread."""
    reader = reader_of(400)
    if hidden:
        reader.hidden = {"r0", "r399"}
    reader.change_token = lambda token, following: "0" if turn == "first" else (token or "0")
    waits = together(reader, limit=300)
    assert waits.all_settled(reader.ends)
    assert reader.requests <= 6 * 400


def test_a_list_that_shows_runs_late():
    """Runs that the list shows only after some seconds are read singly until then, and shared afterwards."""
    reader = reader_of(500, shortest=20, longest=40)
    reader.hidden = set(reader.ends)

    def show(group, token):
        if asyncio.get_running_loop().time() > 5:
            reader.hidden = set()

    reader.before_page = reader.before_read = lambda *about: show(None, None)
    waits = together(reader)
    assert waits.all_settled(reader.ends)
    assert fmean(waits.delays()) <= 2.5


@pytest.mark.parametrize("bare", [False, True])
def test_a_list_that_does_not_answer_delays_no_run_for_long(bare):
    """Runs are read singly while the page is in flight, at the latest after the longest hold."""
    reader = reader_of(100, shortest=2, longest=60)
    reader.silence = 40.0
    waits = together(reader, bare=bare, limit=600, policy=PollPolicy(initial=1, maximum=15))
    assert waits.all_settled(reader.ends)
    assert max(waits.delays()) < 15 * 1.2 + 5.5
    assert reader.pages < 10


def test_a_wait_that_ends_soon_is_not_held_for_long():
    """With a list that does not answer a wait of four seconds reads its run before its time is up."""
    reader = reader_of(50, shortest=0.5, longest=1.0)
    reader.silence = 3600.0
    waits = together(reader, timeout=4.0, policy=PollPolicy(initial=1, maximum=15))
    assert waits.all_settled(reader.ends)


def test_a_slow_list_is_not_taken_for_a_silent_one():
    """Pages that take two seconds still serve nearly all runs."""
    reader = reader_of(100, shortest=5, longest=40)
    reader.silence = 2.0
    waits = together(reader, policy=PollPolicy(initial=1, maximum=15))
    assert waits.all_settled(reader.ends)
    assert reader.requests < 100


def test_polls_run_in_an_empty_context():
    """The contextvars of callers are not set when runs are read for all of them."""
    who = contextvars.ContextVar("who", default="nobody")
    seen = set()

    async def main():
        reader = reader_of(20)
        reader.before_page = reader.before_read = lambda *about: seen.add(who.get())
        waits = Together(reader)

        async def one(run_id):
            who.set(run_id)
            heard = []
            await waits.wait(run_id, on_update=lambda run: heard.append(who.get()))
            assert set(heard) == {run_id}

        await asyncio.gather(*(asyncio.create_task(one(run_id)) for run_id in reader.ends))
        await nothing_left(waits.polls)

    run_virtually(main())
    assert seen == {"nobody"}


@pytest.mark.parametrize("bare", [False, True])
@pytest.mark.parametrize("batch", range(6))
def test_a_wait_cancelled_at_any_step_leaves_nothing(batch, bare):
    """In whichever iteration of the loop; other waits continue and no task remains."""

    async def main(turns):
        reader = reader_of(6, shortest=1.0, longest=3.0, latency=0.0)
        waits = Together(reader)
        tasks = [asyncio.create_task(waits.wait(run_id, bare=bare, delay=0.0)) for run_id in reader.ends]
        for _ in range(turns):
            await asyncio.sleep(0)
        tasks[0].cancel()
        await asyncio.wait(tasks)
        assert tasks[0].cancelled()
        assert waits.all_settled(list(reader.ends)[1:])
        await nothing_left(waits.polls)
        assert reader.under_way == 0

    for turns in range(batch * 5, batch * 5 + 5):
        run_virtually(main(turns))


# Each wait keeps its own


def test_a_run_that_is_gone_raises_to_its_own_wait_only():
    """NotFoundError for the one, the settled run for every other."""
    reader = reader_of(200)
    reader.gone = {"r17"}
    waits = together(reader)
    assert isinstance(waits.outcomes.pop("r17"), NotFoundError)
    assert waits.all_settled(set(reader.ends) - {"r17"})


def test_cancelling_one_wait_disturbs_no_other():
    """Half of the waits are cancelled at odd moments, the others end as they would have."""

    async def main():
        reader = reader_of(200)
        waits = Together(reader)
        chance = random.Random(5)
        tasks = {run_id: asyncio.create_task(waits.wait(run_id)) for run_id in reader.ends}
        cancelled = [run_id for number, run_id in enumerate(tasks) if number % 2]
        for run_id in cancelled:
            asyncio.get_running_loop().call_later(chance.uniform(0, 2), tasks[run_id].cancel)
        await asyncio.wait(tasks.values())
        assert all(tasks[run_id].cancelled() for run_id in cancelled)
        assert waits.all_settled(set(tasks) - set(cancelled))
        assert fmean(waits.delays()) < 1.5
        await nothing_left(waits.polls)

    run_virtually(main())


@pytest.mark.parametrize("moment", [0.0, 1.0, 1.05, 2.0])
def test_a_wait_cancelled_as_a_timer_fires_ends(moment):
    """When the poll is due, when its answer comes, when the wait's time is up: no cancellation is lost."""

    async def main():
        waits = Together(FakeReader())
        waits.reader.add("a", 3600)
        task = asyncio.create_task(waits.wait("a", delay=1.0, timeout=2.0))
        await asyncio.sleep(0)
        asyncio.get_running_loop().call_at(moment, task.cancel)
        with pytest.raises(asyncio.CancelledError):
            await task
        await nothing_left(waits.polls)
        await waits.polls.close()

    run_virtually(main())


def test_cancelled_runs_are_no_longer_read():
    """After a cancellation nobody asks for that run again."""

    async def main():
        reader = reader_of(2)
        waits = Together(reader)
        kept, dropped = (asyncio.create_task(waits.wait(run_id)) for run_id in reader.ends)
        await asyncio.sleep(1.3)
        dropped.cancel()
        await asyncio.wait([dropped])
        seen = reader.reads["r1"]
        await kept
        assert reader.reads["r1"] == seen
        await nothing_left(waits.polls)

    run_virtually(main())


def test_two_waits_for_one_run_share_its_reads():
    """Both get the run; what is read is read once for both."""

    async def main():
        reader = reader_of(1)
        waits = Together(reader)
        first, second = await asyncio.gather(waits.wait("r0"), waits.wait("r0"))
        assert first.settled
        assert second.settled
        assert reader.requests <= 10
        await nothing_left(waits.polls)

    run_virtually(main())


def test_a_second_wait_with_a_shorter_schedule_is_not_held_back():
    """The run is read as often as the wait with the shortest schedule wants."""

    async def main():
        reader = reader_of(1, shortest=30, longest=30)
        waits = Together(reader)
        slow = asyncio.create_task(waits.wait("r0", policy=PollPolicy(initial=15, maximum=15)))
        await asyncio.sleep(0.1)
        await waits.wait("r0", policy=PollPolicy(initial=0.5, maximum=0.5))
        assert waits.at["r0"] <= 31
        await slow
        await nothing_left(waits.polls)

    run_virtually(main())


def test_each_wait_keeps_its_timeout():
    """A timeout ends its own wait, in time, with the run as last seen; the others continue."""

    async def main():
        reader = reader_of(50, shortest=20, longest=30)
        waits = Together(reader)
        times = {
            run_id: 3.0 + number / 10 if number < 25 else None for number, run_id in enumerate(reader.ends)
        }
        await asyncio.gather(*(waits.wait(run_id, timeout=limit) for run_id, limit in times.items()))
        for run_id, limit in times.items():
            outcome = waits.outcomes[run_id]
            if limit is None:
                assert outcome.settled
            else:
                assert isinstance(outcome, WaitTimeoutError)
                assert outcome.run.id == run_id
                assert outcome.run.status == "Running"
                assert waits.at[run_id] == pytest.approx(limit, abs=0.1)
        await nothing_left(waits.polls)

    run_virtually(main())


def test_a_timeout_of_nothing_reads_nothing():
    """A wait of 0 seconds ends at once with the run it was given, here none."""

    async def main():
        reader = reader_of(1)
        waits = Together(reader)
        error = await waits.wait("r0", timeout=0)
        assert isinstance(error, WaitTimeoutError)
        assert error.run is None
        assert asyncio.get_running_loop().time() == 0
        await nothing_left(waits.polls)

    run_virtually(main())


def test_each_wait_keeps_its_until():
    """Of one run, a wait for Running and one for its end: each ends in time."""

    async def main():
        reader = reader_of(1)
        waits = Together(reader)
        soon = asyncio.create_task(waits.wait("r0", until={RunStatus.RUNNING}))
        late = asyncio.create_task(waits.wait("r0"))
        assert (await soon).status == "Running"
        assert asyncio.get_running_loop().time() < 1
        assert (await late).status == "Succeeded"
        await nothing_left(waits.polls)

    run_virtually(main())


def test_a_run_that_ends_otherwise_ends_the_wait():
    """A run in a status it never leaves is returned although another was waited for."""
    reader = FakeReader()
    for number in range(10):
        reader.add(f"r{number}", 2.0, word="Stopped")
    waits = together(reader, until={RunStatus.SUCCEEDED})
    assert {run.status for run in waits.outcomes.values()} == {"Stopped"}


def test_on_update_is_called_once_for_each_status():
    """Each wait's own callback sees each change of its run, and nothing twice."""
    reader = reader_of(100)
    seen = {run_id: [] for run_id in reader.ends}

    async def main():
        waits = Together(reader)
        await asyncio.gather(
            *(
                waits.wait(run_id, on_update=lambda run: seen[run.id].append(str(run.status)))
                for run_id in reader.ends
            )
        )

    run_virtually(main())
    assert all(words == ["Running", "Succeeded"] for words in seen.values())


def test_an_on_update_that_raises_ends_only_its_own_wait():
    """Its error is raised by its wait; a second wait for the same run and all others continue."""

    def broken(run):
        raise LookupError(run.id)

    async def main():
        reader = reader_of(50)
        waits = Together(reader)
        others = [asyncio.create_task(waits.wait(run_id)) for run_id in reader.ends]
        with pytest.raises(LookupError):
            await waits.polls.wait(
                watch_of("r7", on_update=broken), reader.group["r7"], delay=0.2, timeout=None
            )
        assert all(run.settled for run in await asyncio.gather(*others))
        await nothing_left(waits.polls)

    run_virtually(main())


@pytest.mark.parametrize("count", [1, 60])
def test_an_unknown_status_raises_on_the_third_poll(count):
    """UnknownStatusError with the run, in single reads and in shared pages alike."""
    reader = FakeReader()
    for number in range(count):
        reader.add(f"r{number}", 0.0, word="Paused")
    waits = together(reader, limit=60)
    for error in waits.outcomes.values():
        assert isinstance(error, UnknownStatusError)
        assert error.run.status == "Paused"
    assert max(waits.at.values()) <= 6


def test_an_unknown_status_may_be_waited_out():
    """With unknown_status="wait" polling continues until the timeout."""
    reader = FakeReader()
    reader.add("r0", 0.0, word="Paused")
    policy = PollPolicy(initial=0.5, maximum=2, unknown_status="wait")
    waits = together(reader, timeout=30, policy=policy)
    assert isinstance(waits.outcomes["r0"], WaitTimeoutError)
    assert waits.outcomes["r0"].run.status == "Paused"


@pytest.mark.parametrize("count", [1, 50])
def test_a_retry_after_of_an_hour_respects_the_timeout(count):
    """Each wait ends at its own timeout, with the 429 as the cause, asking no more until the hour is over."""
    reader = reader_of(count)

    def refuse(*about):
        raise RateLimitError("slow down", status=429, retry_after=3600.0)

    reader.before_read = reader.before_page = refuse
    waits = together(reader, timeout=10)
    assert max(waits.at.values()) == pytest.approx(10)
    for error in waits.outcomes.values():
        assert isinstance(error, WaitTimeoutError)
        assert isinstance(error.__cause__, RateLimitError)
    assert reader.requests <= 2 * count


def test_errors_that_polling_cannot_help_end_the_wait():
    """A revoked key, met in a single read, comes out of the wait."""
    reader = reader_of(1)

    def refuse(run_id):
        raise AuthenticationError("revoked", status=401)

    reader.before_read = refuse
    assert isinstance(together(reader).outcomes["r0"], AuthenticationError)


def test_a_revoked_key_ends_all_waits():
    """When list and reads answer 401, every wait raises."""
    reader = reader_of(100)

    def refuse(*about):
        raise AuthenticationError("revoked", status=401)

    reader.before_read = reader.before_page = refuse
    waits = together(reader, limit=10)
    assert all(isinstance(error, AuthenticationError) for error in waits.outcomes.values())


def test_lost_answers_only_delay():
    """With a third of all requests failing, all runs still settle, soon after."""
    reader = reader_of(300)
    chance = random.Random(2)

    def sometimes(*about):
        if chance.random() < 0.33:
            raise ServerError("bad gateway", status=502)

    reader.before_read = reader.before_page = sometimes
    waits = together(reader)
    assert waits.all_settled(reader.ends)
    assert fmean(waits.delays()) < 4


def test_a_404_just_after_the_start_does_not_end_the_wait():
    """A run not in sight for three seconds is waited for nevertheless; after the grace period it raises."""
    for grace in (5.0, 0.0):
        reader = reader_of(1)

        def unseen(run_id):
            if asyncio.get_running_loop().time() < 3:
                raise NotFoundError("none yet", status=404)

        reader.before_read = unseen
        outcome = together(reader, grace_until=grace).outcomes["r0"]
        if grace:
            assert outcome.succeeded
        else:
            assert isinstance(outcome, NotFoundError)


# Beginning and end


def test_after_the_last_wait_no_task_is_left_and_the_next_begins_anew():
    """The shared task ends with the last wait and comes back with the next, again and again."""

    async def main():
        reader = reader_of(30)
        waits = Together(reader)
        for _ in range(3):
            await asyncio.gather(*(waits.wait(run_id) for run_id in reader.ends))
            await nothing_left(waits.polls)
            now = asyncio.get_running_loop().time()
            for run_id in reader.ends:
                reader.ends[run_id] = now + 3
        assert reader.under_way == 0

    run_virtually(main())


@pytest.mark.parametrize("moment", [0.0, 0.01, 0.52, 1.0, 3.3])
def test_close_ends_all_waits(moment):
    """Whatever is under way, every wait raises ClientClosedError, later ones at once, and no task is left."""

    async def main():
        reader = reader_of(120)
        waits = Together(reader)
        tasks = [
            asyncio.create_task(waits.wait(run_id, bare=n % 2 == 0)) for n, run_id in enumerate(reader.ends)
        ]
        await asyncio.sleep(moment)
        await waits.polls.close()
        began = asyncio.get_running_loop().time()
        outcomes = await asyncio.gather(*tasks)
        assert asyncio.get_running_loop().time() == began
        ended = [outcome for outcome in outcomes if isinstance(outcome, ClientClosedError)]
        assert len(ended) >= 80
        assert all(outcome in ended or outcome.settled for outcome in outcomes)
        assert isinstance(await waits.wait("r0"), ClientClosedError)
        await waits.polls.close()
        assert reader.under_way == 0
        await nothing_left(waits.polls)

    run_virtually(main())


@pytest.mark.parametrize("place", ["before_read", "before_page"])
def test_a_bug_in_the_reader_reaches_all_waits(place):
    """A RuntimeError is raised by all of them; the next wait begins anew."""

    def broken(*about):
        raise RuntimeError("a bug")

    async def main():
        reader = reader_of(100)
        setattr(reader, place, broken)
        waits = Together(reader)
        async with asyncio.timeout(60):
            outcomes = await asyncio.gather(
                *(waits.wait(run_id, bare=place == "before_read") for run_id in reader.ends)
            )
        assert all(type(error) is RuntimeError for error in outcomes)
        assert {str(error.__cause__) for error in outcomes} == {"a bug"}
        setattr(reader, place, None)
        assert (await waits.wait("r1")).settled
        await nothing_left(waits.polls)

    run_virtually(main())


@pytest.mark.parametrize("bare", [False, True])
def test_a_bug_in_one_read_reaches_the_waits_for_that_run_only(bare):
    """The others go on and settle."""

    def broken(run_id):
        if run_id == "r1":
            raise RuntimeError("a bug")

    async def main():
        reader = FakeReader()
        for number in range(3):
            reader.add(f"r{number}", 5.0, process=f"p{number}")
        reader.before_read = broken
        waits = Together(reader)
        async with asyncio.timeout(60):
            ids = ["r0", "r1", "r1", "r2"]
            found = await asyncio.gather(*(waits.wait(run_id, bare=bare) for run_id in ids))
        assert [isinstance(one, RuntimeError) for one in found] == [False, True, True, False]
        assert found[0].settled
        assert found[3].settled
        await nothing_left(waits.polls)

    run_virtually(main())


def test_a_bug_in_one_list_reaches_the_waits_for_its_runs_only():
    """Those of another process go on and settle."""

    def broken(group, token):
        if group[1] == "p":
            raise RuntimeError("a bug")

    async def main():
        reader = reader_of(20)
        for number in range(20):
            reader.add(f"s{number}", 5.0, process="q")
        reader.before_page = broken
        waits = Together(reader)
        async with asyncio.timeout(60):
            found = await asyncio.gather(*(waits.wait(run_id) for run_id in reader.ends))
        assert {isinstance(one, RuntimeError) for one in found[:20]} == {True}
        assert all(one.settled for one in found[20:])
        await nothing_left(waits.polls)

    run_virtually(main())
