"""Receiving takes no new memory from the system for each answer."""

from __future__ import annotations

import asyncio
import platform
import sys
from pathlib import Path

import pytest

from tests import unmeasured

PROBE = Path(__file__).with_name("receive_probe.py")


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="other C libraries keep or map as they like")
async def test_receive_buffers_are_not_mapped_anew(server):
    process = await asyncio.create_subprocess_exec(
        sys.executable, str(PROBE), env=unmeasured.environ(server.environ), stdout=asyncio.subprocess.PIPE
    )
    output, _ = await process.communicate()
    assert process.returncode == 0
    assert server.count("get_health") == 450
    assert float(output) < 0.5
