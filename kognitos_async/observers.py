"""What a client tells an observer: the seam for telemetry, which knows nothing of who listens."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from kognitos_async.errors import KognitosError
    from kognitos_async.messages import Request


class Observer(Protocol):
    """Is called by a client at the moments below, in the context of the caller whose work it is.

    Calls are synchronous and on the way of each request: an observer returns at once and raises nothing.
    Requests and errors hold no secrets in their reprs; bodies and queries are not for observers.
    """

    def request_began(self, request: Request) -> object:
        """Note a request, before it waits for a slot; what is returned comes back when it ends."""

    def request_ended(self, began: object, error: BaseException | None) -> None:
        """Note the end of a request: None for an answer that was decoded, else what its caller gets."""

    def attempt_ended(
        self, what: object, number: int, seconds: float, result: int | str | KognitosError
    ) -> None:
        """Note what came of attempt `number` (from 1) of `what`: a status or the error.

        `what` is the `Request`, or in words what was sent to the file store.
        """

    def retry_planned(self, failure: KognitosError, number: int, delay: float) -> None:
        """Note that attempt `number` failed and that the next follows in `delay` seconds."""

    def start_in_doubt(self, asked: object, error: KognitosError) -> None:
        """Note a start whose outcome is not known; `asked` is the request to start a run."""

    def run_settled(self, run: object, polls: int) -> None:
        """Note a run that a wait returned, after so many polls that looked for it."""

    def poll_chosen(self, method: str, pending: int) -> None:
        """Note how the pending runs of one list are polled next: "list" or "single"."""
