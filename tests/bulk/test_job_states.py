"""The way of each request of a job through the ledger, with an API that does as it is told. No network."""

from __future__ import annotations

import asyncio
import contextlib
import random
import sqlite3
from types import SimpleNamespace

import msgspec
import pytest

from kognitos_async import (
    AuthenticationError,
    BadRequestError,
    CapacityError,
    Journal,
    JournalError,
    NotSentError,
    PermissionDeniedError,
    RateLimitError,
    RetryPolicy,
    ServerError,
    StartUncertainError,
    WaitTimeoutError,
)
from kognitos_async.bulk.job import BulkJob
from kognitos_async.bulk.ledger import ChangedRequestError, DuplicateNameError
from kognitos_async.bulk.types import EncodedStart
from kognitos_async.observed_work import JobRequest
from kognitos_async.observers import Observer, Observers
from kognitos_async.server_clock import ServerClock, StartWindow
from kognitos_async.uncertain_start import MOST_STARTS, Absent, Found, Undecided
from tests.bulk.journals import RunRecord, record

LOST = "lost"
MISSING = Undecided("it cannot be told")


class Api:
    """Starts, look-ups and waits end as their scripts say; without one all is well. Notes what is asked."""

    api = "rest_v2"
    unfinished = ("Pending",)
    changeable = ("Exception",)

    def __init__(self, starts=(), answers=(), waits=()):
        self.clock = ServerClock()
        self.starts, self.answers, self.waits = list(starts), list(answers), list(waits)
        self.started, self.looked_up, self.waited = [], [], []
        self.before_send = lambda: None
        self.while_waiting = None

    def encode(self, request):
        name, _, text = request.partition("=")
        return EncodedStart(name, request.encode(), (text or name).encode())

    def decode(self, name, record):
        return record.decode()

    def fingerprint(self, record):
        return self.encode(record.decode()).content

    def load(self, content):
        return msgspec.json.decode(content, type=RunRecord)

    def run_of(self, request, begun):
        return RunRecord(begun, "Known") if isinstance(begun, str) else begun

    async def start(self, request, record, before_send):
        what = self.starts.pop(0) if self.starts else f"run of {request}"
        if isinstance(what, NotSentError):
            raise what
        window = await before_send()
        self.started.append((request, window))
        self.before_send()
        if what is LOST:
            raise StartUncertainError("lost", request=request, since=window.since, window=window)
        if isinstance(what, BaseException):
            raise what
        return RunRecord(what, "Running")

    async def wait(self, request, run):
        self.waited.append((request, run if isinstance(run, str) else run.id))
        if self.while_waiting is not None:
            await self.while_waiting()
        what = self.waits.pop(0) if self.waits else "Succeeded"
        if isinstance(what, BaseException):
            raise what
        return RunRecord(self.waited[-1][1], what)

    def recall(self, recorded):
        pass

    async def look_up(self, request, window, *, known_ids, in_doubt_too):
        self.looked_up.append((request, window, set(known_ids), in_doubt_too))
        return self.answers.pop(0) if self.answers else Absent()


class Calm:
    """A sender without delays; notes how long it was asked to sleep."""

    chance = random.Random(1)
    policy = RetryPolicy()

    def __init__(self, clock):
        self.clock = clock
        self.gate = SimpleNamespace(cuts=0)
        self.lifetime = self
        self.slept = []

    async def sleep(self, seconds):
        self.slept.append(seconds)

    async def wait_closed(self):
        await asyncio.Event().wait()


class Notes(Observer):
    def __init__(self):
        self.moves, self.doubts, self.ended = [], [], []

    def journal_moved(self, job, before, after):
        self.moves.append((before, after))

    def start_in_doubt(self, asked, error):
        self.doubts.append((asked, error))

    def work_ended(self, work, error):
        if isinstance(work, JobRequest):
            self.ended.append(work)


class Job:
    """One call of run_many: its outcomes, the error that ended it, what observers were told."""

    def __init__(self, api, requests, path, **options):
        self.sender = Calm(api.clock)
        self.notes, self.outcomes, self.error = Notes(), [], None
        observers = Observers()
        observers.add(self.notes)
        settings = {"max_in_flight": 1, "absence_delay": 0.0, **options}
        self.job = BulkJob(api, self.sender, requests, journal=path, observers=observers, **settings)

    async def run(self):
        async def take(outcome):
            self.outcomes.append(outcome)

        try:
            async with asyncio.timeout(20):
                with self.job.observed:
                    await self.job.work(take)
        except Exception as error:  # noqa: BLE001
            self.error = error
        return self

    @property
    def only(self):
        assert self.error is None
        [outcome] = self.outcomes
        return outcome


def run(api, requests, path, **options):
    return Job(api, requests, path, **options).run()


def states(path):
    with Journal(path) as journal:
        return {entry.name: entry.state for entry in journal.entries()}


def window_on_record(path):
    with contextlib.closing(sqlite3.connect(path)) as database:
        [(content,)] = database.execute("SELECT start_window FROM runs").fetchall()
    return None if content is None else msgspec.json.decode(content)


@pytest.fixture
def path(tmp_path):
    return tmp_path / "job"


@pytest.mark.parametrize("first", [True, False])
async def test_a_request_goes_from_planned_to_settled(path, first):
    """Each step once, in this order; the last of them is the outcome."""
    if not first:
        await record(path, "other", request=b"other")
    job = await run(Api(), ["a"], path)
    outcome = job.only
    assert (outcome.request, outcome.run, outcome.error) == ("a", RunRecord("run of a"), None)
    assert (outcome.attempts, outcome.resumed) == (1, False)
    assert job.notes.moves == [
        (None, "planned"),
        ("planned", "starting"),
        ("starting", "started"),
        ("started", "settled"),
    ]
    [work] = job.notes.ended
    assert (work.asked, work.run, work.error, work.attempts, work.resumed) == (
        "a",
        outcome.run,
        None,
        1,
        False,
    )
    assert states(path)["a"] == "settled"


async def test_a_start_is_on_record_with_its_window_before_it_is_sent(path):
    """The first one, and each that follows a lost one."""
    api, seen = Api([LOST, LOST]), []
    api.before_send = lambda: seen.append((states(path), window_on_record(path)))
    outcome = (await run(api, ["a"], path)).only
    assert (outcome.run.id, outcome.attempts) == ("run of a", 3)
    assert [state for state, _ in seen] == [{"a": "starting"}] * 3
    sent = [msgspec.json.decode(msgspec.json.encode(window)) for _, window in api.started]
    assert [window for _, window in seen] == sent
    # Each window holds the attempts before, too: a run that one look-up missed is found by the next.
    assert [len(window["attempts"]) for window in sent] == [1, 2, 3]


async def test_a_start_that_stays_in_doubt_is_looked_up_by_the_next_process(path):
    """By the window on record; meanwhile the outcome is the doubt."""
    api = Api([LOST], [MISSING])
    job = await run(api, ["a"], path)
    error = job.only.error
    assert isinstance(error, StartUncertainError)
    assert ": it cannot be told. " in str(error)
    assert (error.request, error.window) == ("a", api.started[0][1])
    assert (job.only.run, job.only.attempts, job.only.resumed) == (None, 1, False)
    assert states(path) == {"a": "starting"}
    for answer, state in ((MISSING, "starting"), (Found(RunRecord("r7", "Running")), "settled")):
        later = Api(answers=[answer])
        job = await run(later, ["a"], path)
        [(request, window, known, doubt)] = later.looked_up
        assert (request, known, doubt) == ("a", set(), False)
        assert isinstance(window, StartWindow)
        assert (window.sent_at, window.until) == (error.window.sent_at, error.window.until)
        [(asked, doubt)] = job.notes.doubts
        assert (asked, doubt.window, doubt.request) == ("a", window, "a")
        assert (
            str(doubt) == "an earlier process ended during the start of 'a'; whether it made a run is unknown"
        )
        assert (job.only.attempts, job.only.resumed, job.only.error is None) == (1, True, state == "settled")
        assert states(path) == {"a": state}
        assert not later.started
    assert job.only.run == RunRecord("r7")


async def test_a_start_that_certainly_made_no_run_is_sent_again(path):
    """By the next process, too."""
    await run(Api([LOST], [MISSING]), ["a"], path)
    job = await run(Api(answers=[Absent()]), ["a"], path)
    assert (job.only.run.id, job.only.attempts, job.only.resumed) == ("run of a", 2, True)


async def test_the_same_start_is_lost_five_times_at_most(path):
    """Then it is planned, and its outcome the last error; the next call goes on."""
    job = await run(Api([LOST] * 9), ["a"], path)
    assert isinstance(job.only.error, StartUncertainError)
    assert job.only.attempts == MOST_STARTS
    assert states(path) == {"a": "planned"}
    job = await run(Api(), ["a"], path)
    assert (job.only.run.id, job.only.attempts, job.only.resumed) == ("run of a", MOST_STARTS + 1, True)


async def test_without_a_journal_a_lost_start_is_the_outcome(path):
    """Nothing is looked up: nobody has recorded what else was started."""
    api = Api([LOST])
    job = await run(api, ["a"], None)
    assert str(job.only.error) == "lost"
    assert not api.looked_up


@pytest.mark.parametrize(
    "refusal",
    [
        RateLimitError("slow", status=429),
        CapacityError("full", status=403),
        ServerError("busy", status=503, retry_after=0.01),
        NotSentError("no route"),
    ],
)
async def test_a_start_refused_for_now_does_not_count(path, refusal):
    """It is planned again until it is admitted."""
    job = await run(Api([refusal]), ["a"], path)
    assert (job.only.run.id, job.only.attempts, job.only.resumed) == ("run of a", 1, False)
    assert ("starting", "planned") in job.notes.moves or isinstance(refusal, NotSentError)


async def test_a_refused_start_is_an_outcome_and_planned_again(path):
    """It counts; the others go on."""
    job = await run(Api([BadRequestError("no", status=400)]), ["a", "b"], path)
    assert job.error is None
    refused, other = job.outcomes
    assert isinstance(refused.error, BadRequestError)
    assert (refused.request, refused.run, refused.attempts) == ("a", None, 1)
    assert other.run.id == "run of b"
    assert states(path) == {"a": "planned", "b": "settled"}
    again, _ = (await run(Api(), ["a", "b"], path)).outcomes
    assert (again.run.id, again.attempts, again.resumed) == ("run of a", 2, True)


@pytest.mark.parametrize(
    "error",
    [
        AuthenticationError("who?", status=401),
        PermissionDeniedError("no", status=403),
        ServerError("busy", status=503, retry_after=1e6),
        RateLimitError("slow", status=429, retry_after=1e6),
    ],
)
async def test_an_error_that_concerns_all_requests_ends_the_job(path, error):
    """Runs begun before are awaited, nothing more is started, and the error is raised."""
    api = Api(["r1", error])
    job = await run(api, ["a", "b", "c", "d"], path, max_in_flight=2)
    assert job.error is error
    assert [outcome.run.id for outcome in job.outcomes] == ["r1"]
    assert len(api.started) == 2
    assert states(path)["a"] == "settled"
    assert "starting" not in states(path).values()


@pytest.mark.parametrize("seen", [RunRecord("r1", "Seen"), None])
async def test_a_wait_that_ends_without_a_settled_run_tells_what_was_seen(path, seen):
    """Else what its start told; the run stays on record, and the next call waits for it."""
    error = WaitTimeoutError("too long", run=seen)
    job = await run(Api(["r1"], waits=[error]), ["a"], path)
    assert (job.only.error, job.only.run) == (error, seen or RunRecord("r1", "Running"))
    assert states(path) == {"a": "started"}
    api = Api()
    job = await run(api, ["a"], path)
    assert (job.only.run, job.only.resumed, job.only.attempts) == (RunRecord("r1"), True, 1)
    assert api.waited == [("a", "r1")]
    assert not api.started


async def test_an_error_of_a_wait_does_not_end_the_job(path):
    """Although the same error of a start would."""
    error = PermissionDeniedError("no", status=403)
    job = await run(Api(waits=[error]), ["a", "b"], path)
    assert [outcome.error for outcome in job.outcomes] == [error, None]


async def test_a_settled_request_is_not_run_again(path):
    """Its outcome is on record, and nothing is asked."""
    await run(Api(waits=["Exception"]), ["a"], path)
    api = Api()
    job = await run(api, ["a"], path)
    assert (job.only.run, job.only.attempts, job.only.resumed) == (
        RunRecord("run of a", "Exception"),
        1,
        True,
    )
    assert (api.started, api.waited) == ([], [])
    assert job.notes.moves == [(None, "settled")]


@pytest.mark.parametrize(
    ("status", "recheck", "waits"),
    [
        ("Pending", False, True),
        ("Exception", True, True),
        ("Exception", False, False),
        ("Succeeded", True, False),
    ],
)
async def test_a_run_that_may_have_changed_is_read_again(path, status, recheck, waits):
    """One that was not really over always is, one that a person can change when asked to."""
    await run(Api(waits=[status]), ["a"], path)
    api = Api(waits=["Succeeded"])
    job = await run(api, ["a"], path, recheck=recheck)
    assert api.waited == ([("a", "run of a")] if waits else [])
    assert job.only.run.status == ("Succeeded" if waits else status)
    assert not api.started


async def test_a_request_is_run_again_where_its_status_asks_for_it(path):
    """And only then; attempts are counted on."""
    await run(Api(["r1", "r2"], waits=["Exception", "Succeeded"]), ["a", "b"], path)
    api = Api(["r3"])
    job = await run(api, ["a", "b"], path, rerun=("Exception",))
    assert {outcome.request: outcome.run.id for outcome in job.outcomes} == {"a": "r3", "b": "r2"}
    assert {outcome.request: outcome.attempts for outcome in job.outcomes} == {"a": 2, "b": 1}


async def test_what_is_on_record_and_not_in_the_input_is_finished_but_not_started(path):
    """Runs are awaited, doubts looked up; what certainly has no run is planned and has no outcome."""
    for name, state in (
        ("a", "started"),
        ("b", "starting"),
        ("c", "starting"),
        ("d", "planned"),
        ("e", "settled"),
    ):
        await record(path, name, state=state, request=name.encode(), run_id=f"run-{name}")
    api = Api(answers=[Found(RunRecord("run-b", "Running")), Absent()])
    job = await run(api, ["x"], path, max_in_flight=5)
    assert job.error is None
    assert {outcome.request: outcome.run.id for outcome in job.outcomes} == {
        "x": "run of x",
        "a": "run-a",
        "b": "run-b",
    }
    assert {outcome.request: outcome.resumed for outcome in job.outcomes} == {
        "x": False,
        "a": True,
        "b": True,
    }
    assert [request for request, _ in api.started] == ["x"]
    assert states(path) == {
        "a": "settled",
        "b": "settled",
        "c": "planned",
        "d": "planned",
        "e": "settled",
        "x": "settled",
    }


async def test_a_name_that_is_taken_is_an_outcome(path):
    """Twice in the input, or on record with other contents."""
    job = await run(Api(), ["a=1", "a=1"], path)
    assert [type(outcome.error) for outcome in job.outcomes] == [type(None), DuplicateNameError]
    job = await run(Api(), ["a=2", "b"], path)
    assert [type(outcome.error) for outcome in job.outcomes] == [ChangedRequestError, type(None)]


async def test_a_run_on_record_that_cannot_be_read_is_damage(path):
    """The message names its request."""
    await record(path, "a", request=b"a")
    with contextlib.closing(sqlite3.connect(path)) as database, database:
        database.execute("UPDATE runs SET run = CAST('{' AS BLOB)")
    job = await run(Api(), ["a"], path)
    assert isinstance(job.error, JournalError)
    assert str(job.error).startswith("the journal is damaged: the run of request 'a' cannot be decoded (")
    assert str(job.error).endswith("). Restore the journal from a backup")


async def test_an_input_that_raises_ends_the_job_after_what_it_gave(path):
    """The requests before it have outcomes; the error is raised as it is."""
    error = ZeroDivisionError("in the input")

    def requests():
        yield "a"
        yield "b"
        raise error

    job = await run(Api(), requests(), path)
    assert job.error is error
    assert [outcome.request for outcome in job.outcomes] == ["a", "b"]


@pytest.mark.parametrize("limit", [1, 3])
async def test_no_more_are_under_way_than_the_limit(path, limit):
    """From the first step of a request to its outcome."""
    api, counts, reached = Api(), [], asyncio.Event()

    async def note():
        counts.append(job.job.running)
        if counts[-1] == limit:
            reached.set()
        await reached.wait()

    api.while_waiting = note
    job = Job(api, [f"n{number}" for number in range(9)], path, max_in_flight=limit)
    await job.run()
    assert len(job.outcomes) == 9
    assert max(counts) == limit
    assert job.job.running == 0


async def test_a_look_up_waits_until_the_list_would_show_the_run(path):
    """After a start lost just now all of the delay, after one of an earlier process what is left of it."""
    job = await run(Api([LOST], [MISSING]), ["a"], path, absence_delay=5.0)
    assert job.sender.slept == [5.0]
    job = await run(Api(answers=[MISSING]), ["a"], path, absence_delay=5.0)
    [slept] = job.sender.slept
    assert slept < 5.0


async def test_a_request_on_record_that_cannot_be_decoded_is_damage(path):
    """Also of an entry that is not in the input: its run would be awaited for nobody."""
    await record(path, "a", state="started", request=b"a")

    class Undecodable(Api):
        def decode(self, name, record):
            raise ValueError("no request")

    job = await run(Undecodable(), ["b"], path)
    assert isinstance(job.error, JournalError)
    message = "the journal is damaged: request 'a' cannot be decoded (no request). Restore"
    assert str(job.error).startswith(message)


async def test_requests_begun_together_are_not_taken_for_left_over_ones(path):
    """However many of them an earlier process had begun."""
    names = [f"n{number}" for number in range(6)]
    for name in names:
        await record(path, name, state="started", request=name.encode(), run_id=f"run-{name}")
    job = await run(Api(), names, path, max_in_flight=4)
    assert job.error is None
    assert sorted(outcome.request for outcome in job.outcomes) == names


async def test_a_client_that_is_closed_ends_the_job(path):
    """What waits to start says so."""
    api = Api([CapacityError("full", status=403)] * 99)
    job = Job(api, ["a", "b"], path)
    closed = asyncio.Event()
    job.sender.wait_closed = closed.wait
    api.before_send = closed.set
    await job.run()
    text = "the client was closed while the job was running"
    assert str(job.error or job.outcomes[0].error) == text
    assert states(path)["a"] == "planned"
