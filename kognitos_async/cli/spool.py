"""The records of an export on disk, a page at a time, so that an export that was ended goes on."""

from __future__ import annotations

import json
import math
from datetime import date, datetime
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import msgspec

from kognitos_async.cli.text import json_line

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path
    from typing import BinaryIO

_VERSION = 2
_PLAIN = frozenset({str, int, bool, type(None)})
_NESTED = frozenset({dict, list})
_READ: dict[str, Any] = {
    "$time": datetime.fromisoformat,
    "$date": date.fromisoformat,
    "$decimal": Decimal,
    "$float": float,
}
_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder().decode


class Spool:
    """A file of JSON lines: what is exported, then each page's records and the token behind it.

    A record is an array in it, everything else an object. What follows the last token was cut off by a
    crash: it is dropped, and its page read again.
    """

    def __init__(self, path: Path, question: Mapping[str, Any]) -> None:
        self.path = path
        self._heading = {"version": _VERSION, **question}
        self._file: BinaryIO | None = None
        self.count: int = 0
        self.token: str | None = None
        self.complete: bool = False
        self.resumed: bool = False

    def open(self) -> None:
        """Take up what the file holds, or begin anew.

        Raises `OSError` when it is the beginning of another export, and is left as it is.
        """
        kept = self._recover() if self.path.exists() else 0
        self._file = self.path.open("r+b" if kept else "wb")
        self._file.truncate(kept)
        self._file.seek(kept)
        if not kept:
            self._line(self._heading)
        self.resumed = kept > 0 and (self.token is not None or self.complete)

    def _recover(self) -> int:
        """The length of what can be kept. Sets `token`, `count` and `complete` from it."""
        kept = read = pending = 0
        with self.path.open("rb") as file:
            for number, line in enumerate(file):
                try:
                    content = json.loads(line) if line.endswith(b"\n") else None
                except ValueError:
                    content = None
                read += len(line)
                if content is None:
                    break
                if number == 0 and content != self._heading:
                    raise OSError(
                        f"{self.path} is of another export that was ended: finish it, or delete the file"
                    )
                if isinstance(content, list):
                    pending += 1
                    continue
                self.token, self.complete = content.get("token"), "complete" in content
                self.count, pending, kept = self.count + pending, 0, read
        return kept

    def add(self, records: list[dict[str, Any]], token: str | None) -> None:
        """Write a page's records and the token behind it, None behind the last page."""
        self._write(b"".join(_record_line(record) for record in records))
        self.count += len(records)
        self._line({"complete": True} if token is None else {"token": token})
        self.token, self.complete = token, token is None
        if self._file is not None:
            self._file.flush()

    def records(self) -> Iterator[dict[str, Any]]:
        """All records, with their times, dates and decimals."""
        with self.path.open("rb") as file:
            for line in file:
                if line.startswith(b"["):
                    yield _record(line)

    def close(self) -> None:
        """Close the file, which stays."""
        if self._file is not None:
            self._file.close()

    def _line(self, content: object) -> None:
        self._write(json_line(content).encode() + b"\n")

    def _write(self, lines: bytes) -> None:
        if self._file is not None:
            self._file.write(lines)


def _record_line(record: dict[str, Any]) -> bytes:
    tagged = {name: value if type(value) in _PLAIN else _tagged(value) for name, value in record.items()}
    try:
        return _encode([tagged]) + b"\n"
    except (UnicodeEncodeError, OverflowError, TypeError):  # lone surrogates, say
        return json_line([tagged]).encode() + b"\n"


def _record(line: bytes) -> dict[str, Any]:
    try:
        record: dict[str, Any] = _decode(line)[0]
    except msgspec.DecodeError:  # what Python's own encoder has written
        record = json.loads(line)[0]
    return {name: _untagged(value) if type(value) in _NESTED else value for name, value in record.items()}


def _tagged(value: Any) -> Any:
    """`value` with the types that JSON has no word for written out."""
    if type(value) in _PLAIN:
        return value
    if isinstance(value, dict):
        return {name: _tagged(member) for name, member in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [_tagged(member) for member in value]
    if isinstance(value, datetime):
        return {"$time": value.isoformat()}
    if isinstance(value, date):
        return {"$date": value.isoformat()}
    if isinstance(value, Decimal):
        return {"$decimal": str(value)}
    if isinstance(value, float):
        return {"$float": repr(value)} if not math.isfinite(value) else value
    return value


def _untagged(value: Any) -> Any:
    if type(value) is list:
        return [_untagged(member) if type(member) in _NESTED else member for member in value]
    if len(value) == 1:
        [(tag, content)] = value.items()
        read = _READ.get(tag)
        if read is not None and isinstance(content, str):
            return read(content)
    return {name: _untagged(member) if type(member) in _NESTED else member for name, member in value.items()}
