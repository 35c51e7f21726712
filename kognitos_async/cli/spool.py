"""Pages of an export saved on disk, so that an interrupted export can be resumed."""

from __future__ import annotations

import json
import math
import os
import sys
from contextlib import suppress
from datetime import date, datetime
from decimal import Decimal
from itertools import chain
from typing import TYPE_CHECKING, Any

import msgspec

from kognitos_async.bulk.file_lock import NO_LOCKS, lock
from kognitos_async.cli.text import json_line

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path
    from typing import BinaryIO

    from kognitos_async.cli.api import Columns

_VERSION = 3
_PLAIN = frozenset({str, int, bool, type(None)})
_NESTED = frozenset({dict, list})
_TAG = "$"
_READ: dict[str, Any] = {
    "$time": datetime.fromisoformat,
    "$date": date.fromisoformat,
    "$decimal": Decimal,
    "$float": float,
}
_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder().decode


class _Page(msgspec.Struct):
    """A line of the file: the number of records, their columns, and the token of the next page.

    A line with `left_out` has no records: it counts undecodable items of the page before.
    """

    count: int
    columns: msgspec.Raw
    token: str | None = None
    left_out: int = 0


_decode_page = msgspec.json.Decoder(_Page).decode


class Spool:
    """A file of JSON lines: a header, then a line for each page.

    An incomplete last line, left by a crash, is dropped and its page read again. The file is locked while it
    is open, as two exports would mix their pages.
    """

    def __init__(self, path: Path, question: Mapping[str, Any]) -> None:
        self.path = path
        self._heading = {"version": _VERSION, **question}
        self._file: BinaryIO | None = None
        self.count: int = 0
        self.left_out: int = 0
        self.token: str | None = None
        self.complete: bool = False
        self.resumed: bool = False

    def open(self) -> None:
        """Resume from the file, or start a new one.

        Raises `OSError` if the file is in use by or belongs to another export; it is not changed.
        """
        self._file = _locked(self.path)
        try:
            kept = self._recover()
            self._opened.truncate(kept)
            if not kept:
                self._append(json_line(self._heading).encode() + b"\n")
        except BaseException:
            self.close()
            raise
        self.resumed = kept > 0 and (self.token is not None or self.complete)

    def start_over(self) -> None:
        """Drop all pages."""
        self.count = self.left_out = 0
        self.token, self.complete, self.resumed = None, False, False
        self._opened.truncate(0)
        self._append(json_line(self._heading).encode() + b"\n")

    @property
    def _opened(self) -> BinaryIO:
        if self._file is None:
            raise RuntimeError(f"{self.path} is not open")
        return self._file

    def _append(self, line: bytes) -> None:
        file = self._opened
        file.seek(0, os.SEEK_END)
        file.write(line)
        file.flush()

    def _recover(self) -> int:
        """Length of the complete pages; sets `token`, `count` and `complete`."""
        kept = 0
        # Through the descriptor that has the lock: closing another one may drop it.
        file = self._opened
        file.seek(0)
        if not self._is_heading(file.readline()):
            return 0
        for line in file:
            try:
                page = _decode_page(line) if line.endswith(b"\n") else None
            except (msgspec.DecodeError, UnicodeDecodeError):
                page = None
            if page is None:
                break
            self.count += page.count
            self.left_out += page.left_out
            self.token, self.complete = page.token, page.token is None
            kept += len(line)
        return kept and kept + len(json_line(self._heading)) + 1

    def _is_heading(self, line: bytes) -> bool:
        """Whether the first line is the header of this export; False if it is incomplete."""
        try:
            found = json.loads(line) if line.endswith(b"\n") else None
        except ValueError:
            found = None
        if found is not None and found != self._heading:
            raise OSError(f"{self.path} belongs to another unfinished export: finish that or delete the file")
        return found is not None

    def add(self, columns: Columns, count: int, token: str | None) -> None:
        """Write a page of `count` records and the token of the next one, None after the last."""
        self.count += count
        self.token, self.complete = token, token is None
        page = {name: _tagged_column(values) for name, values in columns.items()}
        self._append(_line({"count": count, "token": token, "columns": page}))

    def leave_out(self, count: int) -> None:
        """Record the number of undecodable items of the last page."""
        self.left_out += count
        self._append(_line({"count": 0, "token": self.token, "columns": {}, "left_out": count}))

    def pages(self) -> Iterator[Columns]:
        """The pages, with times, dates and decimals restored. Add none before the last has been read."""
        file = self._opened
        file.seek(0)
        file.readline()
        for line in file:
            page = _decode_page(line)
            if page.left_out:
                continue
            columns: dict[str, Any] = _decode_columns(page.columns)
            yield {name: _untagged_column(values) for name, values in columns.items()}

    def close(self) -> None:
        """Close the file without deleting it."""
        if self._file is not None:
            self._file.close()
            self._file = None

    def delete(self) -> None:
        """Delete the file and close it."""
        if sys.platform == "win32":  # where no open file can be deleted
            self.close()
            with suppress(PermissionError):  # another export has opened it since
                self.path.unlink(missing_ok=True)
        else:
            self.path.unlink(missing_ok=True)
            self.close()


def _locked(path: Path) -> BinaryIO:
    """The file, created if missing. Raises `OSError` if another export has locked it."""
    while True:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | getattr(os, "O_BINARY", 0), 0o666)
        try:
            _lock(descriptor, path)
            if _is_at(path, descriptor):
                os.lseek(descriptor, 0, os.SEEK_SET)
                return os.fdopen(descriptor, "r+b")
        except BaseException:
            os.close(descriptor)
            raise
        os.close(descriptor)


def _lock(descriptor: int, path: Path) -> None:
    try:
        lock(descriptor)
    except OSError as problem:
        # Without locks the file system is taken as it is: an export, unlike a start, can be made again.
        if problem.errno not in NO_LOCKS:
            raise OSError(f"{path} is in use by another export: wait for it, or end it") from problem


def _is_at(path: Path, descriptor: int) -> bool:
    """Whether the open file is still the one of the path; another export may have finished and deleted it."""
    try:
        return os.path.samestat(path.stat(), os.fstat(descriptor))
    except FileNotFoundError:
        return False


def _line(page: dict[str, Any]) -> bytes:
    try:
        return _encode(page) + b"\n"
    except (UnicodeEncodeError, OverflowError, TypeError):  # lone surrogates, huge integers
        return json_line(page).encode() + b"\n"


def _decode_columns(columns: msgspec.Raw) -> Any:
    try:
        return _decode(columns)
    except msgspec.DecodeError:  # written by the fallback encoder
        return json.loads(bytes(columns))


def _tagged_column(values: list[Any]) -> list[Any] | dict[str, list[Any]]:
    """The column as JSON can hold it: as it is, or under the tag that all its values have in common."""
    types = set(map(type, values))
    if types <= _PLAIN or _are_plain(_members(values, types)):
        return values
    if types == {datetime}:
        return {"$time": values}
    return {_TAG: [value if type(value) in _PLAIN else _tagged(value) for value in values]}


def _members(values: list[Any], types: set[type]) -> list[Any]:
    """What the lists or dicts of a column hold; of other columns the values themselves."""
    if types == {list}:
        return list(chain.from_iterable(values))
    if types == {dict}:
        return list(chain.from_iterable(map(dict.values, values)))
    return values


def _are_plain(values: list[Any]) -> bool:
    """Whether JSON holds each of these as it is."""
    types = set(map(type, values)) - _PLAIN
    return not types or (types == {float} and all(map(math.isfinite, filter(_is_float, values))))


def _is_float(value: Any) -> bool:
    return type(value) is float


def _untagged_column(column: list[Any] | dict[str, list[Any]]) -> list[Any]:
    if isinstance(column, list):
        return column
    [(tag, values)] = column.items()
    if tag == _TAG:
        return [_untagged(value) if type(value) in _NESTED else value for value in values]
    return list(map(_READ[tag], values))


def _tagged(value: Any) -> Any:
    """`value` with types that JSON lacks tagged."""
    if type(value) in _PLAIN:
        return value
    if isinstance(value, dict):
        members = {name: _tagged(member) for name, member in value.items()}
        return {"$dict": members} if len(members) == 1 and next(iter(members)).startswith("$") else members
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
        if tag in _READ:
            return _READ[tag](content)
        if tag == "$dict":
            value = content
    return {name: _untagged(member) if type(member) in _NESTED else member for name, member in value.items()}
