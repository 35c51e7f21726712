"""The gate in front of all requests, under virtual time."""

from __future__ import annotations

import asyncio
import logging

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kognitos_async import ClientClosedError, ConfigurationError
from kognitos_async.throttle import Gate, recovering_rate, recovery_step
from tests.virtual_time import run_virtually


def gate(*, max_concurrent=100, requests_per_second=None):
    return Gate(max_concurrent=max_concurrent, requests_per_second=requests_per_second)


async def admitted(entrance, starts_run, log, label, *, hold=0.0):
    """Enter the gate, record the time, and hold the slot for `hold` seconds."""
    when = await entrance.enter(starts_run=starts_run)
    log.append((round(when, 6), label))
    if hold:
        await asyncio.sleep(hold)
    entrance.leave()


def test_an_unlimited_gate_admits_at_once():
    """Without limits all requests begin at once."""

    async def main():
        entrance, log = gate(), []
        await asyncio.gather(*(admitted(entrance, False, log, n, hold=1) for n in range(100)))
        assert {time for time, _ in log} == {0.0}

    run_virtually(main())


@pytest.mark.parametrize("starts_run", [True, False])
def test_at_most_max_concurrent_requests_are_admitted(starts_run):
    """The others follow in order as slots become free."""

    async def main():
        entrance, log = gate(max_concurrent=2), []
        await asyncio.gather(*(admitted(entrance, starts_run, log, n, hold=1) for n in range(6)))
        assert log == [(0, 0), (0, 1), (1, 2), (1, 3), (2, 4), (2, 5)]

    run_virtually(main())


def test_released_slots_can_be_taken_again():
    """As many as were taken, and no more."""

    async def main():
        entrance = gate(max_concurrent=3)
        for _ in range(3):
            await entrance.enter(starts_run=False)
        for _ in range(3):
            entrance.leave()
        async with asyncio.timeout(1):
            for _ in range(3):
                await entrance.enter(starts_run=False)
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(1):
                await entrance.enter(starts_run=False)

    run_virtually(main())


def test_another_event_loop_is_refused():
    """The error says what to do."""

    async def made():
        return gate()

    async def used(entrance):
        with pytest.raises(ConfigurationError, match=r"^the client was opened in another event loop: open"):
            await entrance.enter(starts_run=False)

    run_virtually(used(run_virtually(made())))


@given(st.floats(0.5, 50), st.integers(2, 30))
def test_requests_per_second_spaces_requests_evenly(rate, count):
    """N requests take (n - 1) / rate seconds: no burst, no drift."""

    async def main():
        entrance, log = gate(requests_per_second=rate), []
        await asyncio.gather(*(admitted(entrance, False, log, n) for n in range(count)))
        assert [time for time, _ in log] == pytest.approx([n / rate for n in range(count)], abs=1e-4)
        assert [label for _, label in log] == list(range(count))

    run_virtually(main())


def test_idle_time_is_not_saved_up_for_a_burst():
    """After an idle minute the rate is the same as before."""

    async def main():
        entrance, log = gate(requests_per_second=2), []
        await admitted(entrance, False, log, "first")
        await asyncio.sleep(60)
        await asyncio.gather(*(admitted(entrance, False, log, n) for n in range(10)))
        times = [time for time, _ in log[1:]]
        assert times[-1] - times[0] >= 9 / 2 - 0.25

    run_virtually(main())


def test_starts_are_admitted_first():
    """A start that arrives last overtakes all queued polls."""

    async def main():
        entrance, log = gate(requests_per_second=1), []
        polls = [asyncio.create_task(admitted(entrance, False, log, "poll")) for _ in range(5)]
        await asyncio.sleep(0.5)
        start = asyncio.create_task(admitted(entrance, True, log, "start"))
        await asyncio.gather(start, *polls)
        assert [label for _, label in log] == ["poll", "start", "poll", "poll", "poll", "poll"]

    run_virtually(main())


def test_polls_do_not_starve_behind_starts():
    """However many starts are queued, one request in ten is another."""

    async def main():
        entrance, log = gate(requests_per_second=10), []
        waiting = [asyncio.create_task(admitted(entrance, True, log, "start")) for _ in range(100)]
        waiting += [asyncio.create_task(admitted(entrance, False, log, "poll")) for _ in range(5)]
        await asyncio.gather(*waiting)
        places = [n for n, (_, label) in enumerate(log) if label == "poll"]
        assert len(places) == 5
        assert all(later - earlier <= 10 for earlier, later in zip([0, *places], places, strict=False))

    run_virtually(main())


def test_starts_do_not_starve_behind_polls_either():
    """Nine of ten requests are starts while any are queued."""

    async def main():
        entrance, log = gate(requests_per_second=10), []
        waiting = [asyncio.create_task(admitted(entrance, True, log, "start")) for _ in range(50)]
        waiting += [asyncio.create_task(admitted(entrance, False, log, "poll")) for _ in range(50)]
        await asyncio.gather(*waiting)
        labels = [label for _, label in log[:50]]
        assert labels.count("poll") in (4, 5)

    run_virtually(main())


@pytest.mark.parametrize("asked", [3.0, 0.5, 3600.0])
def test_a_429_pauses_all_requests_for_retry_after(asked):
    """Whichever request got it."""

    async def main():
        entrance, log = gate(), []
        sent = await entrance.enter(starts_run=False)
        entrance.throttled(sent, asked)
        entrance.leave()
        await asyncio.gather(*(admitted(entrance, n % 2, log, n) for n in range(4)))
        assert min(time for time, _ in log) == pytest.approx(asked)

    run_virtually(main())


def test_repeated_429s_without_retry_after_pause_longer():
    """0.25 s, doubled each time, at most 2 s; a success resets it."""

    async def main():
        loop = asyncio.get_running_loop()
        entrance, pauses = gate(), []
        for _ in range(7):
            sent = await entrance.enter(starts_run=False)
            entrance.throttled(loop.time(), None)
            entrance.leave()
            began = loop.time()
            await entrance.enter(starts_run=False)
            entrance.leave()
            pauses.append(loop.time() - began)
            assert sent <= began
            await asyncio.sleep(1)
        assert pauses[:6] == pytest.approx([0.25, 0.5, 1, 2, 2, 2], rel=0.15)
        assert pauses[6] == pytest.approx(2, rel=0.15)
        await asyncio.sleep(100)
        await entrance.enter(starts_run=False)
        entrance.succeeded()
        entrance.leave()
        sent = await entrance.enter(starts_run=False)
        entrance.throttled(sent, None)
        entrance.leave()
        began = loop.time()
        await entrance.enter(starts_run=False)
        assert loop.time() - began == pytest.approx(0.25, rel=0.01)

    run_virtually(main())


def test_a_success_during_the_pause_does_not_shorten_the_next_one():
    """It is the answer to a request sent before the 429."""

    async def main():
        loop = asyncio.get_running_loop()
        entrance = gate()
        assert entrance.throttled(loop.time(), None) == 0.25
        await asyncio.sleep(0.1)
        entrance.succeeded()
        await entrance.enter(starts_run=False)
        assert entrance.throttled(loop.time(), None) == 0.5

    run_virtually(main())


def test_429s_to_one_burst_count_as_one():
    """Fifty 429s to requests sent together begin one pause."""

    async def main():
        loop = asyncio.get_running_loop()
        entrance = gate()
        sent = [await entrance.enter(starts_run=False) for _ in range(50)]
        pauses = []
        for moment in sent:
            await asyncio.sleep(0.001)
            pauses.append(entrance.throttled(moment, None))
            entrance.leave()
        assert pauses == [0.25, *[None] * 49]  # what is reported to observers: one pause
        began = loop.time()
        later = await entrance.enter(starts_run=False)
        assert loop.time() - began <= 0.3
        assert entrance.cuts == 1
        entrance.throttled(later, None)
        assert entrance.cuts == 2

    run_virtually(main())


def requests_in(entrance, log, seconds, *, clients=50):
    """Send requests from `clients` tasks for `seconds`."""

    async def keep_sending():
        while asyncio.get_running_loop().time() < seconds:
            await admitted(entrance, False, log, "x", hold=0.05)
            entrance.succeeded()

    return asyncio.gather(*(keep_sending() for _ in range(clients)))


def test_the_rate_recovers_step_by_step_and_the_429_is_forgotten():
    """Below the rate of the 429 at first, above it after 20 s, and no limit after a minute."""

    async def main():
        entrance, log = gate(requests_per_second=20), []
        loop = asyncio.get_running_loop()
        sending = asyncio.ensure_future(requests_in(entrance, log, 100))
        await asyncio.sleep(5)
        entrance.throttled(loop.time(), 1.0)
        await sending
        rate = {
            second: sum(second <= time < second + 2 for time, _ in log) / 2 for second in (2, 8, 24, 34, 80)
        }
        assert rate[2] == pytest.approx(20, rel=0.1)
        assert sum(5.01 < time < 6 for time, _ in log) == 0
        assert 16 <= rate[8] < 19.6
        assert rate[24] == pytest.approx(20, rel=0.05)  # and the fixed rate is never exceeded
        assert rate[34] == pytest.approx(20, rel=0.05)
        assert rate[80] == pytest.approx(20, rel=0.1)

    run_virtually(main())


async def answers(entrance, *, rate, until):
    """Send `rate` requests a second until that time; all are answered at once."""
    loop = asyncio.get_running_loop()
    while loop.time() < until:
        await entrance.enter(starts_run=False)
        entrance.succeeded()
        entrance.leave()
        await asyncio.sleep(1 / rate)


async def rate_after_429(entrance):
    """The learned rate: 90 % of it is allowed right after the pause."""
    loop = asyncio.get_running_loop()
    began = loop.time()
    entrance.throttled(began, 0.001)
    times = [await entrance.enter(starts_run=False) for _ in range(2)]
    spaced = 1 / (times[1] - times[0])
    return spaced / recovering_rate(1.0, 0.0)


@pytest.mark.parametrize("until", [4.3, 5.5, 9.9])
def test_the_rate_at_a_429_is_measured_over_the_last_seconds(until):
    """Independently of where in a second it comes."""

    async def main():
        entrance = gate()
        await answers(entrance, rate=20, until=until)
        assert await rate_after_429(entrance) == pytest.approx(20, rel=0.06)

    run_virtually(main())


def test_a_burst_before_an_idle_time_does_not_count_towards_the_rate():
    """A burst two seconds ago says nothing about now."""

    async def main():
        entrance = gate()
        await answers(entrance, rate=200, until=0.5)
        await asyncio.sleep(2)
        await answers(entrance, rate=10, until=3.4)
        assert 7.5 < await rate_after_429(entrance) < 10.5

    run_virtually(main())


def test_a_second_429_during_recovery_shows_a_rate_below_that_of_an_idle_client():
    """An idle client is assumed to be allowed 5 requests a second; after a second 429, the rate measured."""

    async def main():
        entrance = gate()
        assert await rate_after_429(entrance) == pytest.approx(5, rel=0.06)
        await answers(entrance, rate=2, until=4.3)
        assert 1 < await rate_after_429(entrance) < 2.5

    run_virtually(main())


def test_the_formula_of_the_recovery():
    """90 % at once, 95 % after 10 s, 100 % after 20 s, then more and more."""
    assert [recovering_rate(100, t) for t in (0, 10, 20)] == pytest.approx([90, 95, 100])
    assert recovering_rate(100, 40) > 200
    rates = [recovering_rate(100, t) for t in range(61)]
    assert rates == sorted(rates)
    # The steps are 2 s to 10 s long.
    assert [recovery_step(rate) for rate in (1, 10, 12.5, 40, 50, 500)] == [2, 2, 2.5, 8, 10, 10]


@pytest.mark.parametrize("when", ["waiting", "admitted"])
def test_a_cancelled_request_loses_no_slot(when):
    """Cancelled in the queue, or in the iteration of the loop in which it was admitted."""

    async def main():
        entrance = gate(max_concurrent=1)
        await entrance.enter(starts_run=False)
        waiter = asyncio.create_task(entrance.enter(starts_run=False))
        await asyncio.sleep(1)
        if when == "admitted":
            entrance.leave()
            waiter.cancel()
        else:
            waiter.cancel()
            await asyncio.sleep(1)
            entrance.leave()
        with pytest.raises(asyncio.CancelledError):
            await waiter
        async with asyncio.timeout(1):
            await entrance.enter(starts_run=False)
        with pytest.raises(TimeoutError):  # and it was one place
            async with asyncio.timeout(1):
                await entrance.enter(starts_run=False)

    run_virtually(main())


def test_a_cancelled_request_does_not_delay_the_next():
    """Its place goes to whoever waits behind it."""

    async def main():
        entrance, log = gate(max_concurrent=1), []
        await entrance.enter(starts_run=False)
        waiting = [asyncio.create_task(admitted(entrance, False, log, n)) for n in range(3)]
        await asyncio.sleep(1)
        waiting[0].cancel()
        entrance.leave()
        await asyncio.gather(*waiting, return_exceptions=True)
        assert log == [(1.0, 1), (1.0, 2)]

    run_virtually(main())


def test_closing_fails_all_queued_requests():
    """ClientClosedError, also for those that come later."""

    async def main():
        entrance = gate(requests_per_second=0.001)
        await entrance.enter(starts_run=False)
        waiting = [asyncio.create_task(entrance.enter(starts_run=n % 2 == 0)) for n in range(4)]
        await asyncio.sleep(1)
        assert not any(task.done() for task in waiting)
        waiting[0].cancel()
        entrance.close()
        results = await asyncio.gather(*waiting, return_exceptions=True)
        assert isinstance(results[0], asyncio.CancelledError)
        assert [repr(result) for result in results[1:]] == [
            "ClientClosedError('the client was closed while a request waited')"
        ] * 3
        with pytest.raises(ClientClosedError, match=r"^the client is closed$"):
            await entrance.enter(starts_run=True)
        assert all(task.done() for task in waiting)

    run_virtually(main())


def test_a_minute_after_a_429_no_limit_is_left():
    """At however low a rate it came, a burst passes at once again."""

    async def main():
        entrance, log = gate(), []
        sent = await entrance.enter(starts_run=False)
        entrance.throttled(sent, 1.0)
        entrance.leave()
        await asyncio.sleep(3)
        await asyncio.gather(*(admitted(entrance, False, log, n) for n in range(3)))
        assert log[-1][0] > 3
        await asyncio.sleep(31)
        began = asyncio.get_running_loop().time()
        await asyncio.gather(*(admitted(entrance, False, log, n) for n in range(50)))
        assert asyncio.get_running_loop().time() == began

    run_virtually(main())


def test_a_long_wait_for_a_slot_is_logged_once_a_minute(caplog):
    """Short waits, and requests admitted meanwhile, are not logged."""
    caplog.set_level(logging.WARNING, "kognitos_async")

    async def main():
        gate = Gate(max_concurrent=1, requests_per_second=None, what="streams")
        await gate.enter(starts_run=False)
        waiting = [asyncio.create_task(gate.enter(starts_run=False)) for _ in range(3)]
        await asyncio.sleep(9)
        assert not caplog.records
        await asyncio.sleep(2)
        assert [record.getMessage() for record in caplog.records] == [
            "3 streams wait to be sent, the longest for 10 s: all 1 slots are taken"
        ]
        await asyncio.sleep(58)
        assert len(caplog.records) == 1
        await asyncio.sleep(2)
        assert len(caplog.records) == 2
        gate.leave()
        await asyncio.sleep(0)
        gate.close()
        await asyncio.gather(*waiting, return_exceptions=True)
        await asyncio.sleep(200)
        assert len(caplog.records) == 2

    run_virtually(main())


def test_a_long_wait_for_the_rate_is_logged(caplog):
    """The warning says that the rate is the cause."""
    caplog.set_level(logging.WARNING, "kognitos_async")

    async def main():
        gate = Gate(max_concurrent=9, requests_per_second=0.05)
        await gate.enter(starts_run=False)
        await gate.enter(starts_run=False)
        assert [record.getMessage() for record in caplog.records] == [
            "1 requests wait to be sent, the longest for 10 s: the rate allows no more"
        ]

    run_virtually(main())


def test_short_waits_in_a_long_queue_are_not_logged(caplog):
    """A queue that never empties is not a long wait."""
    caplog.set_level(logging.WARNING, "kognitos_async")

    async def main():
        gate = Gate(max_concurrent=1, requests_per_second=None)

        async def worker():
            for _ in range(20):
                await gate.enter(starts_run=False)
                await asyncio.sleep(1)
                gate.leave()

        await asyncio.gather(*(worker() for _ in range(4)))

    run_virtually(main())
    assert not caplog.records


def test_timers_without_a_due_time_are_supported(monkeypatch):
    """Uvloop returns such handles for calls due at once."""

    class Handle:
        def __init__(self, real):
            self.cancel = real.cancel
            self._source_traceback = None

    async def main():
        loop = asyncio.get_running_loop()
        call_at = loop.call_at
        monkeypatch.setattr(loop, "call_at", lambda *args, **named: Handle(call_at(*args, **named)))
        entrance = gate(requests_per_second=20)
        await asyncio.gather(*(entrance.enter(starts_run=n % 2 == 0) for n in range(30)))
        assert loop.time() == pytest.approx(29 / 20, abs=0.3)

    run_virtually(main())
