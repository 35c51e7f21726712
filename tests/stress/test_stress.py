"""The short form of the stress program: a few seeds, fixed, of both APIs and both loops."""

from __future__ import annotations

import pytest

from tests.stress.oracle import play

pytestmark = [pytest.mark.slow, pytest.mark.timeout(240)]


# 8 and 9 wait for half a minute each, for limits and time-outs: they are left to the long form.
@pytest.mark.parametrize("seed", [0, 1, 2, 3, 4, 5, 6, 7, 10, 11])
def test_no_run_is_doubled_lost_or_wrongly_adopted(seed):
    """Whatever breaks, and however the job ends in between."""
    verdict = play(seed)
    assert not verdict.wrong, verdict.story
