"""Figures, actual ratios and verdicts; pure functions of the measured numbers."""

from __future__ import annotations

import statistics
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    Raw = Mapping[str, Mapping[str, Mapping[str, Sequence[float]]]]
    """Measured values: subject, contender, measure, one number per repetition."""

OURS = "kognitos-async"
BARE = "bare aiohttp + msgspec"
HTTPX = "httpx + pydantic"
GENERATED = "openapi-python-client"
UVLOOP = ", uvloop"
"""Suffix of contenders on uvloop."""

GET_ONE, GET_MANY = "GET, 1 at once", "GET, 50 at once"
HISTORY = "history, 50 pages of 100"
HISTORY_LATE = "history, 20 ms latency"
HISTORY_HIDDEN = "history, 20 ms latency, a consumer of 20 ms a page"
FANOUT, RATE_LIMIT = "fan-out", "fan-out, limit of 50 requests a second"
CONSUMER = "the consumer alone"
JOURNAL, NO_JOURNAL = "run_many, journal", "run_many"
FULL = "fan-out, a full organization"
DOUBTS = "resuming 1,000 doubtful starts"
RESUMED, SHOWN = "resuming a journal of 100,000 entries", "journal show of 100,000 entries"
EXPORT = "1,000,000 runs"
QUICK_EXPORT = "100,000 runs"
EXPORTED, WALKED = "export to Parquet", "walking them"
SHOW = "kognitos journal show"
COMMAND, WHOLE = "kognitos --help", "importing the whole package"
FIRST_CLIENT, FIRST_SESSION = "kognitos-async, first client", "aiohttp, first session"
PLUGIN, NO_PLUGIN = "pytest with the plugin", "pytest without it"
START_UP = "start-up"
OPENAI, APIFY, DATABRICKS, BOTOCORE = "openai-python", "apify-client", "databricks-sdk", "aiobotocore"
OPPONENTS = (OPENAI, APIFY, DATABRICKS, BOTOCORE)
FACE_GET = "GET, 20 at once, each client's own API"
FACE_HISTORY = "history, 50 pages of 100, each client's own API"
FACE_WAIT = "waiting for 200 runs, each client's own API"
UPLOADING = (OPENAI, APIFY, BOTOCORE)
FACE_UPLOAD = "upload, each client's own API"
UPLOAD = "upload"
IDLE = "idle client"
SHARED, PLAIN = "wait_for_run", "one GET per poll"
MOST_WAITERS = "10,000 waiters"
WAITS = {
    "20 waiters": 1.0,
    "2,000 waiters, newest first": 0.05,
    "2,000 waiters, oldest first": 0.05,
    "2,000 waiters, 50 ms latency": 0.05,
    "2,000 waiters, bare ids": 0.05,
    MOST_WAITERS: 0.05,
}
"""Subjects of waiting, with the maximum share of requests of shared polls compared with plain polling."""

PAGES = 50
LATENCY = 0.02
HIDDEN_WITHIN = 1.1 * PAGES * LATENCY + LATENCY
"""Seconds for 50 pages with 20 ms latency and a consumer of 20 ms per page, if the two overlap."""
TIMES = ("seconds", "loop lag p99 ms")
MOST_GROWTH = 30.0
"""Maximum memory of an upload, in MB."""
SLACK = 1.5
"""Tolerance of `--quick` for noisy machines: a factor on each figure."""


class Figure(NamedTuple):
    """A ratio, `of` over `to`, of a measure of a subject, and its limit; None if it is only shown."""

    subject: str
    measure: str
    of: str
    to: str | float
    limit: float | None = None
    at_most: bool = True
    why: str = ""
    """Shown in RESULTS.md if the limit is missed."""

    @property
    def of_the_clock(self) -> bool:
        """Whether it compares time with a constant; depends on the machine, so never a failure."""
        return not isinstance(self.to, str) and self.measure in TIMES

    @property
    def title(self) -> str:
        if isinstance(self.to, str):
            return f"{self.subject}: {self.measure}, {self.of} / {self.to}"
        return f"{self.subject}: {self.measure}, {self.of}" + (f" / {self.to:g}" if self.to != 1 else "")


class Ratio(NamedTuple):
    """A figure with its actual values, one per repetition."""

    figure: Figure
    values: tuple[float, ...]
    best: float
    """The ratio of the best repetition of each contender, least affected by noise."""

    @property
    def actual(self) -> float:
        return statistics.median(self.values)

    @property
    def reached(self) -> bool:
        limit = self.figure.limit
        if limit is None:
            return True
        return self.actual <= limit if self.figure.at_most else self.actual >= limit

    @property
    def failed(self) -> bool:
        """Whether median and best are both worse than noise explains."""
        limit = self.figure.limit
        if limit is None or self.figure.of_the_clock:
            return False
        if self.figure.at_most:
            return min(self.actual, self.best) > SLACK * limit
        return max(self.actual, self.best) < limit / SLACK

    @property
    def verdict(self) -> str:
        if self.figure.limit is None:
            return ""
        if self.reached:
            return "reached"
        return f"worse than {SLACK:g} times" if self.failed else "missed"


_SWEEPS = (
    "A sweep of the list takes 20 pages. Fewer sweeps in the ten seconds in which the runs settle would be "
    "fewer requests and longer delays."
)
_EXPORTED = (
    "Types are known only once all runs are read: until then they are kept on disk by column, which takes as "
    "long again as walking them."
)


def _waiting() -> list[Figure]:
    return [
        Figure(subject, measure, SHARED, PLAIN, limit)
        for subject, share in WAITS.items()
        for measure, limit in (
            ("requests a run", share),
            ("mean delay s", 1.0),
            ("CPU s", 1.0),
            ("memory MB", None),
        )
    ]


FIGURES = [
    Figure(GET_MANY, "CPU µs a request", OURS, BARE, 1.25),
    Figure(GET_MANY, "CPU µs a request", HTTPX, OURS, 10.0, at_most=False),
    Figure(GET_MANY, "CPU µs a request", GENERATED, OURS),
    Figure(GET_ONE, "CPU µs a request", OURS, BARE),
    Figure(GET_ONE, "CPU µs a request", HTTPX, OURS),
    Figure(GET_ONE, "CPU µs a request", GENERATED, OURS),
    Figure(HISTORY, "CPU µs an item", OURS, BARE, 1.15),
    Figure(
        HISTORY,
        "items a second",
        OURS,
        HTTPX,
        5.0,
        at_most=False,
        why="Bare aiohttp + msgspec, in the tables below, shows how little of it could be saved above "
        "aiohttp: most is aiohttp's request, asyncio's receiving and msgspec's decoding.",
    ),
    Figure(HISTORY, "items a second", OURS, GENERATED),
    Figure(HISTORY_LATE, "items a second", OURS, BARE),
    Figure(HISTORY_HIDDEN, "seconds", OURS, HIDDEN_WITHIN, 1.0),
    Figure(HISTORY_HIDDEN, "seconds", OURS, CONSUMER, HIDDEN_WITHIN / (PAGES * LATENCY)),
    *_waiting(),
    Figure(MOST_WAITERS, "kB a waiter", SHARED, 10.0, 1.0),
    Figure(MOST_WAITERS, "loop lag p99 ms", SHARED, 50.0, 1.0),
    Figure(
        FANOUT,
        "runs a second",
        JOURNAL,
        NO_JOURNAL,
        0.9,
        at_most=False,
        why="Two of a run's three steps are waited for, the start and the end, each until its commit is on "
        "disk. SQLite writes in a thread of its own, which here counts for what the event loop did "
        "meanwhile: waiting, under selectors, and the work that the two take turns at.",
    ),
    Figure(FANOUT, "CPU ms a run", JOURNAL, NO_JOURNAL),
    Figure(FANOUT, "memory MB", JOURNAL, NO_JOURNAL),
    *(
        Figure(subject, "requests a run", SHARED, 0.08, 1.0, why=_SWEEPS)
        for subject in WAITS
        if subject.startswith("2,000")
    ),
    Figure(FULL, "starts sent a run", NO_JOURNAL, 1.5, 1.0),
    Figure(FULL, "share of the capacity used", NO_JOURNAL, 1.0),
    Figure(
        DOUBTS,
        "readings of the list",
        JOURNAL,
        2.0,
        1.0,
        why="The first look-up begins a reading; those that come while it is under way share the next.",
    ),
    Figure(RESUMED, "seconds", JOURNAL, 10.0, 1.0),
    Figure(SHOWN, "seconds", SHOW, 0.2, 1.0),
    *(
        Figure(subject, "items a second", EXPORTED, WALKED, limit, at_most=False, why=_EXPORTED)
        # The quick limit is what is reached, so that CI detects regressions.
        for subject, limit in ((EXPORT, 0.5), (QUICK_EXPORT, 0.15))
    ),
    Figure(START_UP, "CPU ms", OURS, "aiohttp", 1.05),
    Figure(START_UP, "CPU ms", FIRST_CLIENT, FIRST_SESSION),
    Figure(
        START_UP,
        "CPU ms",
        COMMAND,
        WHOLE,
        0.25,
        why="Half of it is typer, whose groups and options the help is made of.",
    ),
    Figure(START_UP, "CPU ms", PLUGIN, NO_PLUGIN, 1.1),
    *(Figure(FACE_GET, "CPU µs a request", name, OURS) for name in (BARE, HTTPX, *OPPONENTS)),
    *(Figure(FACE_HISTORY, "CPU µs an item", name, OURS) for name in (BARE, HTTPX, *OPPONENTS)),
    *(Figure(FACE_HISTORY, "items a second", OURS, name) for name in (BARE, HTTPX, *OPPONENTS)),
    *(Figure(FACE_WAIT, "requests a run", OURS, name) for name in (BARE, HTTPX, *OPPONENTS)),
    *(Figure(FACE_WAIT, "mean delay s", OURS, name) for name in (BARE, HTTPX, *OPPONENTS)),
    *(Figure(FACE_WAIT, "CPU s", name, OURS) for name in (BARE, HTTPX, *OPPONENTS)),
    *(Figure(FACE_UPLOAD, "MB a second", OURS, name) for name in (BARE, HTTPX, *UPLOADING)),
    Figure(RATE_LIMIT, "share of the limit used", NO_JOURNAL, 1.0, 0.85, at_most=False),
    Figure(RATE_LIMIT, "share answered 429", NO_JOURNAL, 1.0, 0.02),
    Figure(UPLOAD, "MB a second", OURS, BARE, 0.95, at_most=False),
    Figure(UPLOAD, "MB a second", OURS, HTTPX),
    Figure(UPLOAD, "memory growth MB", OURS, MOST_GROWTH, 1.0),
    Figure(IDLE, "process MB", OURS, BARE),
    Figure(IDLE, "process MB", OURS, HTTPX),
]


def ratios(raw: Raw, figures: Sequence[Figure] = FIGURES) -> list[Ratio]:
    """The ratios that `raw` holds the numbers of, in the order of `figures`; the others are left out.

    Each repetition makes a ratio of its own: its contenders were measured one right after the other, so what
    slowed the machine down for a while slowed both.
    """
    found = []
    for figure in figures:
        of = _values(raw, figure, figure.of)
        to = (
            [float(figure.to)] * len(of)
            if not isinstance(figure.to, str)
            else _values(raw, figure, figure.to)
        )
        values = tuple(a / b for a, b in zip(of, to, strict=False) if b)
        if values:
            best = max if figure.measure.endswith("a second") else min
            found.append(Ratio(figure, values, best(of) / (best(to) or 1.0)))
    return found


def _values(raw: Raw, figure: Figure, contender: str) -> Sequence[float]:
    return raw.get(figure.subject, {}).get(contender, {}).get(figure.measure, ())
