"""Observers of a client: the interface that telemetry implements."""

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
    """Base class of observers. A subclass overrides the methods it needs; `client.observe` registers it.

    The client calls the methods synchronously, in the context (contextvars) of the work: they must return at
    once. An exception is logged once for each observer and has no other effect. Reprs of requests and errors
    hold no secrets; bodies and queries may, so observers must not record them.
    """

    def request_began(self, request: Request) -> object:
        """A request is about to wait for a slot. The return value is passed to `request_ended`."""

    def request_ended(self, began: object, error: BaseException | None) -> None:
        """A request ended: `error` is the exception its caller gets, None on success."""

    def attempt_ended(
        self, what: object, number: int, seconds: float, result: int | str | KognitosError
    ) -> None:
        """Attempt `number` (from 1) of `what`, a `Request` or `StoreRequest`, ended after `seconds`.

        `result` is the HTTP status, the error, "stored" for an upload or "cancelled".
        """

    def retry_planned(self, failure: KognitosError, number: int, delay: float) -> None:
        """Attempt `number` failed; the next follows in `delay` seconds."""

    def paused(self, request: Request, seconds: float) -> None:
        """A 429 to this request pauses all requests of the client for `seconds`."""

    def work_began(self, work: Work) -> None:
        """A start, a wait, an upload, a job or another kind of `Work` begins."""

    def work_ended(self, work: Work, error: BaseException | None) -> None:
        """A `Work` ended: `error` is the exception its caller gets, None on success."""

    def start_in_doubt(self, asked: object, error: KognitosError) -> None:
        """The outcome of a start is not known; `asked` is its `RunRequest` or `InvokeRequest`."""

    def run_changed(self, wait: Wait, run: object) -> None:
        """A wait found its run for the first time, or in another status than before."""

    def run_settled(self, run: object, polls: int) -> None:
        """A wait returned its run, after `polls` polls for it."""

    def poll_chosen(self, method: str, pending: int) -> None:
        """The next poll of `pending` runs of one list is by `method`, "list" or "single"."""

    def journal_moved(self, job: Job, before: str | None, after: str) -> None:
        """A request of a job with a journal changed its state; `before` is None for a new request.

        The states are those of `JournalEntry.state`.
        """


class Observers:
    """The observers of one client. `current` is None without any, so that checking it is the only cost."""

    __slots__ = ("_registered", "current")

    def __init__(self) -> None:
        self._registered: list[_Registered] = []
        self.current: Notifier | None = None

    def add(self, observer: Observer) -> Callable[[], None]:
        """Register an observer; return a function that removes it.

        Work in flight keeps notifying the observers that were registered when it began.
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

    def notify(self, event: str, *facts: object) -> object:
        """The observer's return value; None if it raises, which is logged the first time."""
        try:
            return getattr(self.observer, event)(*facts)
        except Exception:
            if not self.failed:
                self.failed = True
                logger.warning(
                    "observer %s failed in %s; requests continue, and its further failures are not logged",
                    type(self.observer).__qualname__,
                    event,
                    exc_info=True,
                )
            return None


class Notifier(Observer):
    """Notifies several observers; each event goes only to those that override its method."""

    __slots__ = ("_listeners",)

    def __init__(self, observers: tuple[_Registered, ...]) -> None:
        self._listeners: dict[str, tuple[_Registered, ...]] = {
            event: tuple(one for one in observers if _overrides(one.observer, event)) for event in _EVENTS
        }

    def _notify(self, event: str, *facts: object) -> None:
        for observer in self._listeners[event]:
            observer.notify(event, *facts)

    def request_began(self, request: Request) -> object:
        """Notify all observers; return their return values."""
        listeners = self._listeners["request_began"]
        return {observer: observer.notify("request_began", request) for observer in listeners}

    def request_ended(self, began: object, error: BaseException | None) -> None:
        """Notify each observer, with its own return value of `request_began`."""
        if isinstance(began, dict):
            for observer in self._listeners["request_ended"]:
                observer.notify("request_ended", began.get(observer), error)

    def attempt_ended(
        self, what: object, number: int, seconds: float, result: int | str | KognitosError
    ) -> None:
        """Notify all observers."""
        self._notify("attempt_ended", what, number, seconds, result)

    def retry_planned(self, failure: KognitosError, number: int, delay: float) -> None:
        """Notify all observers."""
        self._notify("retry_planned", failure, number, delay)

    def paused(self, request: Request, seconds: float) -> None:
        """Notify all observers."""
        self._notify("paused", request, seconds)

    def work_began(self, work: Work) -> None:
        """Notify all observers."""
        self._notify("work_began", work)

    def work_ended(self, work: Work, error: BaseException | None) -> None:
        """Notify all observers."""
        self._notify("work_ended", work, error)

    def start_in_doubt(self, asked: object, error: KognitosError) -> None:
        """Notify all observers."""
        self._notify("start_in_doubt", asked, error)

    def run_changed(self, wait: Wait, run: object) -> None:
        """Notify all observers."""
        self._notify("run_changed", wait, run)

    def run_settled(self, run: object, polls: int) -> None:
        """Notify all observers."""
        self._notify("run_settled", run, polls)

    def poll_chosen(self, method: str, pending: int) -> None:
        """Notify all observers."""
        self._notify("poll_chosen", method, pending)

    def journal_moved(self, job: Job, before: str | None, after: str) -> None:
        """Notify all observers."""
        self._notify("journal_moved", job, before, after)


_EVENTS = tuple(name for name in vars(Observer) if not name.startswith("_"))


def _overrides(observer: Observer, event: str) -> bool:
    """Whether an observer has a method of its own for an event."""
    method = getattr(observer, event, None)
    return method is not None and getattr(method, "__func__", method) is not vars(Observer)[event]
