"""The short form of the stress program: a few seeds, fixed, of both APIs and both loops."""

from __future__ import annotations

import pytest

from tests.stress.oracle import play

pytestmark = [pytest.mark.slow, pytest.mark.timeout(240)]


@pytest.mark.parametrize("seed", range(12))
def test_no_run_is_doubled_lost_or_wrongly_adopted(seed):
    """Whatever breaks, and however the job ends in between."""
    verdict = play(seed)
    assert not verdict.wrong, verdict.story
