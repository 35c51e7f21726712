"""Placeholders in the JSON of a request for files not uploaded yet, later replaced by file ids."""

from __future__ import annotations

import os
import secrets
from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from kognitos_async.uploads.sources import FileSource

_PREFIX = "upload:"


def file_sources(files: object) -> tuple[FileSource, ...]:
    """The files of a request. Raises `TypeError` for anything but paths and `FileSource`."""
    if files is None:
        return ()
    if isinstance(files, str | bytes | os.PathLike | FileSource) or not isinstance(files, Sequence):
        raise TypeError(f"files must be a sequence of paths or FileSource, got {type(files).__name__}")
    found = []
    for file in files:
        if not isinstance(file, str | os.PathLike | FileSource):
            raise TypeError(f"files must be paths or FileSource, got an item of type {type(file).__name__}")
        found.append(file if isinstance(file, FileSource) else FileSource(file))
    return tuple(found)


def placeholder() -> str:
    """A random placeholder for one file of one request."""
    return f"{_PREFIX}{secrets.token_hex(16)}"


def content_mark(content_hash: str, name: str) -> str:
    """The placeholder for every file of this content (SHA-256) and name."""
    return f"{_PREFIX}sha256:{content_hash}:{name}"


def replaced(record: bytes, texts: Mapping[str, str]) -> bytes:
    """The JSON of a request with each string value that is a key of `texts` replaced."""
    return msgspec.json.encode(_replaced(msgspec.json.decode(record), texts)) if texts else record


def _replaced(value: Any, texts: Mapping[str, str]) -> Any:
    if isinstance(value, str):
        return texts.get(value, value)
    if isinstance(value, list):
        return [_replaced(item, texts) for item in value]
    if isinstance(value, dict):
        return {name: _replaced(member, texts) for name, member in value.items()}
    return value


def marks_in(record: bytes) -> list[str]:
    """The content marks in the JSON of a request."""
    if b'"upload:sha256:' not in record:
        return []
    found: list[str] = []

    def look(value: Any) -> None:
        if isinstance(value, str):
            if value.startswith(f"{_PREFIX}sha256:"):
                found.append(value)
        elif isinstance(value, list | dict):
            for member in value.values() if isinstance(value, dict) else value:
                look(member)

    look(msgspec.json.decode(record))
    return found
