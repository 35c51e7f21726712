"""Files of an organization: upload, download, presigned URLs."""

from __future__ import annotations

import asyncio
import os
import re
from contextlib import asynccontextmanager, suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote, urlsplit

import anyio.to_thread
import msgspec

from kognitos_async import checks, messages
from kognitos_async.errors import DecodeError, KognitosError, TransportError, UploadError
from kognitos_async.messages import Request, Response, StoreRequest, decoder_for
from kognitos_async.observed_work import Upload
from kognitos_async.platform_v1.models.generated import files as models
from kognitos_async.platform_v1.names import FILE, parse_name
from kognitos_async.platform_v1.replaced_file import replaceable, replacing
from kognitos_async.platform_v1.resource import Resource, given
from kognitos_async.platform_v1.values import FileRef
from kognitos_async.secret import Secret
from kognitos_async.uploads.file_store import origin_of, refused, unsafe_url
from kognitos_async.uploads.multipart import Form, encode_form, framed
from kognitos_async.uploads.sources import name_of, opened_in_turn

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, AsyncIterator, Callable
    from contextlib import AbstractAsyncContextManager

    from kognitos_async.attempts import Attempts
    from kognitos_async.platform_v1.names import Name, Named
    from kognitos_async.sender import Sender
    from kognitos_async.transport import Streamed
    from kognitos_async.uploads.sources import Source, UploadSource

_FILE_NAME = re.compile(r"organizations/[^/]+/files/[^/:]+")
_UPLOADED = decoder_for(models.UploadFileResponse, strict=False)
_METADATA = decoder_for(models.FileMetadata, strict=False)


class Download:
    """A download in progress: `async for piece in download`, once."""

    def __init__(self, answer: Streamed, read_timeout: float) -> None:
        length = answer.headers.get("Content-Length", "")
        self.size: int | None = (
            int(length) if length.isdecimal() and "Content-Encoding" not in answer.headers else None
        )
        """Size in bytes; None if unknown."""
        self.content_type: str | None = answer.headers.get("Content-Type")
        """Media type given by the file store; None without one."""
        self._pieces = answer.pieces(read_timeout)

    def __aiter__(self) -> AsyncIterator[bytes]:
        return self._pieces


class Files(Resource):
    """`client.files`. See `PlatformClient` for the errors that every request may raise."""

    async def upload(
        self,
        source: UploadSource,
        *,
        file_name: str | None = None,
        size: int | None = None,
        on_progress: Callable[[int, int | None], object] | None = None,
        organization_id: str | None = None,
    ) -> models.FileMetadata:
        """The metadata of the stored file; `file_ref(metadata)` refers to it in inputs. (UploadFile)

        `source` is a path (also a FIFO or /dev/stdin), bytes, a binary file (read from its current position
        and left open), an async file (Starlette's `UploadFile`, a part of aiohttp's multipart reader), an
        async iterable of bytes (an async generator is closed at the end) or a `FileSource`. `file_name` (1 to
        256 characters) defaults to the name of the source. A source of unknown size is spooled to a temporary
        file, unless `size` states it in bytes. `on_progress` is called with the bytes sent and the total
        size. Memory use is constant.

        At most `max_connections` uploads run at once; a source is opened when its turn comes.
        `request_timeout` bounds each period without progress, not the whole upload. The upload is retried
        only if the previous attempt certainly stored nothing: `OutcomeUnknownError` may leave an extra file.

        Raises what `metadata` raises, with a note naming the file once it is stored; `OSError` if the source
        cannot be read; `UploadError` if it would have to be read twice and cannot; `DecodeError` if the
        answer does not name the file; `TypeError` and `ValueError` for arguments and a wrong `size`.
        """
        name = name_of(source, file_name)
        checks.callback("on_progress", on_progress)
        path = f"{self._scope.organization(organization_id).path}/files:upload"
        opening = opened_in_turn(self._sender, source, size)
        del source  # may be the content itself, and frames show their locals
        with Upload(self._sender.observers) as observed:
            async with opening as content:
                observed.size = content.size
                form = encode_form({"filename": name}, name, part="content")

                def pieces() -> AsyncGenerator[bytes | memoryview]:
                    if content.touched and not content.rewindable:
                        raise UploadError(
                            f"upload of {name!r}: the source was read already and cannot be rewound"
                        )
                    return framed(content, form, on_progress)

                request = Request("POST", path, repeatable=False)
                upload = messages.Upload(str(form.content_type), form.size_with(content), pieces)
                answer = await self._sender.send_upload(request, upload)
        return await self._stored(request, answer)

    async def _stored(self, request: Request, answer: Response) -> models.FileMetadata:
        """The metadata of an uploaded file. The body of a 201 may be less complete than its Location."""
        for decoder in (_UPLOADED, _METADATA):
            with suppress(msgspec.DecodeError, UnicodeDecodeError, RecursionError):
                found = decoder.decode(answer.body)
                stored = found.metadata if isinstance(found, models.UploadFileResponse) else found
                if stored is not None and stored.name:
                    return stored
        name = _name_in(answer.headers.get("Location", ""))
        if name is None:
            raise DecodeError(
                f"{request.method} {request.path}: the file is stored, but the answer does not name it",
                path="$.metadata.name",
                body=self._sender.redactor.clean(answer.body),
            )
        try:
            return await self._send("GET", f"{name.path}/metadata", models.FileMetadata)
        except KognitosError as error:
            error.add_note(f"The file is stored as {name}.")
            raise

    def download(
        self, file: str | Named | FileRef, *, organization_id: str | None = None
    ) -> AbstractAsyncContextManager[Download]:
        """An async context manager over a `Download`: the content in pieces, in constant memory.

        The request is sent on entering the block. `request_timeout` bounds each read without data. A
        connection that breaks during the transfer is not retried: the loop raises `OutcomeUnknownError`.
        Entering raises what `metadata` raises. (DownloadFile)
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
        """The path, once the file is complete. (DownloadFile)

        The content is written to a temporary file in the same folder, which replaces `path` once it is
        complete and durable: `path` never holds a partial file, and a failure leaves nothing behind. A broken
        transfer restarts under the client's `RetryPolicy`. `on_progress` is called with the bytes received
        and the total size (None if unknown). A link stays: the file it leads to is replaced. The mode of an
        existing file is kept. Raises `OSError` if the file cannot be written, and for a folder, a FIFO or a
        device; and what `download` raises.
        """
        target = Path(os.fspath(path))
        checks.callback("on_progress", on_progress)
        request = Request("GET", f"{self._name(file, organization_id).path}:download")
        real = await anyio.to_thread.run_sync(replaceable, target)
        attempts = self._sender.attempts()
        while True:
            try:
                await self._download_once(request, real, on_progress, attempts)
            except TransportError as failure:
                await attempts.back_off(failure, retryable=True, what=request)
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
        async with (
            replacing(target) as file,
            self._sender.stream(request, accept="*/*", attempts=attempts) as answer,
        ):
            download = Download(answer, self._sender.transport.request_timeout)
            received = 0
            async for piece in download:
                await file.call(file.file.write, piece)
                received += len(piece)
                if on_progress is not None:
                    on_progress(received, download.size)

    async def metadata(
        self, file: str | Named | FileRef, *, organization_id: str | None = None
    ) -> models.FileMetadata:
        """The name, size and type of a file. Raises `NotFoundError` if there is none. (GetFileMetadata)"""
        name = self._name(file, organization_id)
        return await self._send("GET", f"{name.path}/metadata", models.FileMetadata)

    async def delete(self, file: str | Named | FileRef, *, organization_id: str | None = None) -> None:
        """Delete the file. Raises `NotFoundError` if there is none. (DeleteFile)"""
        await self._send("DELETE", self._name(file, organization_id).path, None)

    async def generate_upload_url(
        self, *, expire: timedelta | float | None = None, organization_id: str | None = None
    ) -> PresignedUrl:
        """A URL that accepts one PUT of a file, for an hour or `expire` (a timedelta or seconds, at least 1).

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
        """A URL to GET the file from, for an hour or `expire` (a timedelta or seconds, at least 1).

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
        source: UploadSource,
        *,
        size: int | None = None,
        content_type: str = "application/octet-stream",
        on_progress: Callable[[int, int | None], object] | None = None,
    ) -> None:
        """Upload a file to a URL from `generate_upload_url` of this or another client.

        `source`, `size`, `on_progress`, slots and `request_timeout` are those of `upload`. No token is needed
        or sent, and nothing is retried. Raises `UploadError` if the store refuses the file; `TransportError`
        if the answer was lost or came before the whole file was sent; `OSError` if the source cannot be read;
        `TypeError` and `ValueError` for arguments, such as a URL without https.
        """
        target = Secret(_checked(url))
        del url
        checks.callback("on_progress", on_progress)
        if not checks.text("content_type", content_type).isprintable():
            raise ValueError(f"content_type must be printable, got {content_type!r}")
        opening = opened_in_turn(self._sender, source, size)
        del source  # may be the content itself, and frames show their locals
        with Upload(self._sender.observers) as observed:
            async with opening as content:
                observed.size = content.size
                answer = await _put(self._sender, target, content, content_type, on_progress)
        if not 200 <= answer.status < 300:
            raise refused("upload to a presigned URL: the file store answered", answer, [target.reveal()])

    @asynccontextmanager
    async def download_presigned(self, url: PresignedUrl | str) -> AsyncGenerator[Download]:
        """An async context manager over a `Download` from a URL of `generate_download_url`.

        No token is needed or sent. Raises the `APIStatusError` for the store's status, `TransportError`, and
        `TypeError` or `ValueError` for a URL without https.
        """
        target = Secret(_checked(url))
        del url
        transport = self._sender.transport
        async with transport.stream_from_store(target.reveal()) as answer:
            if not 200 <= answer.status < 300:
                raise messages.status_error(
                    Request("GET", "a presigned URL", confidential=True),
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
    """A URL usable without a token. Its `repr` omits the query, which holds the signature."""

    url: str
    """The URL with its signature."""

    def __str__(self) -> str:
        return self.url

    def __repr__(self) -> str:
        return f"PresignedUrl({self.url.partition('?')[0]!r})"

    def __rich_repr__(self) -> list[tuple[str, Any]]:
        return [("url", self.url.partition("?")[0])]


def file_ref(file: models.FileMetadata) -> FileRef:
    """The value that refers to a stored file, for the inputs of an automation."""
    return FileRef(given(file.name, "name"))


def _checked(url: PresignedUrl | str) -> str:
    if not isinstance(url, PresignedUrl | str):
        raise TypeError(f"url must be a PresignedUrl or str, got {type(url).__name__}")
    if (problem := unsafe_url(str(url))) is not None:
        raise ValueError(f"url must be https:// (or http:// on this machine), got {problem}")
    return str(url)


async def _put(
    sender: Sender,
    target: Secret[str],
    content: Source,
    content_type: str,
    on_progress: Callable[[int, int | None], object] | None,
) -> Response:
    headers = {"Content-Type": content_type, "Content-Length": str(content.size)}
    body = framed(content, Form(), on_progress)
    sent = StoreRequest("PUT", origin_of(target.reveal()))
    attempts = sender.single_attempt()
    attempts.begin(asyncio.get_running_loop().time())
    try:
        answer = await sender.transport.send_form(target.reveal(), "PUT", headers, body)
    except TransportError as error:
        attempts.record(sent, error)
        raise
    except asyncio.CancelledError:
        attempts.record(sent, "cancelled")
        raise
    attempts.record(sent, answer.status)
    return answer


def _name_in(location: str) -> Name | None:
    """The name of a file at the end of a URL; None if there is none."""
    try:
        found = _FILE_NAME.search(urlsplit(location).path)
        return None if found is None else parse_name("Location", unquote(found[0]), FILE)
    except ValueError:  # no URL, or none of a file
        return None


def _expiry(expire: timedelta | float | None) -> dict[str, str]:
    seconds = expire.total_seconds() if isinstance(expire, timedelta) else expire
    checked = checks.seconds_or_none("expire", seconds)
    if checked is not None and checked < 1:
        raise ValueError(f"expire must be at least 1 second, got {checked:g}")
    return {} if checked is None else {"expire_duration": f"{int(checked)}s"}
