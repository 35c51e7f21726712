"""The kinds of work that observers are notified of, each a context manager around the work itself.

A work begins and ends in one task and context, whether it succeeds, fails or is cancelled. Its attributes are
filled in as the work proceeds.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Self

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from types import TracebackType

    from kognitos_async.errors import KognitosError
    from kognitos_async.observers import Notifier, Observers


class Work:
    """One piece of work. Without an observer it costs one attribute check."""

    __slots__ = ("notifier", "observers")

    def __init__(self, observers: Observers) -> None:
        self.observers: Observers = observers
        self.notifier: Notifier | None = None
        """The observers notified of the beginning; None if there were none, and outside the block."""

    def __enter__(self) -> Self:
        self.notifier = notifier = self.observers.current
        if notifier is not None:
            notifier.work_began(self)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        notifier, self.notifier = self.notifier, None
        if notifier is not None:
            notifier.work_ended(self, error)


class Start(Work):
    """One start of a run with its retries; `asked` is the `RunRequest` or `InvokeRequest`."""

    __slots__ = ("asked", "run")

    def __init__(self, observers: Observers, asked: object) -> None:
        super().__init__(observers)
        self.asked: object = asked
        self.run: object = None
        """The run started; None if there is none, or if that is unknown."""

    def in_doubt(self, error: KognitosError) -> None:
        """Notify observers that the run may exist despite the error."""
        if self.notifier is not None:
            self.notifier.start_in_doubt(self.asked, error)


class StartOnce(Start):
    """A run started or found: starts, and look-ups of starts in doubt."""

    __slots__ = ()


class JobRequest(StartOnce):
    """One request of a bulk job, from its entry in the ledger to its outcome."""

    __slots__ = ("attempts", "error", "resumed")

    def __init__(self, observers: Observers, asked: object) -> None:
        super().__init__(observers, asked)
        self.attempts: int = 0
        """Number of starts attempted, including those of earlier processes."""
        self.error: KognitosError | None = None
        """The error of the outcome."""
        self.resumed: bool = False
        """Whether an earlier process had already begun the request, as the journal shows."""


class LookUp(Work):
    """The look-up of a start in doubt, including the delay until its run would be listed."""

    __slots__ = ("answer", "asked")

    def __init__(self, observers: Observers, asked: object) -> None:
        super().__init__(observers)
        self.asked: object = asked
        self.answer: object = None
        """`Found`, `Absent` or `Undecided`."""


class Wait(Work):
    """One wait for one run."""

    __slots__ = ("first", "polls", "run", "run_id", "seen_unsettled", "settled_after")

    def __init__(self, observers: Observers, run_id: str) -> None:
        super().__init__(observers)
        self.run_id: str = run_id
        """The run's id, on the platform API its full name."""
        self.run: Any = None
        """The run as last seen."""
        self.polls: int = 0
        """Number of polls for the run."""
        self.first: bool = False
        """Whether this wait was the first of those for its run to find it settled."""
        self.seen_unsettled: bool = False
        """Whether the run was unsettled when the wait began or later."""
        self.settled_after: float | None = None
        """Seconds from the run's creation to the poll that found it settled, by the server's clock.

        None if it has not settled, was settled when the wait began, or another wait found it first.
        """

    def notifying(self, on_update: Callable[..., object] | None) -> Callable[..., object] | None:
        """The callback for each change of the run: it notifies observers, then calls `on_update`."""
        notifier = self.notifier
        if notifier is None:
            return on_update

        def changed(run: Any) -> None:
            self.run = run
            self.seen_unsettled = self.seen_unsettled or not getattr(run, "settled", True)
            notifier.run_changed(self, run)
            if on_update is not None:
                on_update(run)

        return changed


class Poll(Work):
    """One shared poll: a read of one run ("single"), or a sweep over list pages ("list").

    It serves all of `waits` and runs in an empty context, that of no caller.
    """

    __slots__ = ("_pending", "met", "method")

    def __init__(self, observers: Observers, method: str, pending: Iterable[Any]) -> None:
        super().__init__(observers)
        self.method: str = method
        self._pending = pending
        self.met: int = 0
        """Number of pending runs read."""

    @property
    def waits(self) -> Iterator[Wait]:
        """The waits that the poll serves; without those that began before an observer was registered."""
        for pending in self._pending:
            for waiter in pending.waiters:
                if waiter.watch.observed is not None:
                    yield waiter.watch.observed


class Upload(Work):
    """The upload of one file, including its form and its retries."""

    __slots__ = ("size",)

    def __init__(self, observers: Observers) -> None:
        super().__init__(observers)
        self.size: int | None = None
        """Size of the file in bytes; None until the source is open."""


class Job(Work):
    """One call of `run_many`."""

    __slots__ = ("journaled",)

    def __init__(self, observers: Observers, *, journaled: bool) -> None:
        super().__init__(observers)
        self.journaled: bool = journaled
        """Whether the job has a journal."""

    def moved(self, before: str | None, after: str) -> None:
        """Notify observers of a request's new state in the journal."""
        if self.notifier is not None and self.journaled:
            self.notifier.journal_moved(self, before, after)
