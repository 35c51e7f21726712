"""Provider metadata for Airflow: the connection types."""

from __future__ import annotations

from typing import Any

_HOOKS = "kognitos_async.integrations.airflow.hooks"


def get_provider_info() -> dict[str, Any]:
    """The provider metadata, called by Airflow through the entry point `apache_airflow_provider`."""
    return {
        "package-name": "kognitos-async",
        "name": "Kognitos",
        "description": "Operators that start a run on Kognitos once and wait for it in the triggerer.",
        "connection-types": [
            {"connection-type": "kognitos", "hook-class-name": f"{_HOOKS}.KognitosHook"},
            {"connection-type": "kognitos_platform", "hook-class-name": f"{_HOOKS}.KognitosPlatformHook"},
        ],
    }
