"""Words of the APIs: enumerations that keep what this version does not know."""

from __future__ import annotations

from enum import StrEnum
from typing import Self


class Word(StrEnum):
    """A word of the API. One this version does not know becomes a member that carries it as it came."""

    @classmethod
    def _missing_(cls, value: object) -> Self | None:
        if not isinstance(value, str):
            return None
        member = str.__new__(cls, value)
        member._name_ = value
        member._value_ = value
        return member

    @property
    def known(self) -> bool:
        """Whether this version of the library knows the word."""
        return self._value_ in type(self)._value2member_map_

    def __reduce_ex__(self, proto: object) -> tuple[type[Self], tuple[str]]:
        """By the word: the first releases of Python 3.11 look members up by name, which unknown ones lack."""
        return type(self), (self._value_,)
