"""When the next start may go out: the ramp, a full organization, an API that cannot be reached."""

from __future__ import annotations

import asyncio
import random

import pytest

from kognitos_async import CapacityError, NotSentError, RateLimitError, ServerError
from kognitos_async.bulk.admission import LONGEST_PAUSE, Admission, StartsEndedError
from tests.virtual_time import run_virtually

FULL = CapacityError("full", status=403)
GONE = NotSentError("no route")
SLOW = RateLimitError("slow", status=429)
BUSY = ServerError("busy", status=503, retry_after=7.0)


async def pauses_of(admission, refusal, count):
    """Seconds that an upload waits after each of its first attempts."""
    loop = asyncio.get_running_loop()
    found = []
    for tries in range(1, count + 1):
        began = loop.time()
        await admission.pause_uploads(refusal, tries)
        found.append(loop.time() - began)
    return found


def test_pauses_of_an_upload_double_up_to_the_longest():
    class Even(random.Random):
        def uniform(self, low, high):
            return (low + high) / 2

    admission = Admission(Even())
    pauses = run_virtually(pauses_of(admission, GONE, 8))
    assert pauses == pytest.approx([0.5, 1, 2, 4, 8, 15, 15, 15])
    assert run_virtually(pauses_of(admission, BUSY, 5)) == pytest.approx([7, 7, 7, 7, 8])


def test_the_end_of_a_job_ends_the_pauses_of_its_uploads():
    async def main():
        loop = asyncio.get_running_loop()
        admission = Admission(random.Random(1))
        waiting = [asyncio.create_task(admission.pause_uploads(GONE, 5)) for _ in range(3)]
        await asyncio.sleep(0.1)
        waiting[0].cancel()
        admission.end()
        ended = await asyncio.gather(*waiting, return_exceptions=True)
        with pytest.raises(StartsEndedError):
            await admission.pause_uploads(GONE, 1)
        return loop.time(), [type(one) for one in ended]

    took, kinds = run_virtually(main())
    assert took == pytest.approx(0.1)
    assert kinds == [asyncio.CancelledError, StartsEndedError, StartsEndedError]


class Organization:
    """Room for so many runs of `life` seconds; counts the starts that were made and refused."""

    def __init__(self, admission, room, life=3.0):
        self.admission = admission
        self.room = room
        self.life = life
        self.made = self.refused = 0
        self.under_way = self.most_under_way = 0
        self.most_when_full = 0
        self.reachable = True

    async def start(self):
        """One start, however often it takes."""
        while True:
            ticket = await self.admission.enter()
            self.under_way += 1
            if self.refused:
                self.most_when_full = max(self.most_when_full, self.under_way)
            await asyncio.sleep(0.02)
            self.under_way -= 1
            refusal = None if self.room else FULL
            if not self.reachable:
                refusal = GONE
            self.admission.leave(ticket, refusal, cuts=0)
            if refusal is None:
                self.made += 1
                self.room -= 1
                asyncio.get_running_loop().call_later(self.life, self.ended)
                return
            self.refused += 1

    def ended(self):
        self.room += 1
        self.admission.run_settled()


async def some(organization, count, seconds):
    tasks = [asyncio.create_task(organization.start()) for _ in range(count)]
    await asyncio.wait(tasks, timeout=seconds)
    for task in tasks:
        task.cancel()
    await asyncio.wait(tasks)


@pytest.mark.parametrize("waiting", [6, 100, 500])
def test_a_full_organization_costs_at_most_half_a_refusal_a_start(waiting):
    """However many requests wait, and although only runs of this client free capacity."""

    async def work():
        organization = Organization(Admission(random.Random(1)), room=5)
        await some(organization, waiting, 60.0)
        return organization

    organization = run_virtually(work())
    assert organization.made >= min(waiting, 90)
    assert organization.refused <= max(4, organization.made / 2)


def test_capacity_freed_by_others_is_found_by_single_probes():
    """No run of this client ends; the pauses grow, and once there is capacity starts follow one another."""

    async def work():
        organization = Organization(Admission(random.Random(1)), room=0)
        waiting = asyncio.create_task(some(organization, 50, 300.0))
        await asyncio.sleep(100.0)
        probes, together = organization.refused, organization.most_when_full
        organization.room = 1000
        await asyncio.sleep(LONGEST_PAUSE * 1.5 + 3.0)
        made = organization.made
        waiting.cancel()
        await asyncio.wait([waiting])
        return probes, together, made

    probes, together, made = run_virtually(work())
    assert 5 <= probes <= 20
    assert together <= 2
    assert made == 50


def test_an_outage_is_probed_and_then_over():
    """One start at a time while nothing is reached, all of them once it is."""

    async def work():
        admission = Admission(random.Random(1))
        organization = Organization(admission, room=1000)
        organization.reachable = False
        waiting = asyncio.create_task(some(organization, 50, 300.0))
        await asyncio.sleep(30.0)
        refused, reached = organization.refused, admission.reached
        organization.reachable = True
        await asyncio.sleep(LONGEST_PAUSE * 1.5 + 3.0)
        made = organization.made
        waiting.cancel()
        await asyncio.wait([waiting])
        return refused, reached, made, admission.reached

    refused, reached_before, made, reached = run_virtually(work())
    assert refused <= 12
    assert not reached_before
    assert (made, reached) == (50, True)


def test_a_refusal_that_says_when_to_come_back_is_obeyed():
    """No probe before the Retry-After of a 503."""

    async def work():
        admission = Admission(random.Random(1))
        admission.leave(await admission.enter(), BUSY, cuts=0)
        began = asyncio.get_running_loop().time()
        await admission.enter()
        return asyncio.get_running_loop().time() - began

    assert run_virtually(work()) >= 7.0


def test_a_429_halves_the_starts_in_flight_and_loses_no_probe():
    """A probe that met a rate limit, or was cancelled before it was sent, blocks no other."""

    async def work():
        admission = Admission(random.Random(1))
        for _ in range(40):
            admission.leave(await admission.enter(), None, cuts=0)
        tickets = [await admission.enter() for _ in range(7)]
        for ticket in tickets:
            admission.leave(ticket, SLOW, cuts=1)
        tickets = [await admission.enter() for _ in range(3)]
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(60):
                await admission.enter()
        for ticket in tickets:
            admission.leave(ticket, FULL, cuts=1)
        for refusal, sent in ((SLOW, True), (None, False), (None, True)):
            async with asyncio.timeout(60):
                ticket = await admission.enter()
            assert ticket.probe
            admission.leave(ticket, refusal, cuts=1, sent=sent)

    run_virtually(work())


def test_a_cancelled_waiter_releases_its_place():
    """In the queue, or admitted in the same iteration of the loop."""

    async def work():
        admission = Admission(random.Random(1))
        first, second = await admission.enter(), await admission.enter()
        waiting = [asyncio.create_task(admission.enter()) for _ in range(3)]
        await asyncio.sleep(0)
        waiting[0].cancel()
        admission.leave(first, None, cuts=0)
        waiting[1].cancel()
        admission.leave(second, None, cuts=0)
        await asyncio.wait(waiting)
        assert [task.cancelled() for task in waiting] == [True, True, False]
        await admission.enter()

    run_virtually(work())


def test_after_the_end_no_start_is_admitted():
    """Those that wait raise, and those that come later."""

    async def work():
        admission = Admission(random.Random(1))
        for _ in range(2):
            await admission.enter()
        waiting = asyncio.create_task(admission.enter())
        await asyncio.sleep(0)
        admission.end()
        for attempt in (waiting, admission.enter()):
            with pytest.raises(StartsEndedError):
                await attempt

    run_virtually(work())


class Chance(random.Random):
    """Always the same place in the range: 0 its begin, 0.5 its middle."""

    def __init__(self, place=0.5):
        super().__init__()
        self.place = place

    def random(self):
        return self.place


async def room_now(admission):
    """The tickets that are to be had at once."""
    tickets = []
    while True:
        try:
            async with asyncio.timeout(0.001):
                tickets.append(await admission.enter())
        except TimeoutError:
            return tickets


@pytest.mark.parametrize(("place", "factor"), [(0.0, 0.5), (0.5, 1.0), (1.0, 1.5)])
@pytest.mark.parametrize("refusal", [FULL, GONE])
def test_each_refused_probe_doubles_the_pause_before_the_next(place, factor, refusal):
    """From half a second up to a quarter of a minute, half as long or half as much again by chance."""

    async def work():
        loop, admission = asyncio.get_running_loop(), Admission(Chance(place))
        admission.leave(await admission.enter(), refusal, cuts=0)
        pauses = []
        for _ in range(7):
            left = loop.time()
            ticket = await admission.enter()
            assert ticket.probe
            pauses.append(loop.time() - left)
            admission.leave(ticket, refusal, cuts=0)
        assert pauses == pytest.approx([pause * factor for pause in (0.5, 1, 2, 4, 8, 15, 15)])
        # Once one was answered, the next shortage begins with short pauses again.
        admission.leave(await admission.enter(), None, cuts=0)
        admission.leave(await admission.enter(), refusal, cuts=0)
        left = loop.time()
        await admission.enter()
        assert loop.time() - left == pytest.approx(0.5 * factor)

    run_virtually(work())


def test_there_is_one_probe_at_a_time():
    """Also where others are refused while it is under way."""

    async def work():
        admission = Admission(Chance())
        first, second = await admission.enter(), await admission.enter()
        admission.leave(first, FULL, cuts=0)
        probe = await admission.enter()
        admission.leave(second, FULL, cuts=0)
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(60):
                await admission.enter()
        admission.leave(probe, None, cuts=0)
        assert not (await admission.enter()).probe

    run_virtually(work())


@pytest.mark.parametrize(("before", "meanwhile"), [(2, 0), (3, 1), (1, 2), (3, 9)])
def test_each_run_that_settles_makes_room_for_one_start_of_a_full_organization(before, meanwhile):
    """What was free before a start that is refused all the same was taken by others."""

    async def work():
        admission = Admission(Chance())
        admission.leave(await admission.enter(), FULL, cuts=0)
        for _ in range(before):
            admission.run_settled()
        ticket = await admission.enter()
        assert not ticket.probe
        for _ in range(meanwhile):
            admission.run_settled()
        admission.leave(ticket, FULL, cuts=0)
        assert len(await room_now(admission)) == meanwhile

    run_virtually(work())


@pytest.mark.parametrize(
    ("successes", "refusal", "together"),
    [(0, SLOW, 1), (8, SLOW, 1), (24, SLOW, 2), (0, GONE, 1), (24, GONE, 2), (24, FULL, 2), (48, FULL, 2)],
)
def test_after_a_refusal_fewer_starts_go_together(successes, refusal, together):
    """Half as many after a 429 or an outage, but one at least; two once the organization was full."""

    async def work():
        admission = Admission(Chance())
        for _ in range(successes):
            admission.leave(await admission.enter(), None, cuts=0)
        tickets = await room_now(admission)
        assert len(tickets) == 2 + successes // 8
        for ticket in tickets[1:]:
            admission.leave(ticket, None, cuts=0, sent=False)
        admission.leave(tickets[0], refusal, cuts=1 if refusal is SLOW else 0)
        if refusal is not SLOW:
            admission.leave(await admission.enter(), None, cuts=0)  # the probe
        assert len(await room_now(admission)) == together

    run_virtually(work())


def test_429s_to_starts_that_went_together_halve_once():
    """They are one sign; the next one is another."""

    async def work():
        admission = Admission(Chance())
        for _ in range(48):
            admission.leave(await admission.enter(), None, cuts=0)
        for ticket in await room_now(admission):
            admission.leave(ticket, SLOW, cuts=1)
        tickets = await room_now(admission)
        assert len(tickets) == 4
        for ticket in tickets:
            admission.leave(ticket, SLOW, cuts=2)
        assert len(await room_now(admission)) == 2

    run_virtually(work())
