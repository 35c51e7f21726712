"""A value that must not show."""

from __future__ import annotations

from typing import Generic, TypeVar

T = TypeVar("T")


class Secret(Generic[T]):
    """Holds a key, a presigned address or the like, out of sight of reprs and of whoever prints frames.

    Error reporters store the local variables of each frame of a traceback: a secret is a local variable only
    inside this wrapper.
    """

    __slots__ = ("_value",)

    def __init__(self, value: T) -> None:
        self._value = value

    def reveal(self) -> T:
        """The value itself, for the expression that needs it."""
        return self._value

    def __repr__(self) -> str:
        return "Secret(…)"
