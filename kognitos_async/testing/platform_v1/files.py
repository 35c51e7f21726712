"""Files of the platform API: uploads, downloads, and presigned URLs on this server."""

from __future__ import annotations

import base64
import hmac
import mimetypes
import re
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from aiohttp import BodyPartReader

from kognitos_async.testing.live_view import LiveView
from kognitos_async.testing.platform_v1.handling import ApiError, Ask, Handler, invalid, not_found
from kognitos_async.testing.platform_v1.values import timestamp, to_nanoseconds
from kognitos_async.testing.routing import Call, Reply, Route
from kognitos_async.testing.uploads import (
    BROKEN_MULTIPART,
    CHUNK,
    TOO_LARGE,
    Content,
    TooLargeError,
    chunks_of,
    content_of,
    drain,
    read_content,
    s3_error,
    send_continue,
)

if TYPE_CHECKING:
    from collections.abc import Awaitable, Iterable, Mapping

    from aiohttp import web

    from kognitos_async.testing.clock import Clock
    from kognitos_async.testing.platform_v1.world import PlatformWorld

_LONGEST_NAME = 1024
_DEFAULT_LIFETIME = 3600.0
_DURATION = re.compile(r"(\d{1,9}(?:\.\d{1,9})?)s", re.ASCII)


@dataclass(frozen=True, slots=True)
class EmulatedFile:
    """A file of the organization. `content` is None if it is larger than the server keeps."""

    id: str
    """Last part of the resource name."""
    name: str
    """Full resource name."""
    filename: str
    """File name of the upload."""
    size: int
    """Size in bytes."""
    sha256: str
    """SHA-256 of the content, in hexadecimal."""
    content: bytes | None = field(repr=False)
    """Content; None if it is larger than the server keeps."""
    mime_type: str
    """Media type of the upload."""
    created_ns: int = field(repr=False)
    """Time of the upload, in nanoseconds since 1970."""


class PlatformFiles:
    """Files, their platform API handlers, and presigned URLs below `/_objects`."""

    prefix = "/_objects"
    routes: tuple[Route, ...] = (
        Route("put_object", "PUT", "/_objects/{file}"),
        Route("get_object", "GET", "/_objects/{file}"),
    )

    def __init__(self, world: PlatformWorld, *, max_size: int, keep_limit: int) -> None:
        self.leaks: int = 0
        """Number of requests that carried a key or token, which must never be sent here."""
        self._world = world
        self._clock: Clock = world.clock
        self._max_size = max_size
        self._keep_limit = keep_limit
        self._secret = world.state.secret
        self._files = {file["id"]: EmulatedFile(**file) for file in world.state.load("platform_file")}
        self.files: Mapping[str, EmulatedFile] = LiveView(self._files)

    @property
    def handlers(self) -> Mapping[str, Handler]:
        """Handlers by operationId."""
        return {
            "UploadFile": self._upload,
            "DownloadFile": self._download,
            "GetFileMetadata": lambda ask: Reply(200, _metadata(self._file(ask))),
            "DeleteFile": self._delete,
            "GenerateUploadUrl": self._upload_url,
            "GenerateDownloadUrl": self._download_url,
        }

    def add(self, filename: str, content: bytes) -> EmulatedFile:
        """Add a file as if uploaded earlier."""
        return self._keep(self._new_id(), filename, content_of(content, keep_limit=self._keep_limit))

    def forget(self, file_ids: Iterable[str]) -> None:
        """Remove these files, or all if there are none. Raises `KeyError` for an unknown one."""
        for file_id in tuple(file_ids) or tuple(self._files):
            del self._files[file_id]
            self._world.state.changed("platform_file", file_id, lambda: None)

    def holds(self, name: str) -> bool:
        """Whether a file has this full name."""
        file = self._files.get(name.rpartition("/")[2])
        return file is not None and file.name == name

    def _new_id(self) -> str:
        drawn = self._world.new_id()
        while drawn in self._files:
            drawn = self._world.new_id()
        return drawn

    def _keep(self, file_id: str, filename: str, content: Content) -> EmulatedFile:
        file = EmulatedFile(
            id=file_id,
            name=f"{self._world.organization}/files/{file_id}",
            filename=filename,
            size=content.size,
            sha256=content.sha256,
            content=content.data,
            mime_type=mimetypes.guess_type(filename)[0] or "application/octet-stream",
            created_ns=to_nanoseconds(datetime.now(UTC)),
        )
        self._files[file_id] = file
        self._world.state.changed("platform_file", file_id, lambda: asdict(file))
        return file

    def _file(self, ask: Ask) -> EmulatedFile:
        file = self._files.get(ask.path("file"))
        if file is None:
            raise not_found(f"File {ask.path('file')}")
        return file

    # Operations of the platform API

    async def _upload(self, ask: Ask) -> Reply:
        try:
            filename, content = await self._receive(ask.call.request)
        except ApiError:
            # A peer that is still sending may miss the answer.
            await drain(ask.call.request)
            raise
        file = self._keep(self._new_id(), filename, content)
        return Reply(201, {"metadata": _metadata(file)}, headers={"Location": f"/api/v1/{file.name}"})

    async def _receive(self, request: web.BaseRequest) -> tuple[str, Content]:
        """Both parts of a valid upload. Raises `ApiError` for any other."""
        if request.headers.get("Content-Length") is None:
            raise ApiError(411, "A Content-Length is required")
        if request.content_type != "multipart/form-data":
            raise invalid([("Content-Type", "must be multipart/form-data")])
        await send_continue(request)
        filename: str | None = None
        content: Content | None = None
        try:
            reader = await request.multipart()
            while (part := await reader.next()) is not None:
                name = part.name if isinstance(part, BodyPartReader) else None
                if not isinstance(part, BodyPartReader) or name not in {"filename", "content"}:
                    raise invalid([(str(name), "unknown part; there is filename and content")])
                if (filename if name == "filename" else content) is not None:
                    raise invalid([(name, "given more than once")])
                if name == "filename":
                    filename = await self._take_name(part)
                else:
                    content = await self._take_content(part)
        except BROKEN_MULTIPART as error:
            raise ApiError(400, "The body is not well-formed multipart/form-data") from error
        if not filename:
            raise invalid([("filename", "required")])
        if content is None:
            raise invalid([("content", "required")])
        return filename, content

    async def _take_name(self, part: BodyPartReader) -> str:
        value = bytearray()
        while chunk := await part.read_chunk(CHUNK):
            value += chunk
            if len(value) > _LONGEST_NAME:
                raise invalid([("filename", f"longer than {_LONGEST_NAME} bytes")])
        return value.decode(errors="replace")

    async def _take_content(self, part: BodyPartReader) -> Content:
        try:
            return await read_content(chunks_of(part), max_size=self._max_size, keep_limit=self._keep_limit)
        except TooLargeError as error:
            raise ApiError(413, f"A file holds at most {self._max_size} bytes") from error

    def _download(self, ask: Ask) -> Reply:
        return _whole(self._file(ask), "application/octet-stream")

    def _delete(self, ask: Ask) -> Reply:
        self.forget([self._file(ask).id])
        return Reply(200, {})

    def _upload_url(self, ask: Ask) -> Reply:
        return Reply(200, {"upload_uri": self._presigned(ask, "PUT", self._new_id())})

    def _download_url(self, ask: Ask) -> Reply:
        return Reply(200, {"download_uri": self._presigned(ask, "GET", self._file(ask).id)})

    def _presigned(self, ask: Ask, method: str, file_id: str) -> str:
        given = ask.body.get("expire_duration")
        match = None if given is None else _DURATION.fullmatch(given)
        if given is not None and match is None:
            raise invalid([("expire_duration", "must be seconds such as 3600s")])
        seconds = _DEFAULT_LIFETIME if match is None else float(match[1])
        expires = str(int((self._clock.wall().timestamp() + seconds) * 1000))
        signature = self._sign(method, file_id, expires)
        request = ask.call.request
        return f"{request.scheme}://{request.host}{self.prefix}/{file_id}?expires={expires}&signature={signature}"

    def _sign(self, method: str, file_id: str, expires: str) -> str:
        digest = hmac.digest(self._secret, f"{method} {file_id} {expires}".encode(), "sha256")
        return base64.urlsafe_b64encode(digest).decode().rstrip("=")

    # The object store

    def answer(self, operation: str, call: Call) -> Reply | Awaitable[Reply]:
        """The work of a request to a presigned URL."""
        return self._put_object(call) if operation == "put_object" else self._get_object(call)

    def refuse(self, status: int, message: str, details: Iterable[tuple[str, str]] = ()) -> Reply:
        """An S3 error document."""
        return s3_error(status, message, details)

    def admit(self, request: web.BaseRequest) -> Reply | None:
        """Refuse requests that leak a key or token; the URL is the only authorization."""
        if "x-api-key" in request.headers or "authorization" in request.headers:
            self.leaks += 1
            return self.refuse(400, "Only one auth mechanism allowed", [("Code", "InvalidArgument")])
        return None

    def _refuse_url(self, call: Call) -> Reply | None:
        expires, signature = call.query.get("expires", ""), call.query.get("signature", "")
        right = self._sign(call.request.method, call.path["file"], expires)
        if not hmac.compare_digest(signature.encode(), right.encode()):
            return self.refuse(
                403, "The request signature we calculated does not match", [("Code", "SignatureDoesNotMatch")]
            )
        if self._clock.wall().timestamp() * 1000 > int(expires):
            return self.refuse(403, "Request has expired", [("Code", "AccessDenied")])
        return None

    async def _put_object(self, call: Call) -> Reply:
        request = call.request
        refusal = self._refuse_url(call)
        if refusal is None and request.headers.get("Content-Length") is None:
            code = "MissingContentLength"
            refusal = self.refuse(411, "You must provide the Content-Length HTTP header.", [("Code", code)])
        if refusal is not None:
            await drain(request)
            return refusal
        await send_continue(request)
        try:
            content = await read_content(
                request.content.iter_any(), max_size=self._max_size, keep_limit=self._keep_limit
            )
        except TooLargeError:
            await drain(request)
            return self.refuse(413, TOO_LARGE, [("Code", "EntityTooLarge")])
        file_id = call.path["file"]
        self._keep(file_id, file_id, content)
        return Reply(200, headers={"ETag": f'"{content.sha256[:32]}"'})

    def _get_object(self, call: Call) -> Reply:
        refusal = self._refuse_url(call)
        if refusal is not None:
            return refusal
        file = self._files.get(call.path["file"])
        if file is None:
            return self.refuse(404, "The specified key does not exist")
        try:
            return _whole(file, file.mime_type)
        except ApiError as error:
            return self.refuse(error.status, str(error))


def _whole(file: EmulatedFile, content_type: str) -> Reply:
    """The content. Raises `ApiError` if it was too large to keep."""
    if file.content is None:
        raise not_found(f"The content of {file.id}, larger than this server keeps,")
    return Reply(200, body=file.content, content_type=content_type)


def _metadata(file: EmulatedFile) -> dict[str, Any]:
    return {
        "name": file.name,
        "filename": file.filename,
        "mime_type": file.mime_type,
        "size_bytes": str(file.size),
        "create_time": timestamp(file.created_ns),
    }
