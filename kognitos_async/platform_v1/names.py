"""Resource names: ids, short names and full names resolved to full names and paths."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Protocol

import msgspec

from kognitos_async import checks
from kognitos_async.errors import ConfigurationError
from kognitos_async.messages import segment

if TYPE_CHECKING:
    from collections.abc import Mapping

ORGANIZATION = ("organizations",)
WORKSPACE = (*ORGANIZATION, "workspaces")
AUTOMATION = (*WORKSPACE, "automations")
RUN = (*AUTOMATION, "runs")
EXCEPTION = (*WORKSPACE, "exceptions")
CONNECTION = (*WORKSPACE, "connections")
FILE = (*ORGANIZATION, "files")


class Named(Protocol):
    """A model with a resource name."""

    @property
    def name(self) -> str | None: ...  # noqa: D102


class Name(msgspec.Struct, frozen=True):
    """The full name of a resource as pairs of collection and id."""

    parts: tuple[tuple[str, str], ...]

    def __str__(self) -> str:
        return "/".join(f"{collection}/{identifier}" for collection, identifier in self.parts)

    @property
    def path(self) -> str:
        """The percent-encoded path of the resource."""
        return "".join(f"/{collection}/{segment(identifier)}" for collection, identifier in self.parts)

    @property
    def id(self) -> str:
        """The id of the resource."""
        return self.parts[-1][1]

    @property
    def organization_id(self) -> str:
        """The id of the organization."""
        return self.parts[0][1]

    @property
    def collection(self) -> tuple[str, ...]:
        """The kind of resource: its collections from the root."""
        return tuple(collection for collection, _ in self.parts)

    def child(self, collection: str, identifier: str) -> Name:
        """A resource directly below this one."""
        return Name((*self.parts, (collection, identifier)))

    def parent(self, collection: tuple[str, ...]) -> Name:
        """The ancestor of that kind."""
        return Name(self.parts[: len(collection)])


class Scope(msgspec.Struct, frozen=True):
    """The default organization and workspace of calls."""

    organization_id: str | None = None
    workspace_id: str | None = None

    @classmethod
    def of(cls, organization_id: str | None, workspace_id: str | None) -> Scope:
        """A scope from ids or full names. Raises `ConfigurationError` for anything else."""
        try:
            known = {} if workspace_id is None else _parse("workspace_id", workspace_id, WORKSPACE)
            if organization_id is not None:
                _merge(known, _parse("organization_id", organization_id, ORGANIZATION), "workspace_id")
        except ValueError as problem:
            raise ConfigurationError(str(problem)) from None
        return cls(known.get("organizations"), known.get("workspaces"))

    def organization(self, organization_id: str | None) -> Name:
        """The given organization, by default the client's."""
        return self.resolve("organization_id", organization_id, ORGANIZATION)

    def workspace(self, workspace_id: str | None, organization_id: str | None = None) -> Name:
        """The given workspace, by default the client's."""
        return self.resolve("workspace_id", workspace_id, WORKSPACE, organization_id=organization_id)

    def automation(
        self, automation: str | Named, workspace_id: str | None = None, organization_id: str | None = None
    ) -> Name:
        """The full name of an automation."""
        return self.resolve(
            "automation", automation, AUTOMATION, workspace_id=workspace_id, organization_id=organization_id
        )

    def run(
        self,
        run: str | Named,
        automation: str | Named | None = None,
        workspace_id: str | None = None,
        organization_id: str | None = None,
    ) -> Name:
        """The full name of a run. A bare id needs `automation`."""
        within = None
        if automation is not None:
            within = self.automation(automation, workspace_id, organization_id)
        return self.resolve(
            "run", run, RUN, within=within, workspace_id=workspace_id, organization_id=organization_id
        )

    def connection(
        self, connection: str | Named, workspace_id: str | None = None, organization_id: str | None = None
    ) -> Name:
        """The full name of a connection."""
        return self.resolve(
            "connection", connection, CONNECTION, workspace_id=workspace_id, organization_id=organization_id
        )

    def ids(
        self, argument: str, values: Iterable[str | Named], kind: tuple[str, ...], *, within: Name
    ) -> list[str]:
        """Ids of resources below `within`, given as ids, names or models. Raises what `resolve` raises."""
        if isinstance(values, str | bytes) or not isinstance(values, Iterable):
            raise TypeError(f"{argument} must be a sequence of ids or names, got {type(values).__name__}")
        return [
            self.resolve(f"{argument}[{index}]", value, kind, within=within).id
            for index, value in enumerate(values)
        ]

    def resolve(
        self,
        argument: str,
        value: str | Named | None,
        kind: tuple[str, ...],
        *,
        within: Name | None = None,
        organization_id: str | None = None,
        workspace_id: str | None = None,
    ) -> Name:
        """The full name of `value`: an id, a full name, the trailing parts of one, or a model with a name.

        Missing parts are taken from `within`, then from the given ids, then from the client. Raises
        `ValueError` for a name of another kind, of another organization than the given one or the client's,
        or one that contradicts the given ids; `ConfigurationError` if a part is missing.
        """
        by_default = value is None and kind in (ORGANIZATION, WORKSPACE)
        given = {} if by_default else _parse(argument, value, kind)
        known = {} if within is None else dict(within.parts)
        for name, explicit, level in (
            ("organization_id", organization_id, ORGANIZATION),
            ("workspace_id", workspace_id, WORKSPACE),
        ):
            if explicit is not None and argument != name:
                _merge(known, _parse(name, explicit, level), argument)
        _merge(known, given, argument)
        own = {"organizations": self.organization_id, "workspaces": self.workspace_id}
        ours = self.organization_id
        # `within` was checked already, and a model comes from the API itself.
        on_purpose = (
            organization_id is not None
            or argument == "organization_id"
            or within is not None
            or not isinstance(value, str)
        )
        if ours is not None and not on_purpose and known.get("organizations", ours) != ours:
            raise ValueError(
                f"{argument} is of organization {known['organizations']!r}, the client's is {ours!r}: "
                "pass organization_id too if this is intended"
            )
        parts: list[tuple[str, str]] = []
        for collection in kind:
            identifier = known.get(collection) or own.get(collection)
            if identifier is None:
                raise _missing(argument, collection)
            parts.append((collection, identifier))
        return Name(tuple(parts))


def parse_name(argument: str, value: object, kind: tuple[str, ...]) -> Name:
    """A full resource name, parsed. Raises `ValueError` if it is not of that kind."""
    found = _parse(argument, value, kind)
    if len(found) != len(kind):
        raise ValueError(f"{argument} must be a full name of {kind[-1]}, got {value!r}")
    return Name(tuple(found.items()))


def is_run_name(text: str) -> bool:
    """Whether the text is the full name of a run."""
    try:
        parse_name("name", text, RUN)
    except ValueError:
        return False
    return True


def _parse(argument: str, value: object, kind: tuple[str, ...]) -> dict[str, str]:
    """The collections and ids that `value` names, the last ones of `kind`."""
    text = value if isinstance(value, str) else getattr(value, "name", value)
    if not isinstance(text, str):
        raise TypeError(
            f"{argument} must be an id, a resource name or a model with one, got {type(text).__name__}"
        )
    if not isinstance(value, str) and "/" not in text:  # a display name, as of books and triggers
        raise TypeError(f"{argument} must be an id or a resource name, got a {type(value).__name__}")
    words = checks.text(argument, str.__str__(text)).split("/")
    if len(words) == 1:
        return {kind[-1]: checks.identifier(argument, text)}
    collections = tuple(words[::2])
    if len(words) % 2 or len(collections) > len(kind) or collections != kind[-len(collections) :]:
        form = "/".join(f"{collection}/…" for collection in kind)
        raise ValueError(f"{argument} must be an id or a name like {form}, got {text!r}")
    return {
        collection: checks.identifier(argument, identifier)
        for collection, identifier in zip(collections, words[1::2], strict=True)
    }


def _merge(known: dict[str, str], more: Mapping[str, str], argument: str) -> None:
    for collection, identifier in more.items():
        if known.setdefault(collection, identifier) != identifier:
            raise ValueError(
                f"{argument} is contradictory: {collection} {identifier!r} against {known[collection]!r}"
            )


def _missing(argument: str, collection: str) -> ConfigurationError:
    word = collection.removesuffix("s")
    if collection in ("organizations", "workspaces"):
        return ConfigurationError(
            f"no {word}: pass {word}_id to the call or to the client, or set KOGNITOS_{word.upper()}_ID"
        )
    return ConfigurationError(f"{argument} is a bare id: pass its full name, or its {word} too")
