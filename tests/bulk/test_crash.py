"""A bulk job killed at random moments and resumed, against a server that loses and refuses answers.

KOGNITOS_TEST_KILLS sets how often (12 unless set); KOGNITOS_TEST_SEED the moments.
"""

from __future__ import annotations

import asyncio
import os
import random
import subprocess
from typing import TYPE_CHECKING

import pytest

from kognitos_async.testing import KognitosServer, Schedule, faults
from tests import unmeasured
from tests.fork_server import shared

if TYPE_CHECKING:
    from pathlib import Path

KILLS = int(os.environ.get("KOGNITOS_TEST_KILLS", "12"))
SEED = int(os.environ.get("KOGNITOS_TEST_SEED", "1"))
RUNS = 150
ENDED_BY_ITSELF = 120.0


def unkind_server() -> KognitosServer:
    server = KognitosServer(
        schedule=Schedule.random(0.05, 0.4, seed=SEED), capacity=15, order="shuffled", seed=SEED
    )
    for fault, probability in (
        (faults.reset(after_work=True), 0.05),
        (faults.reset(after_work=False), 0.05),
        (faults.server_error(after_work=True), 0.03),
        (faults.server_error(), 0.03),
        (faults.proxy_error(after_work=True), 0.02),
        (faults.rate_limited(), 0.02),
        (faults.capacity_reached(), 0.02),
    ):
        server.misbehave("create_run", fault, times=None, probability=probability)
    server.misbehave("list_runs", faults.proxy_error(), times=None, probability=0.02)
    server.misbehave("get_run", faults.reset(after_work=False), times=None, probability=0.02)
    return server


async def run_job(server: KognitosServer, folder: Path, prefix: str, patience: float) -> int | None:
    """The job's exit code, None if it was killed after `patience` seconds of work."""
    seen = server.count()
    job = shared().start(
        *("-m", "tests.bulk.crash_job", server.process.id, str(folder / f"{prefix}.journal")),
        *(prefix, str(RUNS), str(folder / f"{prefix}.tsv")),
        env=unmeasured.environ(server.environ),
        stdout=subprocess.DEVNULL,
    )
    try:
        async with asyncio.timeout(ENDED_BY_ITSELF):
            # Nothing tells when a job elsewhere is past its imports but its first request.
            while server.count() == seen and job.poll() is None:  # noqa: ASYNC110
                await asyncio.sleep(0.005)
        async with asyncio.timeout(patience):
            return await job.ended()
    except TimeoutError:
        return None
    finally:
        job.kill()
        await job.ended()
        job.close()


@pytest.mark.slow
@pytest.mark.timeout(240 + 4 * KILLS)
async def test_kills_double_and_lose_nothing(tmp_path: Path) -> None:
    """However often the job is killed, each request has exactly one run and one outcome in the end."""
    chance = random.Random(SEED)
    kills = batch = 0
    async with unkind_server() as server:
        while kills < KILLS:
            batch += 1
            prefix = f"batch{batch}"
            while (code := await run_job(server, tmp_path, prefix, chance.uniform(0.0, 0.8))) is None:
                kills += 1
                if kills >= KILLS:
                    code = await run_job(server, tmp_path, prefix, ENDED_BY_ITSELF)
                    break
            lines = [line.split("\t") for line in (tmp_path / f"{prefix}.tsv").read_text().splitlines()]
            assert code == 0, [line for line in lines if line[2]]
            assert sorted(line[0] for line in lines) == sorted(f"{prefix}-{n}" for n in range(RUNS))
            for name, status, _ in lines:
                (run,) = server.runs_named(name)
                assert run.status == status
        assert server.duplicates() == {}
        assert len(server.runs) == batch * RUNS
