"""Files of REST API v2: a presigned form from the API, then the upload straight to the file store."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qsl, urlsplit

import msgspec

from kognitos_async import checks, retry
from kognitos_async.errors import NotSentError, OutcomeUnknownError, UploadError
from kognitos_async.messages import Request, StoreRequest, decoder_for
from kognitos_async.observed_work import Upload
from kognitos_async.rest_v2.models import FileUpload, UploadedFile
from kognitos_async.uploads.file_store import allowed_headers, origin_of, refused, unsafe_url
from kognitos_async.uploads.multipart import Form, encode_form, framed
from kognitos_async.uploads.sources import Source, name_of, opened_in_turn

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from kognitos_async.rest_v2.scope import Scope
    from kognitos_async.sender import Sender
    from kognitos_async.uploads.sources import UploadSource

_FORM = decoder_for(FileUpload)
_TRANSIENT_CODES = frozenset(
    {
        "InternalError",
        "ServiceUnavailable",
        "SlowDown",
        "RequestTimeout",
        "ExpiredToken",
        "RequestTimeTooSkewed",
    }
)


class Files:
    """`client.files`. See `KognitosClient` for the errors that every request may raise."""

    def __init__(self, sender: Sender, scope: Scope) -> None:
        self._sender = sender
        self._scope = scope

    async def create(self, file_name: str, *, agent_id: str | None = None) -> FileUpload:
        """A presigned form for one upload of `file_name` (1 to 256 characters), valid for about 5 minutes.

        Most programs call `upload`, which does both steps. `agent_id` may be omitted if the key belongs to
        one agent. Raises `APIStatusError`, `TransportError`, and `TypeError` or `ValueError` for arguments.
        (create_file)
        """
        return await self._sender.send(self._form_request(file_name, agent_id), _FORM)

    def _form_request(self, file_name: str, agent_id: str | None) -> Request:
        body: dict[str, Any] = {"file_name": checks.text("file_name", file_name, longest=256)}
        if (agent := agent_id if agent_id is not None else self._scope.agent_id) is not None:
            body["agent_id"] = checks.identifier("agent_id", agent)
        # Repeatable: an unused form has no effect.
        return Request("POST", "/files", msgspec.json.encode(body), confidential=True)

    async def upload(
        self,
        source: UploadSource,
        *,
        file_name: str | None = None,
        size: int | None = None,
        agent_id: str | None = None,
        on_progress: Callable[[int, int | None], object] | None = None,
    ) -> UploadedFile:
        """The uploaded file; pass its `id` in `file_ids`. Up to 1 GB, in constant memory. (create_file)

        `source` is a path (also a FIFO or /dev/stdin), bytes, a binary file (read from its current position
        and left open), an async file (Starlette's `UploadFile`, a part of aiohttp's multipart reader), an
        async iterable of bytes (an async generator is closed at the end) or a `FileSource`. `file_name` (1 to
        256 characters) defaults to the name of the source. A source of unknown size is spooled to a temporary
        file, unless `size` states it in bytes. `on_progress` is called with the bytes sent and the total
        size; a retry restarts at 0.

        At most `max_connections` uploads run at once; a source is opened when its turn comes.
        `request_timeout` bounds each period without progress, not the whole upload. Transient failures are
        retried under the client's `RetryPolicy`, each time with a new form and the source from its start; a
        source that cannot be rewound is sent once.

        Raises `UploadError` if the file store refuses the file, does not answer, or answers before it has
        received everything; what `create` raises; `OSError` if the source cannot be read; `TypeError` and
        `ValueError` for arguments, a wrong `size` included; `ClientClosedError`.
        """
        name = name_of(source, file_name)
        checks.callback("on_progress", on_progress)
        request = self._form_request(name, agent_id)
        opening = opened_in_turn(self._sender, source, size)
        del source  # may be the content itself, and frames show their locals
        with Upload(self._sender.observers) as observed:
            async with opening as content:
                observed.size = content.size
                attempts = self._sender.attempts()
                while True:
                    form = await self._sender.send(request, _FORM, attempts=attempts)
                    sent = StoreRequest(form.upload_http_method.upper(), origin_of(form.upload_url))
                    attempts.restart_timer()
                    try:
                        failure = await self._send(form, name, content, on_progress)
                    except asyncio.CancelledError:
                        attempts.record(sent, "cancelled")
                        raise
                    attempts.record(sent, failure or "stored")
                    if failure is None:
                        attempts.succeeded()
                        return UploadedFile(id=form.id, file_name=form.file_name, size=content.size)
                    readable = content.rewindable or not content.touched
                    retryable = readable and _is_transient(failure)
                    await attempts.back_off(failure, retryable=retryable, what=sent)

    async def _send(
        self,
        form: FileUpload,
        name: str,
        content: Source,
        on_progress: Callable[[int, int | None], object] | None,
    ) -> UploadError | None:
        """Send the file once: None if it is stored, else the error."""
        method = _checked(form)
        if form.upload_fields or method == "POST":
            body = encode_form(form.upload_fields, name)
        else:
            body = Form(_header(form.upload_http_headers, "Content-Type"))
        try:
            answer = await self._sender.transport.send_form(
                form.upload_url,
                method,
                _headers(form, body, body.size_with(content)),  # no local: tracebacks would show it
                framed(content, body, on_progress),
            )
        except (NotSentError, OutcomeUnknownError) as lost:
            failure = UploadError(f"upload of {name!r}: {lost}")
            failure.__cause__ = lost
            return failure
        if 200 <= answer.status < 300:
            return None
        return refused(f"upload of {name!r}: the file store answered", answer, _presigned(form))


def _is_transient(failure: UploadError) -> bool:
    """Whether a retry with a new form may succeed."""
    return (
        failure.status is None
        or failure.status in retry.RETRYABLE_STATUSES
        or failure.code in _TRANSIENT_CODES
        or (failure.status == 403 and b"expired" in failure.body.lower())
    )


def _checked(form: FileUpload) -> str:
    """The form's method. Raises `UploadError` for a form that is not safe to follow."""
    if (problem := unsafe_url(form.upload_url)) is not None:
        raise UploadError(f"the API's upload form points to {problem}; nothing was sent")
    method = form.upload_http_method.upper()
    if method not in ("POST", "PUT"):
        raise UploadError(
            f"the API's upload form must use POST or PUT, got {method[:20]!r}; nothing was sent"
        )
    if not all((name + value).isprintable() for name, value in form.upload_http_headers.items()):
        raise UploadError("the API's upload form has headers that HTTP does not allow; nothing was sent")
    return method


def _headers(form: FileUpload, body: Form, size: int) -> dict[str, str]:
    headers = allowed_headers(form.upload_http_headers)
    if body.content_type is not None:
        headers["Content-Type"] = body.content_type
    # The store refuses a chunked body.
    return {**headers, "Content-Length": str(size)}


def _presigned(form: FileUpload) -> list[str]:
    """All values of a form that authorize an upload; they must not appear in errors."""
    query = [value for _, value in parse_qsl(urlsplit(form.upload_url).query)]
    return [*form.upload_fields.values(), *form.upload_http_headers.values(), form.upload_url, *query]


def _header(headers: Mapping[str, str], wanted: str) -> str | None:
    return next((value for name, value in headers.items() if name.lower() == wanted.lower()), None)
