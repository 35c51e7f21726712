"""Decoding of the platform API's answers, by the rules of protobuf's JSON: absent and null mean zero.

Where a body is as the models have it, decoding is msgspec's alone. Only where that fails, or where msgspec
would round a timestamp up, the body is read as plain JSON first and completed by the types of the model.
"""

from __future__ import annotations

import functools
import re
from typing import TYPE_CHECKING, Any, Generic, TypeVar, cast

import msgspec

from kognitos_async.page_decoder import BadItem, PageDecoder
from kognitos_async.platform_v1.times import truncated

if TYPE_CHECKING:
    from msgspec import inspect

T = TypeVar("T")

_ROUNDED_UP = re.compile(rb"\.\d{6}[5-9]\d*(?:[Zz]|[+-]\d\d:?\d\d)\"")
"""The end of a timestamp that msgspec rounds to a later microsecond, and so perhaps into the next second."""


class ModelDecoder(Generic[T]):
    """Decodes bodies as `kind`; raises what `msgspec.json.Decoder.decode` raises.

    Members that are absent or null read as the default of the model; where the model requires one, as 0, "",
    False, an empty list, map or message. Timestamps are cut at the microsecond, never rounded up. With
    `may_be_empty` an empty body is an empty message.
    """

    def __init__(self, kind: type[T], may_be_empty: bool) -> None:
        self._kind = kind
        self._may_be_empty = may_be_empty
        self._plain = msgspec.json.Decoder(kind, strict=False)
        self._shape: inspect.Type | None = None

    def decode(self, body: bytes) -> T:
        """The model in a body."""
        if self._may_be_empty and not body.strip():
            body = b"{}"
        if _ROUNDED_UP.search(body):
            return self._completed(body)
        try:
            return self._plain.decode(body)
        except msgspec.ValidationError as problem:
            try:
                return self._completed(body)
            except msgspec.ValidationError:
                raise problem from None

    def _completed(self, body: bytes) -> T:
        if self._shape is None:
            from msgspec import inspect  # noqa: PLC0415 - takes long to load and is rarely needed

            self._shape = inspect.type_info(self._kind)
        found = completed(msgspec.json.decode(body), self._shape)
        return msgspec.convert(found, self._kind, strict=False)


class _Nothing:
    """For operations that return nothing: an empty body will do, and what is in another is not looked at."""

    _object = msgspec.json.Decoder(dict[str, msgspec.Raw])

    def decode(self, body: bytes) -> None:
        if body.strip():
            self._object.decode(body)


NOTHING = cast("msgspec.json.Decoder[None]", _Nothing())
"""Decodes an object or an empty body as None."""


def model_decoder(kind: type[T], *, may_be_empty: bool = False) -> msgspec.json.Decoder[T]:
    """The `ModelDecoder` of a type, made once; it decodes wherever a decoder of msgspec does."""
    made: msgspec.json.Decoder[T] = _cached_decoder(kind, may_be_empty)
    return made


def list_decoder(response: type[T], member: str) -> msgspec.json.Decoder[tuple[T, tuple[BadItem, ...]]]:
    """A decoder of pages with their items in `member`, which also returns the items it cannot decode."""
    made: msgspec.json.Decoder[tuple[T, tuple[BadItem, ...]]] = _cached_list_decoder(response, member)
    return made


_cached_decoder: Any = functools.lru_cache(maxsize=512)(ModelDecoder)
_cached_list_decoder: Any = functools.lru_cache(maxsize=128)(
    lambda response, member: PageDecoder(model_decoder(response), member)
)


def completed(value: Any, shape: inspect.Type) -> Any:
    """`value` with zero values for members that are null or missing, and timestamps cut to microseconds."""
    from msgspec import inspect  # noqa: PLC0415 - see above

    match shape:
        case inspect.StructType() if isinstance(value, dict):
            return _completed_members(value, shape)
        case inspect.VarTupleType() | inspect.ListType() if isinstance(value, list):
            return [completed(item, shape.item_type) for item in value]
        case inspect.DictType() if isinstance(value, dict):
            return {name: completed(item, shape.value_type) for name, item in value.items()}
        case inspect.DateTimeType() if isinstance(value, str):
            return truncated(value)
        case inspect.UnionType() if value is not None:
            others = [member for member in shape.types if not isinstance(member, inspect.NoneType)]
            return completed(value, others[0]) if len(others) == 1 else value
    return value


def _completed_members(value: dict[str, Any], shape: inspect.StructType) -> dict[str, Any]:
    made = {}
    for field in shape.fields:
        found = value.get(field.encode_name)
        if found is not None:
            made[field.encode_name] = completed(found, field.type)
        elif field.required and (zero := _zero(field.type)) is not None:
            made[field.encode_name] = zero
    return made


def _zero(shape: inspect.Type) -> Any:
    """The zero value in JSON; None where there is none, as of a time."""
    from msgspec import inspect  # noqa: PLC0415 - see above

    match shape:
        case inspect.StrType() | inspect.EnumType():
            return ""
        case inspect.BoolType():
            return False
        case inspect.IntType() | inspect.FloatType():
            return 0
        case inspect.VarTupleType() | inspect.ListType():
            return []
        case inspect.DictType():
            return {}
        case inspect.StructType():
            return _completed_members({}, shape)
    return None
