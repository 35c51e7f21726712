"""Measurements in their own processes, with interleaved repetitions."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from typing import TYPE_CHECKING, Any, NamedTuple

from benchmarks.figures import ratios

if TYPE_CHECKING:
    from pathlib import Path

TIME_LIMIT = 900


class Call(NamedTuple):
    """A function of this package as MODULE.FUNCTION, and its arguments."""

    function: str
    arguments: dict[str, Any]
    loop: str = "asyncio"


class Recorder:
    """The measurements: `raw[subject][contender][measure]` holds a number per repetition."""

    def __init__(self, generated: Path | None = None, *, explaining: bool = False) -> None:
        self.raw: dict[str, dict[str, dict[str, list[float]]]] = {}
        self.calls: dict[str, dict[str, Call]] = {}
        self.group = ""
        """The group of measurements under way."""
        self.groups: dict[str, str] = {}
        """The group of each subject measured by this process."""
        self.notes: list[str] = []
        """Sentences about the method, such as the server used."""
        self.samples: dict[str, dict[str, dict[str, float]]] = {}
        """CPU samples by package for contenders of missed figures."""
        self._generated = generated
        self._explaining = explaining

    def take(self, subject: str, calls: dict[str, Call], repetitions: int, *, explain: bool = True) -> None:
        """Measure the contenders in turn, every other repetition in reverse order."""
        self.calls.setdefault(subject, {}).update(calls)
        self.groups[subject] = self.group
        contenders = self.raw.setdefault(subject, {})
        for repetition in range(repetitions):
            turn = list(calls.items())
            for contender, call in turn if repetition % 2 == 0 else reversed(turn):
                print(f"{subject}: {contender}, {repetition + 1} of {repetitions}", file=sys.stderr)
                for measure, value in self._measured(call).items():
                    contenders.setdefault(contender, {}).setdefault(measure, []).append(value)
        if self._explaining and explain:
            self._explain(subject)

    def take_up(self, file: Path) -> list[str]:
        """Load the output of an earlier run, and return the groups that it completed."""
        earlier = json.loads(file.read_text())
        self.raw |= earlier["raw"]
        self.samples |= earlier["samples"]
        for sentence in earlier["notes"]:
            self.note(sentence)
        self.note("Measured in two parts, each group of measurements in one of them.")
        done: list[str] = earlier["done"]
        return done

    def note(self, sentence: str) -> None:
        """Add a sentence to the notes, once."""
        if sentence not in self.notes:
            self.notes.append(sentence)

    def _explain(self, subject: str) -> None:
        """Profile the contenders of the missed figures of a subject."""
        calls = self.calls[subject]
        missed = [ratio.figure for ratio in ratios({subject: self.raw[subject]}) if not ratio.reached]
        for contender in dict.fromkeys(name for figure in missed for name in (figure.of, figure.to)):
            if isinstance(contender, str):
                print(f"{subject}: {contender}, where its CPU goes", file=sys.stderr)
                shares = self.samples.setdefault(subject, {})
                shares[contender] = self._measured(calls[contender], "sample")

    def _measured(self, call: Call, *options: str) -> dict[str, float]:
        environment = dict(os.environ)
        environment.pop("PYTHONDONTWRITEBYTECODE", None)  # imports would be compiled anew each time
        if self._generated is not None:
            paths = [str(self._generated), environment.get("PYTHONPATH", "")]
            environment["PYTHONPATH"] = os.pathsep.join(filter(None, paths))
        command = ["benchmarks.measure", call.function, json.dumps(call.arguments), call.loop, *options]
        done = subprocess.run(
            [sys.executable, "-m", *command],
            check=True,
            env=environment,
            stdout=subprocess.PIPE,
            timeout=TIME_LIMIT,
        )
        numbers: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
        return numbers
