"""Each opponent's client, against its face, does the jobs that the benchmark measures."""

from __future__ import annotations

import importlib

import pytest

from benchmarks.faces.jobs import ITEMS, PAGES
from benchmarks.faces.server import face_server
from benchmarks.plan import FACES
from benchmarks.static_server import RUN_ID


@pytest.mark.slow
@pytest.mark.filterwarnings("default")
@pytest.mark.parametrize("name", FACES)
async def test_a_client_reads_one_run_and_the_whole_history(name):
    face, contender, prefix = FACES[name]
    try:
        module = importlib.import_module(f"benchmarks.contenders.{contender}")
    except ModuleNotFoundError as missing:
        pytest.skip(f"{missing.name} comes with the bench extra")
    with face_server(face) as root:
        async with module.opened(root + prefix, "agent-1") as client:
            assert await client.get(RUN_ID) is not None
            assert await client.history("process-1", None) == PAGES * ITEMS
