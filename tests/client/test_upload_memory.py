"""A large upload takes no more memory than a small one."""

from __future__ import annotations

import asyncio
import os
import sys
from pathlib import Path

import pytest

SIZE = 300 * 1024 * 1024
PROBE = Path(__file__).with_name("upload_probe.py")


@pytest.mark.slow
@pytest.mark.timeout(180)
@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="the peak of memory is read from /proc")
@pytest.mark.parametrize("how", ["path", "iterator"])
async def test_constant_memory(server, tmp_path, how):
    """300 MB, from a path or spooled from an iterator, raise the peak of memory by less than 60 MB."""
    path = tmp_path / "large.bin"
    with path.open("wb") as sparse:
        sparse.truncate(SIZE)
    process = await asyncio.create_subprocess_exec(
        sys.executable, str(PROBE), str(path), how, env={**os.environ, **server.environ},
        stdout=asyncio.subprocess.PIPE,
    )  # fmt: skip
    output, _ = await process.communicate()
    assert process.returncode == 0
    sent, growth = (int(word) for word in output.split())
    assert sent == SIZE
    assert growth < 60 * 1024
    assert [file.content_length for file in server.files.values()] == [4, SIZE]
    assert server.leaks == 0
