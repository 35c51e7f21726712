"""Models to be sent, checked member by member against their documented types."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Mapping
from datetime import datetime
from enum import Enum
from types import UnionType
from typing import Any, TypeVar, get_args, get_origin

import msgspec

from kognitos_async.open_enum import Word
from kognitos_async.platform_v1.scalars import plain

T = TypeVar("T")

_EXPECTED = re.compile(r"Expected `([^`]+)`, got `([^`]+)`")
_MISSING = re.compile(r"missing required field `([^`]+)`")
_FIELD = re.compile(r" - at `(?:key in )?\$([^`]*)`")
_LARGEST = 2**63 - 1
_NAMES = {"array": "a sequence", "object": "a model of its own", "null": "None"}


def instance(name: str, value: object, kind: type[T]) -> T:
    """`value` checked, as a model of type `kind`.

    Members are not checked when a model is created. Scalars of other libraries become Python's, sequences
    become tuples. Raises `TypeError` or `ValueError` naming the invalid member.
    """
    if not isinstance(value, kind):
        raise TypeError(f"{name} must be {kind.__name__}, got {type(value).__name__}")
    try:
        return msgspec.convert(_outgoing(name, value), kind)
    except msgspec.ValidationError as problem:
        raise _explained(name, problem) from None


def instances(name: str, values: object, kind: type[T]) -> list[T]:
    """Several models of type `kind`, checked. Raises `TypeError` or `ValueError` for anything else."""
    if isinstance(values, str | bytes | Mapping) or not isinstance(values, Iterable):
        raise TypeError(f"{name} must be a sequence of {kind.__name__}, got {type(values).__name__}")
    return [instance(f"{name}[{index}]", value, kind) for index, value in enumerate(values)]


def _outgoing(name: str, value: Any) -> Any:
    """`value` in the form from which msgspec builds the model again: models as dicts, scalars checked."""
    if isinstance(value, msgspec.Struct):
        found = {}
        for field in msgspec.structs.fields(type(value)):
            member = getattr(value, field.name)
            if member is not None or field.required:
                _check_word(f"{name}.{field.name}", member, field.type)
                found[field.encode_name] = _outgoing(f"{name}.{field.name}", member)
        return found
    if isinstance(value, Mapping):
        return {key: _outgoing(f"{name}[{key!r}]", item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_outgoing(f"{name}[{index}]", item) for index, item in enumerate(value)]
    return _scalar(name, value)


def _scalar(name: str, value: Any) -> Any:
    try:
        found = plain(value)
    except ValueError as problem:
        raise ValueError(f"{name}: {problem}") from None
    if isinstance(found, float) and not math.isfinite(found):
        raise ValueError(f"{name} must be a finite number, got {found}")
    if isinstance(found, int) and not -_LARGEST - 1 <= found <= _LARGEST:
        raise ValueError(f"{name} must be an integer within 64 bits, got one of {found.bit_length()} bits")
    if isinstance(found, datetime) and found.tzinfo is None:
        raise ValueError(f"{name} must be a datetime with a time zone, got one without")
    return found


def _check_word(name: str, value: Any, kind: Any) -> None:
    """Refuse text that is not one of the API's words. Enum members read from the API pass, known or not."""
    if get_origin(kind) is tuple and isinstance(value, list | tuple):
        for index, item in enumerate(value):
            _check_word(f"{name}[{index}]", item, get_args(kind)[0])
    if not isinstance(value, str) or isinstance(value, Enum):
        return
    for words in (kind, *(get_args(kind) if isinstance(kind, UnionType) else ())):
        if isinstance(words, type) and issubclass(words, Word) and not words(value).known:
            known = ", ".join(member.value for member in words if member.name != "UNSPECIFIED")
            raise ValueError(f"{name} must be one of {known}, got {value!r}")


def _explained(name: str, problem: msgspec.ValidationError) -> Exception:
    text = str(problem)
    at = _FIELD.search(text)
    where = f"{name}{at[1] if at else ''}"
    if (missing := _MISSING.search(text)) is not None:
        return ValueError(f"{where}.{missing[1]} must be set, got nothing")
    if (types := _EXPECTED.search(text)) is not None:
        expected, got = (
            " or ".join(_NAMES.get(kind, kind) for kind in kinds.split(" | ")) for kinds in types.groups()
        )
        return TypeError(f"{where} must be {expected}, got {got}")
    return ValueError(f"{where} must be as the API documents it, got another value: {_FIELD.sub('', text)}")
