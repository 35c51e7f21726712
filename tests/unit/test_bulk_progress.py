"""The counts that `kognitos runs bulk` prints."""

import pytest

from kognitos_async.cli.bulk_progress import BulkProgress

SETTLED = {"run_id": "r", "error": "", "status": "Succeeded", "name": "a"}


@pytest.fixture
def progress():
    return BulkProgress(10, failed=0, quiet=False, has_output=False)


def test_started_never_goes_down(progress):
    """Also between the end of a run and its outcome, when the run is counted nowhere else."""
    progress.running = lambda: 5
    assert progress.line() == "started 5, running 5, settled 0 of 10, failed 0"
    progress.running = lambda: 2
    assert progress.line() == "started 5, running 2, settled 0 of 10, failed 0"
    for _ in range(3):
        progress.add(SETTLED, settled=True, succeeded=True)
    assert progress.line() == "started 5, running 2, settled 3 of 10, failed 0"
    progress.running = lambda: 3
    assert progress.line() == "started 6, running 3, settled 3 of 10, failed 0"


def test_more_outcomes_than_requests_raise_the_total(progress):
    for _ in range(12):
        progress.add(SETTLED, settled=True, succeeded=True)
    assert progress.line() == "started 12, running 0, settled 12 of 12, failed 0"
