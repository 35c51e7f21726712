"""Event streams of many browsers share the polls of one client."""

from __future__ import annotations

import pytest

from benchmarks.event_streams import MOST_REQUESTS_A_RUN, measure


@pytest.mark.slow
async def test_streams_of_many_runs_cost_few_requests():
    """A short form of the script; how late the loop is depends on the machine, so only requests count."""
    found = await measure(100, (3.0, 6.0))
    assert found.streams == 100
    assert 0 < found.requests_a_run <= MOST_REQUESTS_A_RUN
    assert found.lags
