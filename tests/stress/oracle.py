"""Plays a scenario against the emulator and compares what the job says with what really was started."""

from __future__ import annotations

import os
import subprocess
import tempfile
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import msgspec

from tests.fork_server import shared
from tests.stress.scenario import Scenario, draw, server_of
from tests.stress.worker import Pass

_ROOT = Path(__file__).parents[2]
_LONGEST_PASS = 60.0


@dataclass
class Verdict:
    """What was wrong, in words; nothing in a good story."""

    story: str
    requests: int
    wrong: list[str] = field(default_factory=list)
    in_doubt: int = 0
    """Requests that ended as not to be told: allowed, and counted."""
    settled: int = 0


def play(seed: int) -> Verdict:
    """The verdict on the scenario of a seed."""
    scenario = draw(seed)
    verdict = Verdict(repr(scenario), scenario.requests)
    names = [scenario.name(number) for number in range(scenario.requests)]
    with tempfile.TemporaryDirectory() as folder, server_of(scenario) as server:
        journal = str(Path(folder) / "journal")
        strangers: set[str] = set()
        target = server.process.id if scenario.api == "rest_v2" else server.platform.automation.id
        last: dict[str, dict[str, Any]] = {}
        for position, (ending, share) in enumerate(scenario.passes):
            final = position == len(scenario.passes) - 1
            if position == 0 or not final:
                strangers |= _strangers(scenario, server, names, position)
            if final:
                server.behave()
            work = Pass(
                scenario.api,
                scenario.uvloop,
                names,
                target,
                scenario.max_in_flight,
                journal,
                ending,
                share,
            )
            reported = _run(work, server.environ, verdict)
            if reported is None:
                return verdict
            last = {line["name"]: line for line in reported if "name" in line}
        _judge(verdict, scenario, server, names, last, strangers)
    return verdict


def _strangers(scenario: Scenario, server: Any, names: list[str], position: int) -> set[str]:
    """Runs that somebody else makes with the names or inputs of our requests; their ids."""
    made: set[str] = set()
    for number in range(scenario.foreign):
        name = names[(number * 7 + position) % len(names)]
        if scenario.api == "rest_v2":
            # Their names differ in what a service may fold away: ours are unique, as the contract asks.
            made.add(server.add_run(name=f"{name}.", inputs={"key": f"{name}."}).id)
        else:
            source = ("INVOCATION_SOURCE_SCHEDULE", "INVOCATION_SOURCE_MANUAL")[number % 2]
            made.add(server.platform.add_run(inputs={"key": name}, user="users/other", source=source).id)
    return made


def _run(work: Pass, environ: dict[str, str], verdict: Verdict) -> list[dict[str, Any]] | None:
    env = {**os.environ, **environ, "PYTHONPATH": str(_ROOT)}
    call = ("-m", "tests.stress.worker", msgspec.json.encode(work).decode())
    imports = ("uvloop",) if work.uvloop else ()
    try:
        ended = shared().run(*call, env=env, cwd=_ROOT, timeout=_LONGEST_PASS, imports=imports)
    except subprocess.TimeoutExpired:
        verdict.wrong.append(f"hang: a pass that ends {work.ending} took over {_LONGEST_PASS:g} s")
        return None
    lines = [msgspec.json.decode(line) for line in ended.stdout.splitlines() if line.endswith("}")]
    if work.ending != "killed" and ended.returncode != 0:
        tail = ended.stderr.strip().splitlines()[-1:]
        verdict.wrong.append(f"a pass that ends {work.ending} failed: {tail}")
        return None
    verdict.wrong += [f"left behind: {line['leftover']}" for line in lines if "leftover" in line]
    return lines


def _judge(
    verdict: Verdict,
    scenario: Scenario,
    server: Any,
    names: list[str],
    last: dict[str, dict[str, Any]],
    strangers: set[str],
) -> None:
    runs = server.runs if scenario.api == "rest_v2" else server.platform.runs
    ours = {run.id: _key(scenario, run) for run in runs.values() if run.id not in strangers}
    started = Counter(ours.values())
    verdict.wrong += [f"doubled: {name!r} {count} times" for name, count in started.items() if count > 1]
    adopted: Counter[str] = Counter()
    for name in names:
        line = last.get(name)
        if line is None:
            verdict.wrong.append(f"lost: {name!r} has no outcome")
            continue
        if line["error"] == "StartUncertainError":
            verdict.in_doubt += 1
            continue
        if line["error"] is not None:
            verdict.wrong.append(f"{name!r}: {line['error']}: {line['text'][:200]}")
        elif line["run"] in strangers:
            verdict.wrong.append(f"adopted: {name!r} took somebody else's run {line['run']}")
        elif ours.get(line["run"]) != name:
            verdict.wrong.append(f"adopted: {name!r} took {line['run']}, of {ours.get(line['run'])!r}")
        else:
            verdict.settled += 1
            adopted[line["run"]] += 1


def _key(scenario: Scenario, run: Any) -> str:
    """Which request a run is of: its input says so, whatever became of its name."""
    if scenario.api == "rest_v2":
        return str(dict(run.inputs)["key"])
    value = run.inputs["key"]
    return str(value.get("text", value) if isinstance(value, dict) else value)
