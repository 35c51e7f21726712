"""A wrapper that keeps secrets out of reprs."""

from __future__ import annotations

from typing import Generic, TypeVar

T = TypeVar("T")


class Secret(Generic[T]):
    """A secret value, such as a key or a presigned address, with a repr that does not show it.

    Error reporters record the local variables of each frame of a traceback. A secret may be a local variable
    only inside this wrapper.
    """

    __slots__ = ("_value",)

    def __init__(self, value: T) -> None:
        self._value = value

    def reveal(self) -> T:
        """The value, for use within one expression."""
        return self._value

    def __repr__(self) -> str:
        return "Secret(…)"
