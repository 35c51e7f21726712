"""The bases of the models of the platform API."""

from __future__ import annotations

from typing import ClassVar

import msgspec

from kognitos_async.web_models import WebModel


class Model(WebModel, msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A message of the API. Members it leaves out have their defaults, members not known here are ignored."""


class Named(Model, frozen=True, kw_only=True):
    """A resource, identified by its `name`."""

    name: str = ""
    """The full resource name, empty where the API gave none."""

    @property
    def id(self) -> str:
        """The last part of the name, empty where the API gave none."""
        return self.name.rpartition("/")[2]


class OneOf:
    """A message that holds one of several contents."""

    __slots__ = ()
    kinds: ClassVar[tuple[str, ...]] = ()
    """The names of the members one of which is present."""

    @property
    def kind(self) -> str:
        """The name of the member that is present, empty or not; "" for one that is not known here."""
        return next((name for name in self.kinds if getattr(self, name) is not None), "")

    @property
    def content(self) -> object:
        """The member that is present; None for one that is not known here."""
        return getattr(self, self.kind) if self.kind else None
