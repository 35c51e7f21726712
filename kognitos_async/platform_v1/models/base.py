"""What all models of the platform API are."""

from __future__ import annotations

from typing import ClassVar

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


class OneOf:
    """A message that holds one of several contents."""

    __slots__ = ()
    kinds: ClassVar[tuple[str, ...]] = ()
    """The members one of which there is."""

    @property
    def kind(self) -> str:
        """The name of the member that is there, empty objects included; "" for one that is not known here."""
        return next((name for name in self.kinds if getattr(self, name) is not None), "")

    @property
    def content(self) -> object:
        """That member itself; None for one that is not known here."""
        return getattr(self, self.kind) if self.kind else None
