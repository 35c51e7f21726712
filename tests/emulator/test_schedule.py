"""The schedule of a running emulator."""

from __future__ import annotations

import pytest

from kognitos_async.testing import KognitosServer, Schedule


@pytest.mark.parametrize("api", ["v2", "platform"])
async def test_a_schedule_set_later_moves_the_runs_started_from_then_on(api):
    async with KognitosServer(schedule=Schedule.fixed(3600)) as server:
        world = server if api == "v2" else server.platform
        before = world.add_run()
        world.schedule = Schedule.fixed(60)
        after = world.add_run()
        server.advance(120)
        words = {run.id: str(getattr(run, "status", None) or run.state) for run in world.runs.values()}
        assert words[before.id] in ("Running", "executing")
        assert words[after.id] in ("Succeeded", "completed")
