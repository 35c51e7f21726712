"""Values that Python has no type of its own for."""

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
    """A file as a value: `remote` names one in Kognitos, or else `content` is the file itself.

    `(await client.files.upload(...)).ref` is one.
    """

    remote: str | None = None
    """The name of a file that Kognitos holds, such as organizations/o/files/f."""
    file_name: str | None = None
    """The name of a file given by its content."""
    content: bytes | None = None
    """The bytes of the file itself."""

    def __repr__(self) -> str:
        size = "" if self.content is None else f", {len(self.content)} bytes"
        return f"FileRef({self.remote!r}, file_name={self.file_name!r}{size})"


class UnknownValue(msgspec.Struct, frozen=True):
    """A value without an exact counterpart in Python, or of a kind this version does not know."""

    raw: dict[str, Any]
    """Its JSON object as it came; `to_value` gives it back unchanged."""


def write_file(file: FileRef) -> dict[str, Any]:
    """A file in the API's form; `ValueError` unless it has either a remote name or a content."""
    if (file.remote is None) == (file.content is None):
        raise ValueError("a FileRef must have either a remote name or a content")
    if file.content is None:
        return {"remote": checks.text("FileRef.remote", file.remote)}
    inline = {"content": base64.b64encode(file.content).decode()}
    return {"inline": {"file_name": file.file_name, **inline} if file.file_name else inline}


def read_file(content: object) -> FileRef | None:
    """The file in the API's form; None for what is not one."""
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
    """The bytes of base64 text; None for what is none."""
    if not isinstance(text, str):
        return None
    try:
        return base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):  # ValueError: text beyond ASCII
        return None
