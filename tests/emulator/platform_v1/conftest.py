"""Servers, and requests to their platform API that are held against the spec."""

from __future__ import annotations

import pytest

from tests.emulator.platform_v1.helpers import PlatformApi


@pytest.fixture
def platform(make):
    """Starts servers with settings."""

    async def start(**settings):
        api = await make(**settings)
        return PlatformApi(api.server, api.session)

    return start


@pytest.fixture
async def api(platform):
    return await platform()
