"""Read-only views of what the server changes meanwhile."""

from __future__ import annotations

from collections.abc import ItemsView, Iterator, Mapping, ValuesView
from typing import TypeVar

K = TypeVar("K")
V = TypeVar("V")


class LiveView(Mapping[K, V]):
    """A mapping as it is now. It may be iterated while the server, in another thread, changes it."""

    __slots__ = ("_entries",)

    def __init__(self, entries: Mapping[K, V]) -> None:
        self._entries = entries

    def __getitem__(self, key: K) -> V:
        return self._entries[key]

    def __len__(self) -> int:
        return len(self._entries)

    def __iter__(self) -> Iterator[K]:
        return iter(list(self._entries))

    def items(self) -> ItemsView[K, V]:
        """The entries at this moment."""
        return dict(self._entries).items()

    def values(self) -> ValuesView[V]:
        """The values at this moment."""
        return dict(self._entries).values()

    def __repr__(self) -> str:
        return repr(dict(self._entries))
