"""Settings from arguments and the environment, validated before anything is sent."""

from __future__ import annotations

import ipaddress
import math
import os
from urllib.parse import urlsplit

from kognitos_async.errors import ConfigurationError
from kognitos_async.secret import Secret

VERSION = "0.1.0"
"""The version of this library."""
USER_AGENT = f"kognitos-async/{VERSION}"
_SUFFIXES = ("/v2", "/api/v1")


def setting(name: str, value: object, variable: str) -> str | None:
    """`value`, else the environment variable, else None. Raises `ConfigurationError` if `value` is empty."""
    if value is None:
        return os.environ.get(variable) or None
    if not isinstance(value, str):
        raise ConfigurationError(f"{name} must be a str, got {type(value).__name__}")
    if not value:
        raise ConfigurationError(
            f"{name} must be a non-empty str, got an empty one; omit it to use {variable}"
        )
    return value


def api_key(
    given: Secret[object],
    *,
    name: str,
    variable: str,
    foreign_prefix: str | None = None,
    other_client: str = "",
) -> Secret[str]:
    """The key to send. Raises `ConfigurationError`; its message and frames never contain the key."""
    if given.reveal() is None:
        given = Secret(os.environ.get(variable) or None)
        if given.reveal() is None:
            raise ConfigurationError(f"no {name.replace('api_', 'API ')}: pass {name} or set {variable}")
    if (problem := _key_problem(given, variable, foreign_prefix, other_client)) is not None:
        raise ConfigurationError(f"{name} {problem}")
    return Secret(str(given.reveal()))


def _key_problem(
    given: Secret[object], variable: str, foreign_prefix: str | None, other_client: str
) -> str | None:
    key = given.reveal()
    if not isinstance(key, str):
        return f"must be a str, got {type(key).__name__}"
    if not key:
        return f"must be a non-empty str, got an empty one; omit it to use {variable}"
    if not key.isascii() or not key.isprintable() or " " in key:
        return "must be printable ASCII without spaces, got other characters"
    if foreign_prefix is not None and key.startswith(foreign_prefix):
        return (
            f"must be a key of this API, got one of the other API (it starts with {foreign_prefix}): "
            f"use {other_client}"
        )
    return None


def api_url(
    base_url: object, region: object, *, hosts: dict[str, str], default_region: str, suffix: str
) -> str:
    """The address of the API, ending in `suffix`, its version, without a trailing slash.

    A URL may lack the version or have that of the other API, so that one KOGNITOS_BASE_URL serves both
    clients; likewise KOGNITOS_REGION, where us and us-1 are the same. The arguments take precedence over the
    environment, `base_url` over `region`. Plain http is accepted only for loopback, because every request
    carries the key.

    Raises `ConfigurationError` for an unknown region or an invalid URL.
    """
    area = setting("region", region, "KOGNITOS_REGION") or default_region
    area = next((host for host in hosts if host in (area, area.removesuffix("-1"), f"{area}-1")), area)
    if area not in hosts:
        raise ConfigurationError(f"region (KOGNITOS_REGION) must be one of {', '.join(hosts)}, got {area!r}")
    url = (
        setting("base_url", base_url, "KOGNITOS_BASE_URL") if region is None or base_url is not None else None
    )
    if url is None:
        return f"https://{hosts[area]}{suffix}"
    try:
        parts = urlsplit(url)
        parts.port  # noqa: B018 - raises ValueError for an invalid port
    except ValueError as problem:
        raise ConfigurationError(
            f"base_url (KOGNITOS_BASE_URL) must be a URL, got one that does not parse: {problem}"
        ) from None
    if parts.scheme not in ("http", "https") or not parts.hostname or not is_host(parts.hostname):
        raise ConfigurationError(
            "base_url (KOGNITOS_BASE_URL) must be https:// and a host, got another scheme or no valid host"
        )
    odd = not url.isascii() or not url.isprintable() or bool(set(url) & set(" \\"))
    if parts.username is not None or parts.query or parts.fragment or odd:
        raise ConfigurationError(
            "base_url (KOGNITOS_BASE_URL) must be scheme, host, port and path, percent-encoded, "
            "and nothing else, got more"
        )
    if parts.scheme == "http" and not is_loopback(parts.hostname):
        raise ConfigurationError(
            "base_url (KOGNITOS_BASE_URL) must be https:// except for loopback, got http:// to "
            f"{parts.hostname}, which would send the key unencrypted"
        )
    path = parts.path.rstrip("/")
    for ending in _SUFFIXES:
        path = path.removesuffix(ending)
    return f"{parts.scheme}://{parts.netloc}{path}{suffix}"


def is_host(host: str) -> bool:
    """Whether `host` is an IPv6 address or may be a domain name, with labels of 1 to 63 characters."""
    labels = host.removesuffix(".").split(".")
    return ":" in host or all(0 < len(label) < 64 for label in labels)


def is_loopback(host: str) -> bool:
    """Whether `host` is a loopback address or localhost."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def positive(name: str, value: object, *, whole: bool = False) -> None:
    """Raise `ConfigurationError` unless `value` is a finite number above 0, or an int if `whole`."""
    kinds = int if whole else (int, float)
    if isinstance(value, bool) or not isinstance(value, kinds) or not math.isfinite(value) or value <= 0:
        kind = "whole number of at least 1" if whole else "finite number above 0"
        raise ConfigurationError(f"{name} must be a {kind}, got {value!r}")
