"""A second sync of a long history costs what is new and what was open, in memory that does not grow."""

from __future__ import annotations

import pytest

from benchmarks.histories import CHANGED, NEW, History, mirrored
from kognitos_async.testing import KognitosServer, Schedule
from tests.unmeasured import environ


@pytest.mark.slow
@pytest.mark.parametrize("api", ["v2", "platform"])
def test_a_second_sync_reads_what_is_new_and_what_was_open(tmp_path, api, fork_server):
    """A short form of the script, as processes: pages, single reads, memory, and the emulator's truth."""

    def forked(command, *, env, **_):  # where memory does not count
        return fork_server.run(*command[1:], env=env)

    with KognitosServer(schedule=Schedule.manual(), capacity=None) as server:
        history, into = History(api, server), str(tmp_path / "runs.sqlite")
        history.grow(1000, going=10)
        few = history.sync(into, environ())
        history.grow(4000, going=CHANGED - 10)
        many = history.sync(into, environ())
        assert many.result["new"] == 4000
        assert many.megabytes <= few.megabytes + 12
        history.settle()
        history.grow(NEW)
        found = history.sync(into, environ(), forked)
        assert (found.result["new"], found.result["changed"]) == (NEW, CHANGED)
        assert found.result["pages"] <= 2
        assert sum(found.requests.values()) <= 1 + 2 + CHANGED
        assert {key: run.status for key, run in mirrored(into).items()} == history.truth()
        assert history.sync(into, environ(), forked).result["reads"] == 0
