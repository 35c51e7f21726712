"""`kognitos health` and `kognitos whoami`."""

from __future__ import annotations

import typer

from kognitos_async.cli.command import Call, command
from kognitos_async.cli.connection import connect
from kognitos_async.cli.running import FAILED, run_command
from kognitos_async.cli.target import APIS, without_password

app: typer.Typer = typer.Typer(rich_markup_mode=None, add_completion=False)


@command(app)
def health(call: Call) -> None:
    """Check that the API is up and accepts the key; exit code 1 if not."""
    run_command(_health(call))


async def _health(call: Call) -> int:
    async with connect(call.target) as api:
        status = await api.health()
    call.output.show({"api": call.target.api, **status})
    return 0 if status["ok"] else FAILED


@command(app)
def whoami(call: Call) -> None:
    """Show the effective settings and where they come from.

    Sends no request. Shows where the key comes from, never the key itself.
    """
    target = call.target
    values = dict(target.values)
    if "proxy" in values:
        values["proxy"] = without_password(values["proxy"])
    record = {
        "api": target.api,
        "name": APIS[target.api],
        "profile": target.profile,
        "key_from": target.sources["key"],
        "base_url": _base_url(call),
        **{name: values.get(name) for name in _SHOWN if name != "base_url"},
        "from": {name: source for name, source in target.sources.items() if name != "key"},
        "configuration_file": str(target.profiles_file),
    }
    call.output.show(record)


_SHOWN = (
    *("region", "agent_id", "organization_id", "workspace_id"),
    *("process_id", "automation_id", "proxy"),
)


def _base_url(call: Call) -> str:
    """The address of the API. Raises `ConfigurationError` for an invalid base URL or region."""
    from kognitos_async import settings  # noqa: PLC0415

    target = call.target
    if target.is_platform:
        from kognitos_async.platform_v1.client import HOSTS  # noqa: PLC0415

        default, suffix = "us-1", "/api/v1"
    else:
        from kognitos_async.rest_v2.client import HOSTS  # noqa: PLC0415

        default, suffix = "us", "/v2"
    base_url = target.get("base_url")
    region = target.get("region") or default
    return settings.api_url(
        base_url, None if base_url else region, hosts=HOSTS, default_region=default, suffix=suffix
    )
