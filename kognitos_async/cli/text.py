"""Escaping of untrusted text for terminals and JSON lines."""

from __future__ import annotations

import json
import re
from functools import cache
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import msgspec

_UNSAFE = re.compile(
    "[\x00-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028\u2029\u202a-\u202e\u2066-\u2069\ufeff\ud800-\udfff]"
)
"""Control characters, bidirectional marks, line separators and lone surrogates."""
_NOT_ASCII = re.compile(r"[^\x20-\x7e]")


def printable(text: object) -> str:
    """`text` with every unsafe character escaped."""
    return _UNSAFE.sub(lambda found: _spelled(found[0]), str(text))


def one_line(text: object) -> str:
    """`printable` text with whitespace collapsed."""
    return printable(" ".join(str(text).split()))


def json_line(record: object) -> str:
    """`record` as one line of ASCII JSON; decimals keep all digits."""
    try:
        encoded = _encoder().encode(record).decode()
    except UnicodeEncodeError:  # a lone surrogate, which msgspec rejects
        return json.dumps(record, default=str)
    return _NOT_ASCII.sub(lambda found: json.dumps(found[0])[1:-1], encoded)


def cell(value: object) -> str:
    """`value` as a table cell: empty for None, JSON for nested values."""
    if value is None:
        return ""
    if isinstance(value, str):
        return printable(value)
    if isinstance(value, bool):
        return "yes" if value else "no"
    text = json_line(value)
    return printable(json.loads(text)) if text.startswith('"') else text


def _spelled(character: str) -> str:
    return character.encode("unicode_escape").decode("ascii")


def _plain(value: Any) -> Any:
    """A table as its columns, any other unsupported value as its text."""
    columns = getattr(value, "to_pydict", None)
    return columns() if callable(columns) else str(value)


@cache
def _encoder() -> msgspec.json.Encoder:
    import msgspec  # noqa: PLC0415 - not needed for --help

    return msgspec.json.Encoder(enc_hook=_plain, decimal_format="number")
