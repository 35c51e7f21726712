"""What all tests share: the package's own pytest plugin, a clean environment, steady hypothesis settings."""

from __future__ import annotations

import os

import pytest
from hypothesis import HealthCheck, settings

from kognitos_async.testing import pytest_plugin

settings.register_profile(
    "suite",
    deadline=None,
    database=None,
    max_examples=100,
    derandomize=True,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
settings.load_profile("suite")


def pytest_configure(config: pytest.Config) -> None:
    # An installed package is registered by its entry point; one that is only on the path is not.
    if not config.pluginmanager.is_registered(pytest_plugin):
        config.pluginmanager.register(pytest_plugin, "kognitos")


@pytest.fixture(autouse=True)
def _no_settings_from_outside(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in os.environ if name.startswith("KOGNITOS_")]:
        monkeypatch.delenv(name)
