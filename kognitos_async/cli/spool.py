"""The records of an export on disk, a page at a time, so that an export that was ended goes on."""

from __future__ import annotations

import json
from datetime import date, datetime
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from kognitos_async.cli.text import json_line

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path
    from typing import BinaryIO

_VERSION = 1


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
        for record in records:
            self._line([_tagged(record)])
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
                    yield json.loads(line, object_hook=_untagged)[0]

    def close(self) -> None:
        """Close the file, which stays."""
        if self._file is not None:
            self._file.close()

    def _line(self, content: object) -> None:
        if self._file is not None:
            self._file.write(json_line(content).encode() + b"\n")


def _tagged(value: Any) -> Any:
    """`value` with the types that JSON has no word for written out."""
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
    return value


def _untagged(members: dict[str, Any]) -> Any:
    if len(members) == 1:
        [(tag, value)] = members.items()
        if isinstance(value, str):
            if tag == "$time":
                return datetime.fromisoformat(value)
            if tag == "$date":
                return date.fromisoformat(value)
            if tag == "$decimal":
                return Decimal(value)
    return members
