"""The API of a command and its settings, from options, a profile and the environment."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import typer

from kognitos_async.cli.profiles import profiles_path, read_profiles
from kognitos_async.errors import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from kognitos_async.cli.command import Options

V2, PLATFORM = "v2", "platform"
APIS = {V2: "REST API v2", PLATFORM: "the platform API"}
_PLATFORM_KEY = "kgn_pat_"
_VARIABLES = {
    "agent_id": "KOGNITOS_AGENT_ID",
    "organization_id": "KOGNITOS_ORGANIZATION_ID",
    "workspace_id": "KOGNITOS_WORKSPACE_ID",
    "process_id": "KOGNITOS_PROCESS_ID",
    "automation_id": "KOGNITOS_AUTOMATION_ID",
}
_KEY_VARIABLES = {"region": "KOGNITOS_REGION", "base_url": "KOGNITOS_BASE_URL"}
"""Settings of the address, always taken from the source of the key: no key is sent to another's address."""


@dataclass(frozen=True, slots=True)
class Target:
    """The settings of a command; `sources` names the origin of each."""

    api: str
    key: str = field(repr=False)
    values: Mapping[str, str]
    sources: Mapping[str, str]
    profile: str | None
    profiles_file: Path

    def get(self, setting: str) -> str | None:
        """A setting, or None."""
        return self.values.get(setting)

    @property
    def is_platform(self) -> bool:
        """Whether the key belongs to the platform API."""
        return self.api == PLATFORM

    def source(self, process: str | None, automation: str | None) -> str:
        """The process (REST API v2) or automation (platform API) of a command.

        Raises `typer.BadParameter` if the other one is given, or none.
        """
        given = self.given_source(process, automation)
        option, listing, setting = "--process", "kognitos processes list", "process_id"
        if self.is_platform:
            option, listing, setting = "--automation", "kognitos automations list", "automation_id"
        found = given if given is not None else self.get(setting)
        if found is None:
            raise typer.BadParameter(
                f"required, or set {_VARIABLES[setting]}; `{listing}` lists the IDs",
                param_hint=option,
            )
        if not found:
            raise typer.BadParameter("must not be empty", param_hint=option)
        return found

    def given_source(self, process: str | None, automation: str | None) -> str | None:
        """The option that selects on this API, or None; the settings are not asked.

        Raises `typer.BadParameter` if the option of the other API is given.
        """
        option, other, given, unfit = ("--process", "--automation", process, automation)
        if self.is_platform:
            option, other, given, unfit = ("--automation", "--process", automation, process)
        if unfit is not None:
            raise typer.BadParameter(
                f"not supported by {APIS[self.api]}, to which the key belongs: use {option}", param_hint=other
            )
        return given

    def require(self, api: str, verb: str, instead: str) -> None:
        """Raise `typer.BadParameter` unless the key belongs to `api`."""
        if self.api != api:
            raise typer.BadParameter(f"{verb} needs a key of {APIS[api]}; with {APIS[self.api]}: {instead}")


def resolve(options: Options, environ: Mapping[str, str] = os.environ, *, meant: str | None = None) -> Target:
    """The target of a command.

    Options override the profile, which overrides the environment. With a key from a profile, region and base
    URL come from the profile too. If keys of both APIs are set, `meant` decides, by default REST API v2.
    Raises `ConfigurationError` if there is no key.
    """
    profiles = read_profiles(profiles_path(environ))
    has_key = bool(environ.get("KOGNITOS_API_KEY") or environ.get("KOGNITOS_TOKEN"))
    name = options.profile or environ.get("KOGNITOS_PROFILE") or (None if has_key else profiles.default)
    profile = profiles.get(name) if name else {}
    label = f"profile {name}"
    values: dict[str, str] = {}
    sources: dict[str, str] = {}

    def take(setting: str, value: str | None, source: str) -> None:
        if value and setting not in values:
            values[setting], sources[setting] = value, source

    for setting, option in (
        ("agent_id", options.agent),
        ("organization_id", options.organization),
        ("workspace_id", options.workspace),
        ("proxy", options.proxy),
    ):
        take(setting, option, "option")
    for setting, value in profile.items():
        take(setting, value, label)
    for setting, variable in _VARIABLES.items():
        take(setting, environ.get(variable), variable)
    api, key, key_source = _key(options.api, profile, label, environ, meant or V2)
    if key_source != label:
        for setting, variable in _KEY_VARIABLES.items():
            values.pop(setting, None)
            take(setting, environ.get(variable), variable)
    sources["key"] = key_source
    return Target(api, key, values, sources, name, profiles.path)


def _key(
    wanted: str | None, profile: Mapping[str, str], label: str, environ: Mapping[str, str], meant: str
) -> tuple[str, str, str]:
    """The API, its key, and the source of the key."""
    wanted = wanted or profile.get("api")
    if wanted not in (None, *APIS):
        raise ConfigurationError(f"api of {label} must be v2 or platform, got {wanted!r}")
    keys: dict[str, tuple[str, str]] = {}
    found = [(profile.get(setting), label) for setting in ("api_key", "token")]
    if not any(key for key, _ in found):
        found = [(environ.get(variable), variable) for variable in ("KOGNITOS_API_KEY", "KOGNITOS_TOKEN")]
    for (key, source), own in zip(found, (V2, PLATFORM), strict=True):
        if key:
            keys.setdefault(PLATFORM if key.startswith(_PLATFORM_KEY) else own, (key, source))
    api = wanted or (meant if meant in keys else next(iter(keys), None))
    if api is None:
        raise ConfigurationError(
            "no API key: set KOGNITOS_API_KEY (REST API v2) or KOGNITOS_TOKEN (platform API), "
            "or use --profile"
        )
    if api not in keys:
        variable = "KOGNITOS_API_KEY" if api == V2 else "KOGNITOS_TOKEN"
        raise ConfigurationError(f"no API key for {APIS[api]}: set {variable}, or use a --profile with one")
    return api, *keys[api]


def without_password(url: str) -> str:
    """A URL with its credentials masked."""
    parts = urlsplit(url)
    if "@" not in parts.netloc:
        return url
    return parts._replace(netloc=f"***@{parts.netloc.rpartition('@')[2]}").geturl()
