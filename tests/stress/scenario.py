"""One random story of a bulk job: what the service is like, what breaks, and how the job ends in between."""

from __future__ import annotations

import random
import unicodedata
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta, timezone
from typing import TYPE_CHECKING, Any

from kognitos_async.testing import KognitosServer, Schedule, faults

if TYPE_CHECKING:
    from collections.abc import Callable

ENDINGS = ("whole", "left", "cancelled", "killed")
"""How one pass over the job ends: it runs to its end, its block is left, its task is cancelled, kill -9."""

_NAMES: dict[str, Callable[[str], str]] = {
    "trim": str.strip,
    "fold": str.casefold,
    "nfkc": lambda name: unicodedata.normalize("NFKC", name),
    "blanks": lambda name: " ".join(name.split()),
}


@dataclass
class Scenario:
    """Everything that a seed decides."""

    seed: int
    api: str
    uvloop: bool
    requests: int
    max_in_flight: int
    passes: list[tuple[str, float]]
    """For each pass its ending, and after which share of the requests or seconds it comes."""
    rewriting: str
    server: dict[str, Any] = field(repr=False)
    faults: list[tuple[str, Any, float]] = field(repr=False)
    foreign: int = 0
    """Runs of the same names or inputs that somebody else makes."""
    clock_step: float = 0.0
    """Seconds by which the clock that stamps `created_at` jumps in the middle."""

    def name(self, number: int) -> str:
        """The name of a request, such as rewriting services change; unique under every rewriting."""
        blank = "  " if self.rewriting == "blanks" else " "
        word = "\uff32echnung" if self.rewriting == "nfkc" else "Invoice"
        return f"{word}{blank}{self.seed}-{number}"


def draw(seed: int) -> Scenario:
    """The scenario of a seed."""
    rng = random.Random(seed)
    api = rng.choice(["rest_v2", "platform_v1"])
    requests = rng.randint(3, 40)
    rewriting = rng.choice(["none", "none", "none", *_NAMES]) if api == "rest_v2" else "none"
    passes = [(rng.choice(ENDINGS), rng.random()) for _ in range(rng.randint(0, 3))]
    skew = rng.choice([0, 0, 0, rng.uniform(-4000, 4000), rng.uniform(-20, 20)])
    date_skew = rng.choice([0, 0, rng.uniform(-4000, 4000)])
    local = rng.choice([0, 0, 0, 0, rng.choice([-5, 1, 9])])
    step = rng.choice([0, 0, 0, rng.uniform(-100, 100)])
    scenario = Scenario(
        seed=seed,
        api=api,
        uvloop=rng.random() < 0.4,
        requests=requests,
        max_in_flight=rng.choice([1, 3, 10, 50]),
        passes=[*passes, ("whole", 1.0)],
        rewriting=rewriting,
        foreign=rng.choice([0, 0, 0, rng.randint(1, 5)]),
        clock_step=step,
        server={},
        faults=[],
    )
    stamps = timedelta(seconds=skew)
    zone = timezone(timedelta(hours=local))
    born = datetime.now(UTC)

    def created_at(moment: datetime) -> datetime:
        stepped = timedelta(seconds=step) if moment - born > timedelta(seconds=0.3) else timedelta()
        return (moment + stamps + stepped).astimezone(zone).replace(tzinfo=UTC)

    frozen = rng.random() < 0.1

    def date(moment: datetime) -> datetime:
        return (born if frozen else moment) + timedelta(seconds=date_skew)

    scenario.server = {
        "schedule": Schedule.fixed(rng.choice([0.0, 0.02, 0.1])),
        "order": rng.choice(["newest", "newest", "oldest", "shuffled"]),
        "order_jitter": rng.choice([0.0, 0.0, 0.05]),
        "list_lag": rng.choice([0.0, 0.0, 0.05]),
        "capacity": rng.choice([None, None, 2, 8]),
        "rate_limit": rng.choice([None, None, None, 200.0]),
        "retry_after": rng.choice([None, 0.05]),
        "time_format": rng.choice(["naive", "naive", "z"]) if api == "rest_v2" else "naive",
        "list_outputs": rng.random() < 0.8,
        "created_at": created_at if (skew or local or step) else None,
        "date": date if (date_skew or frozen) else None,
        "stored_name": _NAMES.get(rewriting, str),
        "run_id_form": rng.choice(["name", "id"]),
        "seed": seed,
    }
    start = "create_run" if api == "rest_v2" else "InvokeAutomation"
    listing = "list_runs" if api == "rest_v2" else "ListRuns"
    reading = "get_run" if api == "rest_v2" else "GetRun"
    for fault, most in (
        (faults.reset(after_work=True), 0.3),
        (faults.reset(after_work=False), 0.3),
        (faults.server_error(500, after_work=True), 0.2),
        (faults.server_error(500), 0.2),
        (faults.proxy_error(502, after_work=True), 0.2),
        (faults.unavailable(0.02), 0.3),
        (faults.rate_limited(0.02), 0.3),
        (faults.rate_limited(), 0.05),
        (faults.cut_body(), 0.2),
        (faults.hang(30.0, after_work=True), 0.04),
        (faults.close_after(), 0.2),
    ):
        if rng.random() < 0.3:
            scenario.faults.append((start, fault, rng.uniform(0.0, most)))
    for fault, most in (
        (faults.server_error(503), 0.3),
        (faults.proxy_error(), 0.3),
        (faults.reset(after_work=True), 0.3),
        (faults.html_page(), 0.2),
        (faults.cut_body(), 0.2),
    ):
        for operation in (listing, reading):
            if rng.random() < 0.15:
                scenario.faults.append((operation, fault, rng.uniform(0.0, most)))
    return scenario


def server_of(scenario: Scenario) -> KognitosServer:
    """The service of a scenario, misbehaving as it says once it is started."""
    server = KognitosServer(**scenario.server)
    for operation, fault, probability in scenario.faults:
        server.misbehave(operation, fault, times=None, probability=probability)
    return server
