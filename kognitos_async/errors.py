"""Every error the library raises.

    KognitosError
    ├── ConfigurationError(ValueError)     a setting is missing or cannot be right
    │   └── ClientClosedError(RuntimeError)   used before opening or after closing
    ├── TransportError                     no complete answer
    │   ├── NotSentError                   never reached the API
    │   └── OutcomeUnknownError            sent, the answer was lost
    ├── APIStatusError                     an answer that is not 2xx
    │   ├── BadRequestError                400
    │   ├── AuthenticationError            401
    │   ├── PermissionDeniedError          403
    │   │   └── CapacityError              403: as many runs as the organization may have
    │   ├── NotFoundError                  404
    │   ├── ConflictError                  409
    │   ├── RateLimitError                 429
    │   └── ServerError                    5xx
    ├── DecodeError                        an answer that is not what the API documents
    ├── PaginationError                    pages that would never end
    ├── StartUncertainError                a run that may or may not have been started
    ├── UploadError                        the file store refused or lost a file
    ├── JournalError                       a journal that cannot be used
    ├── RunError                           a run that did not succeed
    │   ├── RunExceptionError              needs a person
    │   ├── RunStoppedError                was stopped
    │   ├── RunFailedError                 failed
    │   ├── AwaitingGuidanceError          needs a person (platform API)
    │   └── UnknownStatusError             a status word this version does not know
    └── WaitTimeoutError(TimeoutError)     not settled in time

All of them survive pickling. Messages name the request, what came back and what to do about it, and never
hold keys, presigned fields or file contents.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

    from kognitos_async.server_clock import StartWindow


class KognitosError(Exception):
    """Base of every error of this library.

    `continuation_token` is set when the error ended a listing: it fetches what had not been yielded.
    """

    continuation_token: str | None = None
    """The token that fetches what a listing had not yielded when the error ended it; else None."""

    def __reduce__(self) -> tuple[Any, ...]:
        return _rebuild, (type(self), self.args, self.__dict__)


def _rebuild(kind: type[KognitosError], args: tuple[Any, ...], state: dict[str, Any]) -> KognitosError:
    error = kind.__new__(kind, *args)
    error.args = args
    error.__dict__.update(state)
    return error


class ConfigurationError(KognitosError, ValueError):
    """A setting is missing or cannot be right; nothing was sent."""


class ClientClosedError(ConfigurationError, RuntimeError):
    """The client was used outside `async with`, or closed while the call was under way."""


class TransportError(KognitosError):
    """No complete answer came back after `attempts` attempts."""

    def __init__(self, message: str, *, attempts: int = 1) -> None:
        super().__init__(message)
        self.attempts = attempts
        """The number of attempts made."""


class NotSentError(TransportError):
    """The request never reached the API: nothing happened there."""


class OutcomeUnknownError(TransportError):
    """The request was sent and its answer lost: it may have been carried out.

    `timed_out` tells an attempt that ran out of time from a broken connection, `too_large` an answer beyond
    the 64 MiB that are read: asking again would not make it smaller.
    """

    def __init__(
        self, message: str, *, attempts: int = 1, timed_out: bool = False, too_large: bool = False
    ) -> None:
        super().__init__(message, attempts=attempts)
        self.timed_out = timed_out
        """Whether the attempt ran out of time; False for a broken connection."""
        self.too_large = too_large
        """Whether the answer was larger than the 64 MiB that are read."""


class APIStatusError(KognitosError):
    """The API, or a proxy before it, answered with a status other than 2xx.

    `message` and `details` are the API's own words where the body carried any; `body` is the start of the
    body with secrets removed; `retry_after` is in seconds.
    """

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
        """The API's own message, empty where the body has none."""
        self.details: tuple[tuple[str, Any], ...] = tuple(details)
        """The API's own details as pairs of kind and content, empty where the body has none."""
        self.body = body
        """The start of the body, secrets removed."""
        self.request_id = request_id
        """The id of the request for the vendor's support; None where no header holds one."""
        self.method = method
        """The HTTP method of the request."""
        self.path = path
        """The path of the request, below the version."""
        self.attempts = attempts
        """The number of attempts made."""
        self.retry_after = retry_after
        """The seconds after which to try again; None where the API does not say."""


class BadRequestError(APIStatusError):
    """400: an argument is wrong; `message` and `details` say which."""


class AuthenticationError(APIStatusError):
    """401: the key is missing, wrong or revoked."""


class PermissionDeniedError(APIStatusError):
    """403: the key may not do this, or the API chose 403 for a wrong key."""


class CapacityError(PermissionDeniedError):
    """403 on a start: the organization has as many runs at once as it may; nothing was started."""


class NotFoundError(APIStatusError):
    """404: no such resource, or not visible with this key and agent."""


class ConflictError(APIStatusError):
    """409: the resource is not in a state that allows this."""


class RateLimitError(APIStatusError):
    """429: more requests than the key is allowed; `retry_after` if the API said when to come back."""


class ServerError(APIStatusError):
    """5xx: the API or a proxy before it failed."""


class DecodeError(KognitosError):
    """A 2xx answer that is not what the API documents.

    `path` is the field at fault (`$.items[0].id`), `$` when the body is not JSON at all, which is what
    `malformed` says; `body` is the start of the body with secrets removed. `undecoded` holds the JSON of the
    items of a page that could not be decoded, where the others could: then `continuation_token` leads behind
    that page (None if it was the last). It is empty for lists whose items may hold credentials.
    """

    def __init__(
        self,
        text: str,
        *,
        path: str,
        body: bytes,
        malformed: bool = False,
        undecoded: tuple[bytes, ...] = (),
    ) -> None:
        super().__init__(text)
        self.path = path
        """The field at fault, such as `$.items[0].id`; `$` when the body is not JSON."""
        self.body = body
        """The start of the body, secrets removed."""
        self.malformed = malformed
        """Whether the body is not JSON at all."""
        self.undecoded = undecoded
        """The JSON of those items of a page that could not be decoded."""


class PaginationError(KognitosError):
    """The API repeated a page token: going on would never end."""


class StartUncertainError(KognitosError):
    """A start was sent and its outcome is not known: the run may exist.

    `client.runs.start_once(error.request, earlier=error.since)` finds its run, or starts it where there is
    certainly none (`client.automations.start_once` of the platform API only finds);
    `client.runs.find_started(error.request, since=error.since)` lists the runs that it may have made.
    `request` is what was asked for, `since` the UTC time just before it was sent; `__cause__` is what went
    wrong. `window` holds what was known of the server's clock then, for the library's own look-ups.
    """

    def __init__(
        self, text: str, *, request: Any, since: datetime, window: StartWindow | None = None
    ) -> None:
        super().__init__(text)
        self.request = request
        """The `RunRequest` or `InvokeRequest` whose outcome is not known."""
        self.since = since
        """The UTC time just before the start was sent."""
        self.window = window
        """What was known of the server's clock then; for the library's own look-ups."""


class UploadError(KognitosError):
    """The file store refused a file, or did not take it in time; `status` is None when no answer came.

    `code` is the store's own word (`EntityTooLarge`, `AccessDenied`), empty when it gave none.
    """

    def __init__(self, text: str, *, status: int | None = None, body: bytes = b"", code: str = "") -> None:
        super().__init__(text)
        self.status = status
        """The HTTP status of the file store; None when no answer came."""
        self.body = body
        """The start of the file store's answer, secrets removed."""
        self.code = code
        """The file store's own code, such as `EntityTooLarge`; empty where it gave none."""


class JournalError(KognitosError):
    """A journal cannot be used: of another job, corrupt, in use, or not writable."""


class RunError(KognitosError):
    """A run settled without success; `run` is the run as last seen."""

    def __init__(self, text: str, *, run: Any) -> None:
        super().__init__(text)
        self.run = run
        """The run as last seen: a `Run` or a `PlatformRun`."""


class RunExceptionError(RunError):
    """The run hit an exception and needs a person."""


class RunStoppedError(RunError):
    """The run was stopped or cancelled."""


class RunFailedError(RunError):
    """The run failed or ran out of time."""


class AwaitingGuidanceError(RunError):
    """The run waits for a person's guidance."""


class UnknownStatusError(RunError):
    """The run stays in a status this version of the library does not know."""


class WaitTimeoutError(KognitosError, TimeoutError):
    """The wait ended before the run settled; `run` is the run as last seen, None if it never was.

    The run itself goes on: wait again with its id.
    """

    def __init__(self, text: str, *, run: Any = None) -> None:
        super().__init__(text)
        self.run = run
        """The run as last seen; None if it never was."""
