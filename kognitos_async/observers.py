"""The seam for telemetry: what a client tells its observers. It knows nothing of who listens."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

    from kognitos_async.errors import KognitosError
    from kognitos_async.messages import Request
    from kognitos_async.observed_work import Job, Wait, Work

logger: logging.Logger = logging.getLogger("kognitos_async")


class Observer:
    """Is called by a client at the moments below, in the context (contextvars) of the work.

    `client.observe(observer)` registers one; a subclass overrides what it needs. Calls are synchronous and on
    the way of each request: return at once. An observer that raises is logged once, and the work goes on.
    Requests and errors hold no secrets in their reprs; bodies and queries are not for observers.
    """

    def request_began(self, request: Request) -> object:
        """Note a request, before it waits for a slot; what is returned comes back when it ends."""

    def request_ended(self, began: object, error: BaseException | None) -> None:
        """Note the end of a request: None for an answer that was decoded, else what its caller gets."""

    def attempt_ended(
        self, what: object, number: int, seconds: float, result: int | str | KognitosError
    ) -> None:
        """Note what came of attempt `number` (from 1) of `what`: a status, the error, or a word.

        `what` is the `Request` or the `StoreRequest`; the words are "stored" and "cancelled".
        """

    def retry_planned(self, failure: KognitosError, number: int, delay: float) -> None:
        """Note that attempt `number` failed and that the next follows in `delay` seconds."""

    def paused(self, request: Request, seconds: float) -> None:
        """Note that a 429 to this request makes the whole client pause for so many seconds."""

    def work_began(self, work: Work) -> None:
        """Note that a start, a wait, an upload, a job or another kind of `Work` begins."""

    def work_ended(self, work: Work, error: BaseException | None) -> None:
        """Note the end of a work that began: None if it was done, else what its caller gets."""

    def start_in_doubt(self, asked: object, error: KognitosError) -> None:
        """Note a start whose outcome is not known; `asked` is the request to start a run."""

    def run_changed(self, wait: Wait, run: object) -> None:
        """Note that a wait found its run in another status than before, or for the first time."""

    def run_settled(self, run: object, polls: int) -> None:
        """Note a run that a wait returned, after so many polls that looked for it."""

    def poll_chosen(self, method: str, pending: int) -> None:
        """Note how so many pending runs of one list are polled next: "list" or "single"."""

    def journal_moved(self, job: Job, before: str | None, after: str) -> None:
        """Note that a request of a job with a journal went from one state to the next; None before the first.

        The states are those of `JournalEntry.state`.
        """


class Observers:
    """The observers of one client. `current` is None as long as there is none: all that it then costs."""

    __slots__ = ("_registered", "current")

    def __init__(self) -> None:
        self._registered: list[_Registered] = []
        self.current: Notifier | None = None

    def add(self, observer: Observer) -> Callable[[], None]:
        """A function that ends the observation that begins now.

        Work that is under way is told to those who heard it begin, until it ends.
        """
        registered = _Registered(observer)
        self._registered.append(registered)
        self._renew()

        def remove() -> None:
            if registered in self._registered:
                self._registered.remove(registered)
                self._renew()

        return remove

    def _renew(self) -> None:
        self.current = Notifier(tuple(self._registered)) if self._registered else None


class _Registered:
    """One observer, and whether it has failed before."""

    __slots__ = ("failed", "observer")

    def __init__(self, observer: Observer) -> None:
        self.observer = observer
        self.failed = False

    def tell(self, moment: str, *facts: object) -> object:
        """What the observer returns; None if it raises, which is logged the first time."""
        try:
            return getattr(self.observer, moment)(*facts)
        except Exception:
            if not self.failed:
                self.failed = True
                logger.warning(
                    "observer %s failed in %s; requests go on, its further failures are not logged",
                    type(self.observer).__qualname__,
                    moment,
                    exc_info=True,
                )
            return None


class Notifier(Observer):
    """Tells several observers as if they were one, each only of the moments for which it has a method."""

    __slots__ = ("_hearing",)

    def __init__(self, observers: tuple[_Registered, ...]) -> None:
        self._hearing: dict[str, tuple[_Registered, ...]] = {
            moment: tuple(one for one in observers if _hears(one.observer, moment)) for moment in _MOMENTS
        }

    def _tell(self, moment: str, *facts: object) -> None:
        for observer in self._hearing[moment]:
            observer.tell(moment, *facts)

    def request_began(self, request: Request) -> object:
        """Tell all; what they returned."""
        hearing = self._hearing["request_began"]
        return {observer: observer.tell("request_began", request) for observer in hearing}

    def request_ended(self, began: object, error: BaseException | None) -> None:
        """Tell each with what it returned."""
        if isinstance(began, dict):
            for observer in self._hearing["request_ended"]:
                observer.tell("request_ended", began.get(observer), error)

    def attempt_ended(
        self, what: object, number: int, seconds: float, result: int | str | KognitosError
    ) -> None:
        """Tell all."""
        self._tell("attempt_ended", what, number, seconds, result)

    def retry_planned(self, failure: KognitosError, number: int, delay: float) -> None:
        """Tell all."""
        self._tell("retry_planned", failure, number, delay)

    def paused(self, request: Request, seconds: float) -> None:
        """Tell all."""
        self._tell("paused", request, seconds)

    def work_began(self, work: Work) -> None:
        """Tell all."""
        self._tell("work_began", work)

    def work_ended(self, work: Work, error: BaseException | None) -> None:
        """Tell all."""
        self._tell("work_ended", work, error)

    def start_in_doubt(self, asked: object, error: KognitosError) -> None:
        """Tell all."""
        self._tell("start_in_doubt", asked, error)

    def run_changed(self, wait: Wait, run: object) -> None:
        """Tell all."""
        self._tell("run_changed", wait, run)

    def run_settled(self, run: object, polls: int) -> None:
        """Tell all."""
        self._tell("run_settled", run, polls)

    def poll_chosen(self, method: str, pending: int) -> None:
        """Tell all."""
        self._tell("poll_chosen", method, pending)

    def journal_moved(self, job: Job, before: str | None, after: str) -> None:
        """Tell all."""
        self._tell("journal_moved", job, before, after)


_MOMENTS = tuple(name for name in vars(Observer) if not name.startswith("_"))


def _hears(observer: Observer, moment: str) -> bool:
    """Whether an observer does anything at a moment."""
    method = getattr(observer, moment, None)
    return method is not None and getattr(method, "__func__", method) is not vars(Observer)[moment]
