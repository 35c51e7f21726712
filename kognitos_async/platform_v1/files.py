"""Files of an organization: upload, download, presigned addresses."""

from __future__ import annotations

import os
import re
import secrets
from contextlib import asynccontextmanager, suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import unquote, urlsplit

import anyio.to_thread
import msgspec

from kognitos_async import checks, messages
from kognitos_async.errors import DecodeError, TransportError, UploadError
from kognitos_async.messages import Request, Response, Upload, decoder_for
from kognitos_async.platform_v1.models.base import Model
from kognitos_async.platform_v1.models.generated import files as models
from kognitos_async.platform_v1.names import FILE
from kognitos_async.platform_v1.resource import Resource, given
from kognitos_async.platform_v1.values import FileRef
from kognitos_async.uploads.file_store import objection_to, refusal
from kognitos_async.uploads.multipart import encode_form, framed
from kognitos_async.uploads.sources import name_of, open_source

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, AsyncIterator, Callable
    from contextlib import AbstractAsyncContextManager
    from io import BufferedWriter

    from kognitos_async.attempts import Attempts
    from kognitos_async.platform_v1.names import Name, Named
    from kognitos_async.transport import Streamed
    from kognitos_async.uploads.sources import FileSource

_FILE_NAME = re.compile(r"organizations/[^/]+/files/[^/:]+")
_UPLOADED = decoder_for(models.UploadFileResponse, strict=False)


class Download:
    """A file as it comes: `async for piece in download`, once. `size` is in bytes, None if not told."""

    def __init__(self, answer: Streamed, patience: float) -> None:
        length = answer.headers.get("Content-Length", "")
        self.size = int(length) if length.isdecimal() and "Content-Encoding" not in answer.headers else None
        self.content_type = answer.headers.get("Content-Type")
        self._pieces = answer.pieces(patience)

    def __aiter__(self) -> AsyncIterator[bytes]:
        return self._pieces


class Files(Resource):
    """`client.files`."""

    async def upload(
        self,
        source: FileSource,
        *,
        file_name: str | None = None,
        size: int | None = None,
        on_progress: Callable[[int, int | None], object] | None = None,
        organization_id: str | None = None,
    ) -> models.FileMetadata:
        """The file just uploaded; `file_ref(it)` goes into the inputs of an automation. (UploadFile)

        `source` is a path, bytes, a binary file (read from where it stands) or an async iterable of bytes, in
        constant memory. `file_name` defaults to the name of a path or file. `size` in bytes is only needed to
        stream a source of unknown size without writing it to disk first. `on_progress` is told the bytes sent
        so far and the size.

        It is sent again only when the first try certainly stored nothing: after `OutcomeUnknownError` there
        may be a file more than you know of. `request_timeout` bounds every stretch without progress. Raises
        what `metadata` raises, `OSError` when the source cannot be read, `UploadError` when it would have to
        be read twice and cannot.
        """
        name = name_of(source, file_name)
        checks.callback("on_progress", on_progress)
        path = f"{self._scope.organization(organization_id).path}/files:upload"
        async with open_source(source, size) as content:
            form = encode_form({"filename": name}, name, part="content")

            def pieces() -> AsyncIterator[bytes]:
                if content.touched and not content.rewindable:
                    raise UploadError(
                        f"upload of {name!r}: the source was read already and cannot be rewound"
                    )
                return framed(content, form.head, form.tail, on_progress)

            request = Request("POST", path, repeatable=False)
            size = len(form.head) + content.size + len(form.tail)
            answer = await self._sender.send_upload(request, Upload(form.content_type, size, pieces))
        if answer.body:
            stored = messages.decode(_UPLOADED, request, answer, self._sender.redactor).metadata
            return given(stored, "metadata")
        # A 201 may say no more than where the file is.
        return await self.metadata(_name_in(answer.headers.get("Location", "")))

    def download(
        self, file: str | Named | FileRef, *, organization_id: str | None = None
    ) -> AbstractAsyncContextManager[Download]:
        """An async context manager over a `Download`: the file piece by piece, in constant memory.

        Nothing is sent before the block. `request_timeout` bounds every stretch without a byte. What breaks
        while the file is read is raised by the loop, and not tried again. (DownloadFile)
        """
        path = f"{self._name(file, organization_id).path}:download"
        return self._download(path)

    @asynccontextmanager
    async def _download(self, path: str) -> AsyncGenerator[Download]:
        async with self._sender.stream(Request("GET", path), accept="*/*") as answer:
            yield Download(answer, self._sender.transport.request_timeout)

    async def download_to(
        self,
        file: str | Named | FileRef,
        path: str | os.PathLike[str],
        *,
        on_progress: Callable[[int, int | None], object] | None = None,
        organization_id: str | None = None,
    ) -> Path:
        """The path, once the whole file is there. (DownloadFile)

        It is written beside, under a name of its own, and renamed when it is complete and on disk: nobody
        ever sees half of it, and what was there before stays until then. A transfer that breaks begins again
        under the client's `RetryPolicy`. `on_progress` is told the bytes received so far and the size.
        Raises `OSError` when the file cannot be written, and what `download` raises.
        """
        target = Path(os.fspath(path))
        checks.callback("on_progress", on_progress)
        request = Request("GET", f"{self._name(file, organization_id).path}:download")
        attempts = self._sender.attempts()
        while True:
            try:
                await self._download_once(request, target, on_progress, attempts)
            except TransportError as failure:
                await attempts.back_off(failure, retryable=True)
            else:
                attempts.succeeded()
                return target

    async def _download_once(
        self,
        request: Request,
        target: Path,
        on_progress: Callable[[int, int | None], object] | None,
        attempts: Attempts,
    ) -> None:
        in_thread = anyio.to_thread.run_sync
        # Not in a thread: a cancelled call would not learn of the file that it opens.
        beside = _open_beside(target)
        try:
            async with self._sender.stream(request, accept="*/*", attempts=attempts) as answer:
                download = Download(answer, self._sender.transport.request_timeout)
                received = 0
                async for piece in download:
                    await in_thread(beside.write, piece)
                    received += len(piece)
                    if on_progress is not None:
                        on_progress(received, download.size)
            await in_thread(_finish, beside, target)
        finally:
            _discard(beside)

    async def metadata(
        self, file: str | Named | FileRef, *, organization_id: str | None = None
    ) -> models.FileMetadata:
        """The file's name, size and type. Raises `NotFoundError` if there is none. (GetFileMetadata)"""
        name = self._name(file, organization_id)
        return await self._send("GET", f"{name.path}/metadata", models.FileMetadata)

    async def delete(self, file: str | Named | FileRef, *, organization_id: str | None = None) -> None:
        """Nothing; the file is gone. (DeleteFile)"""
        await self._send("DELETE", self._name(file, organization_id).path, Model)

    async def generate_upload_url(
        self, *, expire: timedelta | float | None = None, organization_id: str | None = None
    ) -> PresignedUrl:
        """An address to which whoever has it may PUT one file, for an hour or `expire` seconds.

        (GenerateUploadUrl)
        """
        path = f"{self._scope.organization(organization_id).path}/files:generateUploadUrl"
        answer = await self._send(
            "POST",
            path,
            models.GenerateUploadUrlResponse,
            body=_expiry(expire),
            repeatable=True,
            confidential=True,
        )
        return PresignedUrl(given(answer.upload_uri, "upload_uri"))

    async def generate_download_url(
        self,
        file: str | Named | FileRef,
        *,
        expire: timedelta | float | None = None,
        organization_id: str | None = None,
    ) -> PresignedUrl:
        """An address at which whoever has it may GET the file, for an hour or `expire` seconds.

        (GenerateDownloadUrl)
        """
        answer = await self._send(
            "POST",
            f"{self._name(file, organization_id).path}:generateDownloadUrl",
            models.GenerateDownloadUrlResponse,
            body=_expiry(expire),
            repeatable=True,
            confidential=True,
        )
        return PresignedUrl(given(answer.download_uri, "download_uri"))

    async def upload_presigned(
        self,
        url: PresignedUrl | str,
        source: FileSource,
        *,
        size: int | None = None,
        content_type: str = "application/octet-stream",
        on_progress: Callable[[int, int | None], object] | None = None,
    ) -> None:
        """Nothing; the file is at the address that `generate_upload_url` gave, here or elsewhere.

        Sources and `size` are those of `upload`. It needs no token and carries none; it is sent once, and may
        be sent again by whoever has the address. Raises `UploadError` when the store refuses it, the errors
        of a lost answer, `OSError` when the source cannot be read, `ValueError` for an address without https.
        """
        address = _checked(url)
        checks.callback("on_progress", on_progress)
        async with open_source(source, size) as content:
            answer = await self._sender.transport.send_form(
                address,
                "PUT",
                {"Content-Type": content_type, "Content-Length": str(content.size)},
                lambda: framed(content, b"", b"", on_progress),
            )
        if not 200 <= answer.status < 300:
            code, message, body = refusal(answer.body, [address])
            raise UploadError(
                f"upload to a presigned address: {answer.status} "
                f"{': '.join(filter(None, (code, message))) or 'without an explanation'}",
                status=answer.status,
                body=body,
                code=code,
            )

    @asynccontextmanager
    async def download_presigned(self, url: PresignedUrl | str) -> AsyncGenerator[Download]:
        """An async context manager over a `Download` from the address that `generate_download_url` gave.

        It needs no token and carries none. Raises the error of its status when the store refuses, the errors
        of a lost answer, `ValueError` for an address without https.
        """
        address = _checked(url)
        transport = self._sender.transport
        async with transport.stream_from_store(address) as answer:
            if not 200 <= answer.status < 300:
                raise messages.error_of(
                    Request("GET", "a presigned address", confidential=True),
                    Response(answer.status, answer.headers, b""),
                    self._sender.redactor,
                    now=datetime.now(UTC),
                    attempts=1,
                )
            yield Download(answer, transport.request_timeout)

    def _name(self, file: str | Named | FileRef, organization_id: str | None) -> Name:
        if isinstance(file, FileRef):
            if file.remote is None:
                raise ValueError("file must be one in Kognitos, got a FileRef that holds its content itself")
            file = file.remote
        return self._scope.resolve("file", file, FILE, organization_id=organization_id)


class PresignedUrl(msgspec.Struct, frozen=True):
    """An address that needs no token: whoever has it may use it, so its query stays out of reprs."""

    url: str

    def __str__(self) -> str:
        return self.url

    def __repr__(self) -> str:
        return f"PresignedUrl({self.url.partition('?')[0]!r})"


def file_ref(file: models.FileMetadata) -> FileRef:
    """The value that stands for a file in the inputs of an automation."""
    return FileRef(given(file.name, "name"))


def _checked(url: PresignedUrl | str) -> str:
    if not isinstance(url, PresignedUrl | str):
        raise TypeError(f"url must be a PresignedUrl or str, got {type(url).__name__}")
    if (objection := objection_to(str(url))) is not None:
        raise ValueError(f"url must be https:// (or http:// on this machine), got {objection}")
    return str(url)


def _name_in(location: str) -> str:
    """The resource name at the end of an address; `DecodeError` if there is none."""
    found = _FILE_NAME.search(urlsplit(location).path)
    if found is None:
        raise DecodeError("the file is stored, but the answer does not name it", path="Location", body=b"")
    return unquote(found[0])


def _expiry(expire: timedelta | float | None) -> dict[str, str]:
    seconds = expire.total_seconds() if isinstance(expire, timedelta) else expire
    checked = checks.seconds_or_none("expire", seconds)
    if checked is not None and checked < 1:
        raise ValueError(f"expire must be at least 1 second, got {checked:g}")
    return {} if checked is None else {"expire_duration": f"{int(checked)}s"}


def _open_beside(target: Path) -> BufferedWriter:
    return target.with_name(f".{target.name[:200]}.{secrets.token_hex(4)}.part").open("xb")


def _discard(beside: BufferedWriter) -> None:
    """Leave nothing behind; where all went well there is nothing any more."""
    beside.close()
    with suppress(FileNotFoundError):
        Path(beside.name).unlink()


def _finish(beside: BufferedWriter, target: Path) -> None:
    beside.flush()
    os.fsync(beside.fileno())
    beside.close()
    Path(beside.name).replace(target)
