"""`kognitos runs export` killed with SIGKILL while it reads: the same command goes on."""

from __future__ import annotations

import csv
import signal
import time
from datetime import UTC, datetime, timedelta

import pytest

from kognitos_async.testing import KognitosServer, Schedule, faults

FIRST = datetime(2026, 1, 1, tzinfo=UTC)
PAGES = 6
SERVED = 3
"""Pages that are answered before the kill; the next one is late."""


class History:
    """Six pages of runs of one API, and the command that exports them."""

    def __init__(self, server, api):
        self.server = server
        self.operation = "list_runs" if api == "v2" else "ListRuns"
        self.size = 100 if api == "v2" else 1000
        if api == "v2":
            self.source = ("--process", server.process.id)
            for number in range(PAGES * self.size):
                self._v2(number)
        else:
            self.source = ("--automation", server.platform.automation.id)
            for number in range(PAGES * self.size):
                self._platform(number)
        other = "KOGNITOS_TOKEN" if api == "v2" else "KOGNITOS_API_KEY"
        self.environ = {name: value for name, value in server.environ.items() if name != other}
        self.runs = server.runs if api == "v2" else server.platform.runs

    def _v2(self, number):
        at, outputs = FIRST + timedelta(minutes=number), {"the output number": number}
        self.server.add_run(name=f"run {number}", status="Succeeded", created_at=at, outputs=outputs)

    def _platform(self, number):
        at = FIRST + timedelta(minutes=number)
        self.server.platform.add_run(state="completed", created_at=at, outputs={"number": number})

    @property
    def pages_asked(self):
        return self.server.count(self.operation)


def rows_of(path):
    if path.suffix == ".csv":
        with path.open(newline="", encoding="utf-8") as file:
            return list(csv.DictReader(file))
    pyarrow = pytest.importorskip("pyarrow.parquet")
    return pyarrow.read_table(path).to_pylist()


@pytest.mark.parametrize("ending", ["csv", "parquet"])
@pytest.mark.parametrize("api", ["v2", "platform"])
def test_an_export_that_was_killed_goes_on_behind_the_pages_it_has_read(command, tmp_path, api, ending):
    """At most the page under way is read twice; the file holds every run once and comes all at once."""
    with KognitosServer(schedule=Schedule.manual(), capacity=None) as server:
        history = History(server, api)
        output = tmp_path / f"runs.{ending}"
        pages = tmp_path / f"runs.{ending}.pages"
        call = ("runs", "export", *history.source, "--output", str(output))
        late = server.misbehave(history.operation, faults.delay(60), times=None, skip=SERVED)
        process = command.start(*call, measured=False, **history.environ)
        deadline = time.monotonic() + 45
        while not (pages.exists() and pages.read_bytes().count(b"\n") >= 1 + SERVED):
            assert process.poll() is None, process.stderr.read()
            assert time.monotonic() < deadline
            time.sleep(0.02)
        process.kill()
        assert process.wait() == -signal.SIGKILL
        assert not output.exists()
        asked = history.pages_asked
        assert asked <= SERVED + 1
        late.cancel()
        code, _, err = command.run(*call, **history.environ)
        assert code == 0, err
        assert f"kognitos: resuming after {SERVED * history.size} runs" in err.splitlines()
        assert history.pages_asked - asked == PAGES - SERVED
        rows = rows_of(output)
        assert [row["id"] for row in rows] == [run.id for run in reversed(history.runs.values())]
        assert not pages.exists()


def test_a_page_that_the_kill_has_cut_short_is_read_again(command, tmp_path):
    """As a power cut leaves it: a last line without its end."""
    with KognitosServer(schedule=Schedule.manual(), capacity=None) as server:
        history = History(server, "v2")
        output = tmp_path / "runs.csv"
        call = ("runs", "export", *history.source, "--output", str(output))
        server.misbehave("list_runs", faults.refused(400, "Not now"), skip=SERVED)
        assert command.run(*call, **history.environ)[0] == 1
        pages = tmp_path / "runs.csv.pages"
        pages.write_bytes(pages.read_bytes()[:-20])
        asked = history.pages_asked
        code, _, err = command.run(*call, **history.environ)
        assert code == 0, err
        assert history.pages_asked - asked == PAGES - SERVED + 1
        assert len({row["id"] for row in rows_of(output)}) == len(rows_of(output)) == len(history.runs)
