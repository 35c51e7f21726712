"""What all models of the platform API are."""

from __future__ import annotations

import msgspec


class Model(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A message of the API: members it leaves out are None or empty, members not known here are ignored."""


class Named(Model, frozen=True, kw_only=True):
    """A resource, found again by its `name`."""

    name: str | None = None

    @property
    def id(self) -> str:
        """The last part of the name, empty where the API gave none."""
        return (self.name or "").rpartition("/")[2]
