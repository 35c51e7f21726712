"""Every error the library raises.

    KognitosError
    ├── ConfigurationError(ValueError)     a setting is missing or invalid
    │   └── ClientClosedError(RuntimeError)   used before opening or after closing
    ├── TransportError                     no complete answer
    │   ├── NotSentError                   never reached the API
    │   └── OutcomeUnknownError            sent, the answer was lost
    ├── APIStatusError                     an answer that is not 2xx
    │   ├── BadRequestError                400
    │   ├── AuthenticationError            401
    │   ├── PermissionDeniedError          403
    │   │   └── CapacityError              403: the organization has no capacity for another run
    │   ├── NotFoundError                  404
    │   ├── ConflictError                  409
    │   ├── RateLimitError                 429
    │   └── ServerError                    5xx
    ├── DecodeError                        an answer that does not match the API's documentation
    ├── PaginationError                    a listing that would never end
    ├── StartUncertainError                a run that may or may not have been started
    ├── UploadError                        the file store refused or lost a file
    ├── JournalError                       a journal that cannot be used
    ├── MirrorError                        a mirror of the history that cannot be used
    ├── RunError                           a run that did not succeed
    │   ├── RunExceptionError              needs a person
    │   ├── RunStoppedError                was stopped
    │   ├── RunFailedError                 failed
    │   ├── AwaitingGuidanceError          needs a person (platform API)
    │   └── UnknownStatusError             a status unknown to this version
    └── WaitTimeoutError(TimeoutError)     not settled in time

All of them can be pickled. Messages name the request, the result and the remedy; they never contain keys,
presigned fields or file contents.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

    from kognitos_async.server_clock import StartWindow


class KognitosError(Exception):
    """Base of every error of this library."""

    continuation_token: str | None = None
    """The token to resume the listing that the error ended; None for other errors."""

    def __reduce__(self) -> tuple[Any, ...]:
        return _rebuild, (type(self), self.args, self.__dict__)


def _rebuild(kind: type[KognitosError], args: tuple[Any, ...], state: dict[str, Any]) -> KognitosError:
    error = kind.__new__(kind, *args)
    error.args = args
    error.__dict__.update(state)
    return error


class ConfigurationError(KognitosError, ValueError):
    """A setting is missing or invalid; nothing was sent."""


class ClientClosedError(ConfigurationError, RuntimeError):
    """The client was used outside `async with`, or closed during the call."""


class TransportError(KognitosError):
    """No complete answer was received, after all attempts."""

    def __init__(self, message: str, *, attempts: int = 1) -> None:
        super().__init__(message)
        self.attempts = attempts
        """Number of attempts made."""


class NotSentError(TransportError):
    """The request never reached the API and had no effect."""


class OutcomeUnknownError(TransportError):
    """The request was sent, but no complete answer was received: it may have been processed."""

    def __init__(
        self, message: str, *, attempts: int = 1, timed_out: bool = False, too_large: bool = False
    ) -> None:
        super().__init__(message, attempts=attempts)
        self.timed_out = timed_out
        """Whether the attempt timed out; False for a broken connection."""
        self.too_large = too_large
        """Whether the answer exceeded 64 MiB. Such requests are not retried."""


class APIStatusError(KognitosError):
    """The API, or a proxy before it, answered with a status other than 2xx."""

    def __init__(
        self,
        text: str,
        *,
        status: int,
        message: str = "",
        details: Sequence[tuple[str, Any]] = (),
        body: bytes = b"",
        request_id: str | None = None,
        method: str = "",
        path: str = "",
        attempts: int = 1,
        retry_after: float | None = None,
    ) -> None:
        super().__init__(text)
        self.status = status
        """The HTTP status."""
        self.message = message
        """The message in the body, empty if it has none."""
        self.details: tuple[tuple[str, Any], ...] = tuple(details)
        """The details in the body as pairs of kind and content, empty if it has none."""
        self.body = body
        """The first 64 KiB of the body, with secrets removed."""
        self.request_id = request_id
        """The id of the request, for the vendor's support; None if no header holds one."""
        self.method = method
        """The HTTP method of the request."""
        self.path = path
        """The path of the request, below the version."""
        self.attempts = attempts
        """Number of attempts made."""
        self.retry_after = retry_after
        """Seconds to wait before another attempt; None if the API does not say."""


class BadRequestError(APIStatusError):
    """400: an argument is invalid; `message` and `details` say which."""


class AuthenticationError(APIStatusError):
    """401: the key is missing, wrong or revoked."""


class PermissionDeniedError(APIStatusError):
    """403: the key lacks a permission, or is wrong."""


class CapacityError(PermissionDeniedError):
    """403 on a start: the organization has no capacity for another run; nothing was started."""


class NotFoundError(APIStatusError):
    """404: no such resource, or not visible with this key and agent."""


class ConflictError(APIStatusError):
    """409: the state of the resource does not allow the operation."""


class RateLimitError(APIStatusError):
    """429: more requests than the key is allowed."""


class ServerError(APIStatusError):
    """5xx: the API or a proxy before it failed."""


class DecodeError(KognitosError):
    """A 2xx answer that does not match the API's documentation.

    When only some items of a page could not be decoded, `undecoded` holds them and `continuation_token` is
    the token of the next page (None if it was the last).
    """

    def __init__(
        self,
        text: str,
        *,
        path: str,
        body: bytes,
        malformed: bool = False,
        other_resource: bool = False,
        undecoded: tuple[bytes, ...] = (),
    ) -> None:
        super().__init__(text)
        self.path = path
        """The invalid field, such as `$.items[0].id`; `$` for the whole body."""
        self.body = body
        """The first 64 KiB of the body, with secrets removed; empty where it may hold credentials."""
        self.malformed = malformed
        """Whether the body is not JSON, is truncated, or answers another request."""
        self.other_resource = other_resource
        """Whether the answer is about another resource than the one asked for."""
        self.undecoded = undecoded
        """The JSON of the items that could not be decoded; empty where items may hold credentials."""


class PaginationError(KognitosError):
    """The API repeated a page token: the listing would never end."""


class StartUncertainError(KognitosError):
    """The outcome of a start is not known: the run may exist. `__cause__` is the underlying error, if any.

    `client.runs.start_once(error.request, earlier=error.since)` finds the run, or starts it if it provably
    does not exist (`client.automations.start_once` of the platform API only finds it).
    `client.runs.find_started(error.request, since=error.since)` lists the runs that the start may have made.
    """

    def __init__(
        self, text: str, *, request: Any, since: datetime, window: StartWindow | None = None
    ) -> None:
        super().__init__(text)
        self.request = request
        """The `RunRequest` or `InvokeRequest` whose outcome is not known."""
        self.since = since
        """UTC time immediately before the start was sent."""
        self.window = window
        """The time in which the start can have been processed; used by the library's look-ups."""


class UploadError(KognitosError):
    """The file store refused a file, or did not accept it in time."""

    def __init__(self, text: str, *, status: int | None = None, body: bytes = b"", code: str = "") -> None:
        super().__init__(text)
        self.status = status
        """The HTTP status of the file store; None if it sent no answer."""
        self.body = body
        """The start of the file store's answer, with secrets removed."""
        self.code = code
        """The file store's error code, such as `EntityTooLarge`; empty if it sent none."""


class JournalError(KognitosError):
    """A journal cannot be used: it is of another job, corrupt, in use, or not writable."""


class RunError(KognitosError):
    """A run did not succeed."""

    def __init__(self, text: str, *, run: Any) -> None:
        super().__init__(text)
        self.run = run
        """The run as last seen: a `Run` or a `PlatformRun`."""


class RunExceptionError(RunError):
    """The run raised an exception and needs a person."""


class RunStoppedError(RunError):
    """The run was stopped or cancelled."""


class RunFailedError(RunError):
    """The run failed or timed out."""


class AwaitingGuidanceError(RunError):
    """The run waits for a person's guidance."""


class UnknownStatusError(RunError):
    """The run stays in a status unknown to this version of the library."""


class WaitTimeoutError(KognitosError, TimeoutError):
    """The wait timed out before the run settled. The run continues: wait again with `run_id`.

    `run` is the run as last seen. It is None if no poll has read the run: in waits for a mere id or handle,
    and on the platform API after `run_and_wait` too, whose start answers with a reference only.
    """

    def __init__(self, text: str, *, run: Any = None, run_id: str | None = None) -> None:
        super().__init__(text)
        self.run = run
        """The run as last seen; None if it was never seen."""
        self.run_id: str | None = run_id
        """Id of the run, on the platform API its full name."""
