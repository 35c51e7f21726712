"""Files: a presigned form from the API, the content straight to the file store."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qsl, urlsplit

import msgspec

from kognitos_async import checks, retry
from kognitos_async.errors import NotSentError, OutcomeUnknownError, UploadError
from kognitos_async.messages import Request, decoder_for
from kognitos_async.rest_v2.models import FileUpload, UploadedFile
from kognitos_async.uploads.file_store import allowed_headers, objection_to, refusal
from kognitos_async.uploads.multipart import encode_form, framed
from kognitos_async.uploads.sources import Source, name_of, open_source

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Mapping

    from kognitos_async.attempts import Attempts
    from kognitos_async.rest_v2.scope import Scope
    from kognitos_async.sender import Sender
    from kognitos_async.uploads.sources import FileSource

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
    """`client.files`."""

    def __init__(self, sender: Sender, scope: Scope) -> None:
        self._sender = sender
        self._scope = scope

    async def create(self, file_name: str, *, agent_id: str | None = None) -> FileUpload:
        """A presigned form for one upload of `file_name` (1 to 256 characters); `upload` does both steps.

        The agent may be left out where the key belongs to one agent. (create_file)
        """
        return await self._create(file_name, agent_id, None)

    async def _create(self, file_name: str, agent_id: str | None, attempts: Attempts | None) -> FileUpload:
        body: dict[str, Any] = {"file_name": checks.text("file_name", file_name, longest=256)}
        if (agent := agent_id if agent_id is not None else self._scope.agent_id) is not None:
            body["agent_id"] = checks.identifier("agent_id", agent)
        # A second form does no harm, so a lost answer may be asked for again.
        request = Request("POST", "/files", msgspec.json.encode(body), confidential=True)
        return await self._sender.send(request, _FORM, attempts=attempts)

    async def upload(
        self,
        source: FileSource,
        *,
        file_name: str | None = None,
        size: int | None = None,
        agent_id: str | None = None,
        on_progress: Callable[[int, int | None], object] | None = None,
    ) -> UploadedFile:
        """The uploaded file; its `id` goes into `file_ids`. Files up to 1 GB, in constant memory.

        `source` is a path, bytes, a binary file (read from where it stands) or an async iterable of bytes.
        `file_name` defaults to the name of a path or file. `size` in bytes is only needed to stream a
        source of unknown size without writing it to disk first. `on_progress` is told the bytes sent so
        far and the size; a retry starts from 0 again.

        A failure that a fresh form may mend is tried again under the client's `RetryPolicy`, unless the
        source cannot be read twice. `request_timeout` bounds every stretch without progress.

        Raises `UploadError` when the file store refuses or does not answer, what `create` raises, `OSError`
        when the source cannot be read, `TypeError` and `ValueError` for arguments and a wrong `size`.
        """
        name = name_of(source, file_name)
        checks.callback("on_progress", on_progress)
        async with open_source(source, size) as content:
            attempts = self._sender.attempts()
            while True:
                form = await self._create(name, agent_id, attempts)
                failure = await self._send(form, name, content, on_progress)
                attempts.record("upload to the file store", failure or "stored")
                if failure is None:
                    attempts.succeeded()
                    return UploadedFile(id=form.id, file_name=form.file_name, size=content.size)
                readable = content.rewindable or not content.touched
                await attempts.back_off(failure, retryable=readable and _is_transient(failure))

    async def _send(
        self,
        form: FileUpload,
        name: str,
        content: Source,
        on_progress: Callable[[int, int | None], object] | None,
    ) -> UploadError | None:
        """None once the file is stored, else why it is not."""
        method = _checked(form)
        headers = allowed_headers(form.upload_http_headers)
        head = tail = b""
        if form.upload_fields or method == "POST":
            encoded = encode_form(form.upload_fields, name)
            head, tail = encoded.head, encoded.tail
            headers["Content-Type"] = encoded.content_type
        elif kind := _header(form.upload_http_headers, "Content-Type"):
            headers["Content-Type"] = kind
        # The store refuses bodies of unknown length.
        headers["Content-Length"] = str(len(head) + content.size + len(tail))

        def body() -> AsyncIterator[bytes]:
            return framed(content, head, tail, on_progress)

        try:
            answer = await self._sender.transport.send_form(form.upload_url, method, headers, body)
        except (NotSentError, OutcomeUnknownError) as lost:
            failure = UploadError(f"upload of {name!r}: {lost}")
            failure.__cause__ = lost
            return failure
        if 200 <= answer.status < 300:
            return None
        code, message, shown = refusal(answer.body, _presigned(form))
        return UploadError(
            f"upload of {name!r}: the file store answered {answer.status} "
            f"{': '.join(filter(None, (code, message))) or 'without an explanation'}",
            status=answer.status,
            body=shown,
            code=code,
        )


def _is_transient(failure: UploadError) -> bool:
    """Whether sending again with a fresh form may help."""
    return (
        failure.status is None
        or failure.status in retry.RETRYABLE_STATUSES
        or failure.code in _TRANSIENT_CODES
        or (failure.status == 403 and b"expired" in failure.body.lower())
    )


def _checked(form: FileUpload) -> str:
    """The method of a form that may be followed; `UploadError` for one that may not."""
    if (objection := objection_to(form.upload_url)) is not None:
        raise UploadError(f"the API asks to upload to {objection}; nothing was sent")
    method = form.upload_http_method.upper()
    if method not in ("POST", "PUT"):
        raise UploadError(f"the API asks to upload with {method[:20]!r}, not POST or PUT; nothing was sent")
    if not all((name + value).isprintable() for name, value in form.upload_http_headers.items()):
        raise UploadError("the API asks to upload with headers that HTTP does not allow; nothing was sent")
    return method


def _presigned(form: FileUpload) -> list[str]:
    """Everything in a form that lets its holder upload."""
    query = [value for _, value in parse_qsl(urlsplit(form.upload_url).query)]
    return [*form.upload_fields.values(), *form.upload_http_headers.values(), form.upload_url, *query]


def _header(headers: Mapping[str, str], wanted: str) -> str | None:
    return next((value for name, value in headers.items() if name.lower() == wanted.lower()), None)
