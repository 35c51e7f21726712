"""A pytest plugin for `.ci/mutants`: the chosen tests once, then again for each mutant.

Each mutant runs in a fork of the process that has imported and collected everything: the tests that reach the
function it changes, fast ones first, until one fails. Nothing is left of it but its result.
"""

from __future__ import annotations

import asyncio
import gc
import json
import math
import os
import resource
import select
import signal
import sys
import time
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from mutmut.mutation.trampoline import set_mutant_under_test
from mutmut.state import state
from mutmut.utils.format_utils import mangled_name_from_mutant_name

if TYPE_CHECKING:
    from collections.abc import Sequence

# The debug mode of asyncio is a third of the time of these tests, and tells nothing of a mutant.
asyncio.BaseEventLoop.set_debug = lambda self, _: setattr(self, "_debug", False)  # type: ignore[method-assign]
_PATIENCE = 5.0
"""Seconds beyond six times its usual time that a test may take."""
_MEMORY = 4 << 30
"""Bytes of address space of one mutant, so that one that fills the memory is killed alone."""


class _Failures:
    def __init__(self) -> None:
        self.reports: list[str] = []

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        if report.failed:
            self.reports.append(f"{report.nodeid} ({report.when})\n{report.longreprtext}")


class _Loop:
    def __init__(self, session: pytest.Session, longest: float) -> None:
        self._longest = longest
        self._items = session.items
        self._hook = session.config.hook
        self._failures = _Failures()
        session.config.pluginmanager.register(self._failures)
        self._times: dict[str, float] = {}
        self._busy: dict[str, float] = {}
        self._reached: dict[str, list[pytest.Item]] = {}

    def run_once(self) -> None:
        """Run all tests on the original code; note their times and the functions that each reaches."""
        set_mutant_under_test("stats")
        for item, following in pairwise([*self._items, None]):
            assert item is not None
            state()._stats.clear()  # noqa: SLF001 - where mutmut's trampolines write
            began, busy = time.monotonic(), time.process_time()
            self._run(item, following)
            self._times[item.nodeid] = time.monotonic() - began
            self._busy[item.nodeid] = time.process_time() - busy
            if self._busy[item.nodeid] < self._longest:
                for function in state()._stats:  # noqa: SLF001
                    self._reached.setdefault(function, []).append(item)
        if self._failures.reports:
            raise SystemExit("tests fail without a fault:\n" + "\n".join(self._failures.reports))
        # In a fork and a second time they must pass, too.
        if self._in_fork("", self._items) != "survived":
            raise SystemExit("the tests fail when they are run again")

    def result(self, mutant: str) -> str:
        """`killed`, `timeout`, `survived` or `no tests`."""
        items = self._reached.get(mangled_name_from_mutant_name(mutant), [])
        if not items:
            return "no tests"
        return self._in_fork(mutant, sorted(items, key=lambda item: self._times[item.nodeid]))

    def _in_fork(self, mutant: str, items: Sequence[pytest.Item]) -> str:
        reader, writer = os.pipe()
        process = os.fork()
        if process == 0:
            try:
                os._exit(self._child(mutant, items, writer))
            finally:
                os._exit(2)
        os.close(writer)
        limits = (_PATIENCE + 6.0 * self._times[item.nodeid] for item in items)
        deadline = math.inf
        with os.fdopen(reader, "rb", buffering=0) as began:
            while select.select([began], [], [], max(0.0, min(deadline - time.monotonic(), 1e6)))[0]:
                if not began.read(1):  # it has ended
                    _, status = os.waitpid(process, 0)
                    out_of_time = os.WIFSIGNALED(status) and os.WTERMSIG(status) == signal.SIGXCPU
                    return "survived" if status == 0 else "timeout" if out_of_time else "killed"
                deadline = time.monotonic() + next(limits)
        os.killpg(process, signal.SIGKILL)
        os.waitpid(process, 0)
        return "timeout"

    def _child(self, mutant: str, items: Sequence[pytest.Item], begins: int) -> int:
        os.setpgid(0, 0)
        seconds = math.ceil(1.0 + 4.0 * sum(self._busy[item.nodeid] for item in items))
        resource.setrlimit(resource.RLIMIT_CPU, (seconds, seconds + 1))
        if mutant:
            nothing = os.open(os.devnull, os.O_WRONLY)
            os.dup2(nothing, 1)
            os.dup2(nothing, 2)
        resource.setrlimit(resource.RLIMIT_AS, (_MEMORY, _MEMORY))
        set_mutant_under_test(mutant)
        for item in items:
            item.config.option.tbstyle = "value"  # nobody reads the traceback
            os.write(begins, b".")
            self._run(item, None)
            if self._failures.reports:
                print(*self._failures.reports, sep="\n", file=sys.stderr, flush=True)
                return 1
        return 0

    def _run(self, item: pytest.Item, following: pytest.Item | None) -> None:
        self._hook.pytest_runtest_protocol(item=item, nextitem=following)


@pytest.hookimpl(tryfirst=True)
def pytest_runtestloop(session: pytest.Session) -> bool:
    """Take the place of pytest's loop."""
    folder = Path(os.environ["MUTANTS"])
    mutants = json.loads((folder / "mutants.json").read_text())
    loop = _Loop(session, float(os.environ["MUTANTS_LONGEST"]))
    loop.run_once()
    gc.collect()
    gc.freeze()  # so that a fork shares its memory for long
    with (folder / "results.jsonl").open("w") as results:
        for mutant in mutants:
            print(json.dumps([mutant, loop.result(mutant)]), file=results, flush=True)
    sys.stdout.flush()
    return True
