"""S3-like file store of REST API v2: presigned POST forms, and the uploads they authorize."""

from __future__ import annotations

import base64
import binascii
import hmac
import mimetypes
import re
import secrets
from dataclasses import asdict, dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, cast

import msgspec
from aiohttp import BodyPartReader

from kognitos_async.testing.live_view import LiveView
from kognitos_async.testing.routing import Call, Reply, Route
from kognitos_async.testing.uploads import (
    BROKEN_MULTIPART,
    CHUNK,
    TOO_LARGE,
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
    from kognitos_async.testing.state import State

BUCKET = "kognitos-uploads"
FORM_FIELDS = ("key", "AWSAccessKeyId", "x-amz-security-token", "policy", "signature", "Content-Type")
"""Fields of a form, in its order."""

_ACCESS_KEY = "ASIAEMULATEDKEY00000"
_EXPIRATION = "%Y-%m-%dT%H:%M:%SZ"
_FIELD_LIMIT = 20_000
"""S3 accepts at most 20 kB of fields before the file."""
_NOT_IN_POLICY = frozenset({"policy", "signature", "AWSAccessKeyId", "file"})


@dataclass(frozen=True, slots=True)
class StoredFile:
    """An uploaded file. `content` is None if it is larger than the server keeps."""

    id: str
    """Id, as in `file_ids`."""
    file_name: str
    """File name of the upload."""
    content_length: int
    """Size in bytes."""
    sha256: str
    """SHA-256 of the content, in hexadecimal."""
    content: bytes | None
    """Content; None if it is larger than the server keeps."""
    content_type: str
    """Media type of the form."""


@dataclass(frozen=True, slots=True)
class UploadForm:
    """A presigned form."""

    file_id: str
    file_name: str
    url: str
    fields: Mapping[str, str]


class StoreError(Exception):
    """An upload that S3 would refuse."""

    def __init__(self, status: int, code: str, message: str) -> None:
        super().__init__(message)
        self.status = status
        self.code = code


class FileStore:
    """Issues forms and accepts uploads below `/_files`."""

    prefix = "/_files"
    routes: tuple[Route, ...] = (Route("upload_file", "POST", "/_files/{bucket}"),)

    def __init__(
        self, clock: Clock, *, lifetime: float, max_size: int, keep_limit: int, state: State
    ) -> None:
        self.leaks: int = 0
        """Number of requests that carried an API key, which must never be sent here."""
        self._clock = clock
        self._lifetime = lifetime
        self._max_size = max_size
        self._keep_limit = keep_limit
        self._secret = state.secret
        self._state = state
        self._forms: dict[str, tuple[str, str]] = {
            form["key"]: (form["file_id"], form["name"]) for form in state.load("form")
        }
        self._files = {file["id"]: StoredFile(**file) for file in state.load("file")}
        self.files: Mapping[str, StoredFile] = LiveView(self._files)

    def answer(self, operation: str, call: Call) -> Awaitable[Reply]:  # noqa: ARG002 - there is but one
        """The work of an upload."""
        return self._upload(call)

    def refuse(self, status: int, message: str, details: Iterable[tuple[str, str]] = ()) -> Reply:
        """An S3 error document."""
        return s3_error(status, message, details)

    def admit(self, request: web.BaseRequest) -> Reply | None:
        """Refuse requests that leak an API key; the form is the only authorization."""
        if "x-api-key" in request.headers or "authorization" in request.headers:
            self.leaks += 1
            return self.refuse(
                400, "An API key must never be sent to the file store", [("Code", "InvalidArgument")]
            )
        return None

    def new_form(self, file_name: str, *, origin: str) -> UploadForm:
        """A form for one file, valid for the lifetime set for this store."""
        name = sanitise(file_name)
        key = f"uploads/{secrets.token_hex(12)}/{name}"
        file_id = f"s3://{BUCKET}/{key}"
        content_type = mimetypes.guess_type(name)[0] or "application/octet-stream"
        token = secrets.token_urlsafe(48)
        expires = self._clock.wall() + timedelta(seconds=self._lifetime)
        policy = {
            # Rounded up to S3's whole seconds: a form must not expire early.
            "expiration": (expires + timedelta(microseconds=999_999)).strftime(_EXPIRATION),
            "conditions": [
                {"bucket": BUCKET},
                {"key": key},
                {"x-amz-security-token": token},
                {"Content-Type": content_type},
                ["content-length-range", 0, self._max_size],
            ],
        }
        encoded = base64.b64encode(msgspec.json.encode(policy)).decode()
        values = (key, _ACCESS_KEY, token, encoded, self._sign(encoded), content_type)
        self._forms[key] = (file_id, name)
        self._state.changed("form", key, lambda: {"key": key, "file_id": file_id, "name": name})
        return UploadForm(
            file_id, name, f"{origin}{self.prefix}/{BUCKET}", dict(zip(FORM_FIELDS, values, strict=True))
        )

    def put(self, file_name: str, content: bytes, file_id: str | None = None) -> StoredFile:
        """Add a file as if uploaded earlier."""
        name = sanitise(file_name)
        kept = content_of(content, keep_limit=self._keep_limit)
        file = StoredFile(
            id=file_id or f"s3://{BUCKET}/uploads/{secrets.token_hex(12)}/{name}",
            file_name=name,
            content_length=kept.size,
            sha256=kept.sha256,
            content=kept.data,
            content_type=mimetypes.guess_type(name)[0] or "application/octet-stream",
        )
        self._keep(file)
        return file

    def forget(self, file_ids: Iterable[str]) -> None:
        """Remove these files, or all if there are none. Raises `KeyError` for an unknown one."""
        for file_id in tuple(file_ids) or tuple(self._files):
            del self._files[file_id]
            self._state.changed("file", file_id, lambda: None)

    def _keep(self, file: StoredFile) -> None:
        self._files[file.id] = file
        self._state.changed("file", file.id, lambda: asdict(file))

    async def _upload(self, call: Call) -> Reply:
        request = call.request
        try:
            if call.path["bucket"] != BUCKET:
                raise StoreError(404, "NoSuchBucket", "The specified bucket does not exist")
            file = await self._receive(request)
        except StoreError as error:
            reply = self.refuse(error.status, str(error), [("Code", error.code)])
            if not await drain(request):
                reply.headers = {"Connection": "close"}
            return reply
        self._keep(file)
        return Reply(204, headers={"ETag": f'"{file.sha256[:32]}"'})

    async def _receive(self, request: web.BaseRequest) -> StoredFile:
        """The file of a valid upload. Raises `StoreError` for any other."""
        if request.headers.get("Content-Length") is None:
            raise StoreError(411, "MissingContentLength", "You must provide the Content-Length HTTP header.")
        if int(request.headers["Content-Length"]) > self._max_size + 2 * _FIELD_LIMIT:
            raise StoreError(400, "EntityTooLarge", TOO_LARGE)
        if request.content_type != "multipart/form-data":
            raise StoreError(
                412, "PreconditionFailed", "Bucket POST must be of the enclosure-type multipart/form-data"
            )
        await send_continue(request)
        fields: dict[str, str] = {}
        left = _FIELD_LIMIT
        file: StoredFile | None = None
        try:
            reader = await request.multipart()
            while (part := await reader.next()) is not None:
                if not isinstance(part, BodyPartReader) or part.name is None:
                    raise StoreError(400, "MalformedPOSTRequest", "A part has no name.")
                if file is not None:
                    raise StoreError(
                        400, "InvalidArgument", "POST requires exactly one file upload per request."
                    )
                if part.name == "file":
                    file = await self._take_file(part, fields)
                    continue
                value = bytearray()
                while chunk := await part.read_chunk(CHUNK):
                    left -= len(chunk)
                    if left < 0:
                        raise StoreError(
                            400, "MaxPostPreDataLengthExceeded", "The fields before the file are too long."
                        )
                    value += chunk
                if part.name in fields:
                    raise StoreError(400, "InvalidArgument", f"The field {part.name} is given twice.")
                fields[part.name] = value.decode(errors="replace")
        except BROKEN_MULTIPART as error:
            raise StoreError(
                400, "MalformedPOSTRequest", "The body is not well-formed multipart/form-data."
            ) from error
        if file is None:
            raise StoreError(400, "InvalidArgument", "POST requires exactly one file upload per request.")
        return file

    async def _take_file(self, part: BodyPartReader, fields: Mapping[str, str]) -> StoredFile:
        largest = self._check(fields)
        file_id, file_name = self._forms[fields["key"]]
        try:
            content = await read_content(chunks_of(part), max_size=largest, keep_limit=self._keep_limit)
        except TooLargeError as error:
            raise StoreError(400, "EntityTooLarge", TOO_LARGE) from error
        return StoredFile(
            file_id, file_name, content.size, content.sha256, content.data, fields["Content-Type"]
        )

    def _check(self, fields: Mapping[str, str]) -> int:
        """The maximum size that these fields allow. Raises `StoreError` if they allow no upload."""
        if "key" not in fields:
            raise StoreError(
                400,
                "InvalidArgument",
                "Bucket POST must contain a field named 'key'. Please check the order of the fields.",
            )
        missing = [name for name in FORM_FIELDS if name not in fields]
        if missing:
            raise StoreError(
                403, "AccessDenied", f"Bucket POST must contain a field named '{missing[0]}' before 'file'."
            )
        if fields["AWSAccessKeyId"] != _ACCESS_KEY:
            raise StoreError(403, "InvalidAccessKeyId", "The AWS Access Key Id you provided does not exist.")
        if not hmac.compare_digest(self._sign(fields["policy"]).encode(), fields["signature"].encode()):
            raise StoreError(
                403, "SignatureDoesNotMatch", "The request signature we calculated does not match."
            )
        try:
            policy = cast("dict[str, Any]", msgspec.json.decode(base64.b64decode(fields["policy"])))
        except (binascii.Error, msgspec.DecodeError) as error:
            raise StoreError(400, "InvalidPolicyDocument", "The policy is not base64 of JSON.") from error
        expires = datetime.strptime(policy["expiration"], _EXPIRATION).replace(tzinfo=UTC)
        if self._clock.wall() > expires:
            raise StoreError(403, "AccessDenied", "Invalid according to Policy: Policy expired.")
        largest = self._max_size
        allowed = set(_NOT_IN_POLICY)
        for condition in policy["conditions"]:
            if isinstance(condition, list):
                largest = int(condition[2])
                continue
            ((name, value),) = cast("dict[str, str]", condition).items()
            allowed.add(name)
            if name != "bucket" and fields.get(name) != value:
                text = f'Invalid according to Policy: Policy Condition failed: ["eq", "${name}", "{value}"]'
                raise StoreError(403, "AccessDenied", text)
        extra = sorted(set(fields) - allowed)
        if extra:
            raise StoreError(
                403, "AccessDenied", f"Invalid according to Policy: Extra input fields: {extra[0]}"
            )
        return largest

    def _sign(self, policy: str) -> str:
        return base64.b64encode(hmac.digest(self._secret, policy.encode(), "sha1")).decode()


def sanitise(file_name: str) -> str:
    """The name as the service stores it: the last path segment, reduced to letters, digits, `.`, `-`, `_`."""
    last = re.split(r"[/\\]", file_name)[-1]
    return re.sub(r"[^A-Za-z0-9._-]+", "_", last).lstrip(".") or "file"
