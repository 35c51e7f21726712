"""Decoding by the rules of protobuf's JSON: absent and null members read as zero values.

A body that matches its model is decoded by msgspec alone. If that fails, or if msgspec would round a
timestamp up, the body is read as plain JSON and completed by the types of the model.
"""

from __future__ import annotations

import functools
import re
from typing import TYPE_CHECKING, Any, Generic, TypeVar, cast

import msgspec

from kognitos_async.page_decoder import BadItem, PageDecoder
from kognitos_async.platform_v1.times import truncated

if TYPE_CHECKING:
    from collections.abc import Callable

    from msgspec import inspect

    _Complete = Callable[[Any], Any]

T = TypeVar("T")

_ROUNDED_UP = re.compile(rb"\.\d{6}[5-9]\d*(?:[Zz]|[+-]\d\d:?\d\d)\"")
"""Matches a timestamp that msgspec would round up, possibly into the next second."""

_LARGEST_ERROR = 64 * 1024
"""Larger bodies are not taken for errors: reading them twice would cost too much."""


class ModelDecoder(Generic[T]):
    """Decodes bodies as `kind`. Raises what `msgspec.json.Decoder.decode` raises.

    Absent and null members read as the model's default; required ones as 0, "", False, or an empty list, map
    or message. Timestamps are truncated to microseconds. With `may_be_empty` an empty body is an empty
    message. An error object is no message: all members of the model would be absent.
    """

    def __init__(self, kind: type[T], may_be_empty: bool) -> None:
        self._kind = kind
        self._may_be_empty = may_be_empty
        self._plain = msgspec.json.Decoder(kind, strict=False)
        self._complete: _Complete | None = None
        self._members: frozenset[str] = frozenset(getattr(kind, "__struct_encode_fields__", ()))

    def decode(self, body: bytes) -> T:
        """The model that the body holds."""
        if self._may_be_empty and not body.strip():
            body = b"{}"
        found = self._decoded(body)
        _refuse_error(body, self._members)
        return found

    def _decoded(self, body: bytes) -> T:
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
        if self._complete is None:
            from msgspec import inspect  # noqa: PLC0415 - slow to load, rarely needed

            self._complete = completion(inspect.type_info(self._kind)) or _unchanged
        return msgspec.convert(self._complete(msgspec.json.decode(body)), self._kind, strict=False)


def _unchanged(value: Any) -> Any:
    return value


def _refuse_error(body: bytes, members: frozenset[str]) -> None:
    """Raise `ValidationError` if the body, a JSON object, is an error and has none of `members`."""
    if len(body) > _LARGEST_ERROR or not (b'"error"' in body or b'"message"' in body):
        return
    found = msgspec.json.decode(body)
    code = found.get("code")
    failed = isinstance(code, int) and code != 0 and code // 100 != 2 and "message" in found
    if (failed or found.get("error")) and members.isdisjoint(found):
        raise msgspec.ValidationError("Expected a message of the API, got an error")


class _Nothing:
    """Decoder for operations without a result: accepts an empty body or any object."""

    _object = msgspec.json.Decoder(dict[str, msgspec.Raw])

    def decode(self, body: bytes) -> None:
        if body.strip():
            self._object.decode(body)
            _refuse_error(body, frozenset())


NOTHING = cast("msgspec.json.Decoder[None]", _Nothing())
"""Decodes an object or an empty body as None."""


def model_decoder(kind: type[T], *, may_be_empty: bool = False) -> msgspec.json.Decoder[T]:
    """The cached `ModelDecoder` of a type, usable in place of a msgspec decoder."""
    made: msgspec.json.Decoder[T] = _cached_decoder(kind, may_be_empty)
    return made


def list_decoder(response: type[T], member: str) -> msgspec.json.Decoder[tuple[T, tuple[BadItem, ...]]]:
    """A decoder for pages with items in `member`. It also returns the items that cannot be decoded."""
    made: msgspec.json.Decoder[tuple[T, tuple[BadItem, ...]]] = _cached_list_decoder(response, member)
    return made


_cached_decoder: Any = functools.lru_cache(maxsize=512)(ModelDecoder)
_cached_list_decoder: Any = functools.lru_cache(maxsize=128)(
    lambda response, member: PageDecoder(model_decoder(response), member)
)


def completion(shape: inspect.Type, made: dict[int, _Message] | None = None) -> _Complete | None:
    """A function that completes JSON values of this type; None if they never need it.

    Required members that are null or missing become zero values, other null members are removed, and
    timestamps are truncated to microseconds. Values of another type are left unchanged.
    """
    from msgspec import inspect  # noqa: PLC0415 - slow to load, rarely needed

    made = {} if made is None else made
    match shape:
        case inspect.Metadata():
            return completion(shape.type, made)
        case inspect.StructType():
            if id(shape) not in made:  # types may be recursive
                made[id(shape)] = _Message(shape)
                made[id(shape)].compile(made)
            return made[id(shape)]
        case inspect.VarTupleType() | inspect.ListType():
            return _in_list(completion(shape.item_type, made))
        case inspect.DictType():
            return _in_map(completion(shape.value_type, made))
        case inspect.DateTimeType():
            return lambda value: truncated(value) if isinstance(value, str) else value
        case inspect.UnionType():
            others = [member for member in shape.types if not isinstance(member, inspect.NoneType)]
            return completion(others[0], made) if len(others) == 1 else None
    return None


class _Message:
    """Completes the members of a message type."""

    __slots__ = ("_members", "_required", "_shape")

    def __init__(self, shape: inspect.StructType) -> None:
        self._shape = shape
        self._members: dict[str, _Complete | None] = {}
        self._required: dict[str, Any] = {}

    def compile(self, made: dict[int, _Message]) -> None:
        for field in self._shape.fields:
            self._members[field.encode_name] = completion(field.type, made)
            if field.required:
                self._required[field.encode_name] = field.type

    def __call__(self, value: Any) -> Any:
        if not isinstance(value, dict):
            return value
        found = {}
        for name, member in value.items():
            if member is not None and name in self._members:
                complete = self._members[name]
                found[name] = member if complete is None else complete(member)
        for name, shape in self._required.items():
            if name not in found and (zero := _zero(shape)) is not None:
                found[name] = zero
        return found


def _in_list(complete: _Complete | None) -> _Complete | None:
    if complete is None:
        return None
    return lambda value: [complete(item) for item in value] if isinstance(value, list) else value


def _in_map(complete: _Complete | None) -> _Complete | None:
    if complete is None:
        return None
    return lambda value: (
        {name: complete(item) for name, item in value.items()} if isinstance(value, dict) else value
    )


def _zero(shape: inspect.Type) -> Any:
    """The zero value in JSON; None for types without one, such as times."""
    from msgspec import inspect  # noqa: PLC0415 - see above

    match shape:
        case inspect.Metadata():
            return _zero(shape.type)
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
            complete = completion(shape)
            return None if complete is None else complete({})
    return None
