"""Value types without a counterpart in Python."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Mapping
from typing import Any

import msgspec

from kognitos_async import checks

_MEMBERS = frozenset({"remote", "inline"})
_INLINE = frozenset({"file_name", "content"})


class FileRef(msgspec.Struct, frozen=True):
    """A file as a value: either `remote`, the name of a file in Kognitos, or `content`, its bytes.

    `file_ref(await client.files.upload(...))` is one.
    """

    remote: str | None = None
    """Name of a file in Kognitos, such as organizations/o/files/f."""
    file_name: str | None = None
    """File name of a file given by its content."""
    content: bytes | None = None
    """Bytes of the file."""

    def __repr__(self) -> str:
        size = "" if self.content is None else f", {len(self.content)} bytes"
        return f"FileRef({self.remote!r}, file_name={self.file_name!r}{size})"


class UnknownValue(msgspec.Struct, frozen=True):
    """A value that Python cannot hold exactly, or of a kind unknown to this version."""

    raw: dict[str, Any]
    """Its JSON object as received; `to_value` returns it unchanged."""


def write_file(file: FileRef) -> dict[str, Any]:
    """A file in the API's form. Raises `ValueError` unless it has exactly one of `remote` and `content`."""
    if (file.remote is None) == (file.content is None):
        raise ValueError("a FileRef must have either a remote name or a content")
    if file.content is None:
        return {"remote": checks.text("FileRef.remote", file.remote)}
    inline = {"content": base64.b64encode(file.content).decode()}
    return {"inline": {"file_name": file.file_name, **inline} if file.file_name else inline}


def read_file(content: object) -> FileRef | None:
    """The file in the API's form; None if it is not one."""
    if not isinstance(content, Mapping) or content.keys() - _MEMBERS:
        return None
    remote, inline = content.get("remote"), content.get("inline")
    if (remote is None) == (inline is None):
        return None
    if remote is not None:
        return FileRef(remote) if isinstance(remote, str) else None
    if not isinstance(inline, Mapping) or inline.keys() - _INLINE:
        return None
    file_name, data = inline.get("file_name"), read_bytes(inline.get("content") or "")
    if data is None or not (file_name is None or isinstance(file_name, str)):
        return None
    return FileRef(None, file_name, data)


def read_bytes(text: object) -> bytes | None:
    """The bytes of base64 text; None for anything else."""
    if not isinstance(text, str):
        return None
    try:
        return base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):  # ValueError: not ASCII
        return None
