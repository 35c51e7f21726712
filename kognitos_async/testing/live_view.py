"""Read-only views of data that the server keeps changing."""

from __future__ import annotations

from collections.abc import ItemsView, Iterator, Mapping, ValuesView
from typing import TypeVar

K = TypeVar("K")
V = TypeVar("V")


class LiveView(Mapping[K, V]):
    """A live mapping. It may be iterated while the server changes it in another thread."""

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
        """A snapshot of the entries."""
        return dict(self._entries).items()

    def values(self) -> ValuesView[V]:
        """A snapshot of the values."""
        return dict(self._entries).values()

    def __repr__(self) -> str:
        return repr(dict(self._entries))
