"""Models of the platform API: files. Written by .ci/generate_platform.py; do not edit."""

from __future__ import annotations

from datetime import datetime

from kognitos_async.platform_v1.models.base import Model


class FileMetadata(Model, frozen=True, kw_only=True):
    """The API's `v1FileMetadata`."""

    name: str = ""
    """Resource name, server-generated."""
    filename: str = ""
    """E.g. document.pdf."""
    mime_type: str = ""
    """Server-detected."""
    size_bytes: int = 0
    """Bytes, server-calculated."""
    create_time: datetime | None = None
    """When it was created."""


class GenerateDownloadUrlResponse(Model, frozen=True, kw_only=True):
    """The API's `v1GenerateDownloadUrlResponse`."""

    download_uri: str = ""
    """Presigned."""


class GenerateUploadUrlResponse(Model, frozen=True, kw_only=True):
    """The API's `v1GenerateUploadUrlResponse`."""

    upload_uri: str = ""
    """Presigned upload address."""


class UploadFileResponse(Model, frozen=True, kw_only=True):
    """Described as HTTP 201 with a Location header; body is JSON metadata."""

    metadata: FileMetadata | None = None
    """None where the API leaves it out."""
