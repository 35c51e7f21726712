"""Profiles: named settings in a TOML file in the user's configuration folder."""

from __future__ import annotations

import os
import stat
import sys
import tomllib
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path
from typing import TYPE_CHECKING

from kognitos_async.errors import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Mapping

SETTINGS = (
    *("api", "api_key", "token", "region", "base_url", "agent_id", "organization_id", "workspace_id"),
    *("process_id", "automation_id", "proxy"),
)
"""Settings of a profile."""
_SECRETS = {"api_key", "token"}


@dataclass(frozen=True, slots=True)
class Profiles:
    """The profiles of a configuration file, and the name of the default one."""

    path: Path
    by_name: Mapping[str, Mapping[str, str]]
    default: str | None = None

    def get(self, name: str) -> Mapping[str, str]:
        """The settings of a profile. Raises `ConfigurationError` if it does not exist."""
        if name in self.by_name:
            return self.by_name[name]
        if not self.by_name:
            raise ConfigurationError(f"no profile {name!r}: {self.path} does not exist or has no profiles")
        raise ConfigurationError(
            f"no profile {name!r} in {self.path}, only {', '.join(sorted(self.by_name))}"
        )


def profiles_path(environ: Mapping[str, str] = os.environ, platform: str = sys.platform) -> Path:
    """Path of the configuration file: KOGNITOS_CONFIG, else `kognitos/config.toml` in the user's folder."""
    if named := environ.get("KOGNITOS_CONFIG"):
        return Path(named)
    home = Path.home()
    if platform == "win32":
        folder = Path(environ.get("APPDATA") or home / "AppData" / "Roaming")
    elif platform == "darwin":
        folder = home / "Library" / "Application Support"
    else:
        given = Path(environ.get("XDG_CONFIG_HOME") or "")
        folder = given if given.is_absolute() else home / ".config"
    return folder / "kognitos" / "config.toml"


def read_profiles(path: Path) -> Profiles:
    """The profiles of a file; none if it does not exist.

    Raises `ConfigurationError` for an invalid file, and for one that holds keys and is readable by other
    users. Errors never quote values of the file.
    """
    try:
        with path.open("rb") as file:
            mode = os.fstat(file.fileno()).st_mode
            content = tomllib.load(file)
    except (FileNotFoundError, NotADirectoryError):
        return Profiles(path, {})
    except OSError as problem:
        raise ConfigurationError(f"{path} cannot be read: {problem.strerror}") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as problem:
        where = str(problem).rpartition("(at ")[2].rstrip(")") if "(at " in str(problem) else "not UTF-8"
        raise ConfigurationError(f"{path} is not valid TOML: {where}") from None
    profiles = _checked(path, content)
    holds_keys = any(_SECRETS & set(profile) for profile in profiles.by_name.values())
    if os.name == "posix" and holds_keys and stat.S_IMODE(mode) & 0o077:
        raise ConfigurationError(
            f"{path} holds keys and is readable by other users (mode {stat.S_IMODE(mode):04o}): "
            f"run chmod 600 {path}"
        )
    return profiles


def _checked(path: Path, content: Mapping[str, object]) -> Profiles:
    tables = content.get("profiles", {})
    default = content.get("default")
    unknown = set(content) - {"profiles", "default"}
    if unknown:
        raise ConfigurationError(
            f"{path}: unknown {_list(unknown)} at the top level; use `default` and tables [profiles.NAME]"
        )
    if not isinstance(tables, dict) or not all(isinstance(table, dict) for table in tables.values()):
        raise ConfigurationError(f"{path}: `profiles` must hold tables [profiles.NAME]")
    for name, table in tables.items():
        for setting, value in table.items():
            if setting not in SETTINGS:
                near = get_close_matches(setting, SETTINGS, 1)
                hint = f"did you mean {near[0]}?" if near else f"use one of {', '.join(SETTINGS)}"
                raise ConfigurationError(f"{path}: unknown setting {setting!r} in profile {name!r}: {hint}")
            if not isinstance(value, str) or not value:
                raise ConfigurationError(f"{path}: {setting} of profile {name!r} must be a non-empty string")
        if set(table) >= _SECRETS:
            raise ConfigurationError(f"{path}: profile {name!r} has both api_key and token: remove one")
    if default is not None and (not isinstance(default, str) or default not in tables):
        raise ConfigurationError(f"{path}: `default` must name a profile of the file")
    return Profiles(path, tables, default)


def _list(names: set[str]) -> str:
    return ", ".join(repr(name) for name in sorted(names))
