"""Bases of the platform API's models."""

from __future__ import annotations

from typing import ClassVar

import msgspec

from kognitos_async.web_models import WebModel


class Model(WebModel, msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A message of the API. Absent members have their defaults; unknown members are ignored."""


class Named(Model, frozen=True, kw_only=True):
    """A resource identified by its `name`."""

    name: str = ""
    """Full resource name; empty if the API sends none."""

    @property
    def id(self) -> str:
        """Last part of the name; empty if the API sends none."""
        return self.name.rpartition("/")[2]


class OneOf:
    """A message with one of several members."""

    __slots__ = ()
    kinds: ClassVar[tuple[str, ...]] = ()
    """Names of the members, one of which is present."""

    @property
    def kind(self) -> str:
        """Name of the member that is present; "" if this version does not know it."""
        return next((name for name in self.kinds if getattr(self, name) is not None), "")

    @property
    def content(self) -> object:
        """The member that is present; None if this version does not know it."""
        return getattr(self, self.kind) if self.kind else None
