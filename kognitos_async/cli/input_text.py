"""Encoding and delimiter detection for requests files."""

from __future__ import annotations

import codecs
import re
from typing import TYPE_CHECKING, TextIO

if TYPE_CHECKING:
    from pathlib import Path

_MARKS = (
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)
_ESCAPED = re.compile("[\udc80-\udcff]")
_LOOKED_AT = 4096
DELIMITERS = ",;\t|"


class UnreadableFileError(Exception):
    """A requests file that cannot be read at all; the text says why."""


def open_text(path: Path, encoding: str | None) -> TextIO:
    """Open a file as text in `encoding`, by default that of its BOM, else UTF-8.

    Undecodable bytes become surrogates, see `undecodable`. Raises `UnreadableFileError` for what looks like
    UTF-16 without a BOM.
    """
    with path.open("rb") as file:
        start = file.read(_LOOKED_AT)
    marked = next((name for mark, name in _MARKS if start.startswith(mark)), None)
    if encoding is None and marked is None and (odd := _nulls(start)) is not None:
        raise UnreadableFileError(f"{path} looks like UTF-16 without a BOM: use --encoding {odd}")
    chosen = encoding or marked or "utf-8"
    if marked == "utf-8-sig" and codecs_name(chosen) == "utf-8":
        chosen = "utf-8-sig"
    return path.open(newline="", encoding=chosen, errors="surrogateescape")


def codecs_name(encoding: str) -> str:
    """The canonical name of an encoding. Raises `UnreadableFileError` if it is unknown."""
    try:
        return codecs.lookup(encoding).name
    except LookupError:
        raise UnreadableFileError(f"unknown encoding {encoding!r} (--encoding)") from None


def undecodable(text: str) -> bool:
    """Whether `text` holds bytes that are not in the encoding of the file."""
    return not text.isascii() and _ESCAPED.search(text) is not None


def advice(encoding: str | None) -> str:
    """The message for text that is not in the encoding."""
    if encoding is None:
        return "is not UTF-8; for a file saved by Excel on Windows try --encoding cp1252"
    return f"is not {encoding} (--encoding)"


def sniff_delimiter(header: str, is_known: frozenset[str]) -> str:
    """The delimiter of a header: one that yields a known column, and of these the one with most columns.

    A comma for a single column.
    """

    def columns(delimiter: str) -> list[str]:
        return [cell.strip().strip('"').strip().casefold() for cell in header.split(delimiter)]

    def rank(delimiter: str) -> tuple[bool, int]:
        found = columns(delimiter)
        return bool(is_known & set(found)), len(found)

    return max(DELIMITERS, key=rank)


def _nulls(start: bytes) -> str | None:
    """The byte order of UTF-16 without a BOM: mostly Latin text has a null in every other byte."""
    half = len(start) // 2
    if half < 2:
        return None
    for offset, name in ((1, "utf-16-le"), (0, "utf-16-be")):
        if start[offset::2].count(0) > 0.6 * half and start[1 - offset :: 2].count(0) < 0.2 * half:
            return name
    return None
