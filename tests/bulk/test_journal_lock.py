"""A journal in use stays locked whatever this process does with it."""

from __future__ import annotations

import asyncio
import sys

import pytest

from kognitos_async import JournalError
from kognitos_async.bulk.journal import Journal, summary

OPEN = "import sys; from kognitos_async.bulk.journal import summary; summary(sys.argv[1])"


async def elsewhere(path) -> tuple[int | None, str]:
    job = await asyncio.create_subprocess_exec(
        sys.executable, "-c", OPEN, str(path), stderr=asyncio.subprocess.PIPE
    )
    _, errors = await job.communicate()
    return job.returncode, errors.decode()


async def test_a_second_look_from_this_process_lets_no_other_in(tmp_path):
    """Refused here, the journal is still refused to another process, and free for both afterwards."""
    path = tmp_path / "job"
    async with Journal(path):
        with pytest.raises(JournalError, match="in use by this process"):
            summary(path)
        code, errors = await elsewhere(path)
        assert code
        assert "in use by another process" in errors
    assert summary(path)["planned"] == 0
    assert (await elsewhere(path))[0] == 0
