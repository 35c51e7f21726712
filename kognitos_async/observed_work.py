"""The kinds of work that observers are told of, each a context manager around the work itself.

They begin and end in one task and context, and end however the work ends: done, failed or cancelled. Their
attributes say what is known by the time of each notification.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Self

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from types import TracebackType

    from kognitos_async.errors import KognitosError
    from kognitos_async.observers import Notifier, Observers


class Work:
    """One piece of work; without an observer it costs one attribute check."""

    __slots__ = ("observers", "told")

    def __init__(self, observers: Observers) -> None:
        self.observers: Observers = observers
        self.told: Notifier | None = None
        """Who was told of its begin, and is of all the rest; None outside of the block too."""

    def __enter__(self) -> Self:
        self.told = told = self.observers.current
        if told is not None:
            told.work_began(self)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        told, self.told = self.told, None
        if told is not None:
            told.work_ended(self, error)


class Start(Work):
    """One start of a run, with its retries; `asked` is the `RunRequest` or `InvokeRequest`."""

    __slots__ = ("asked", "run")

    def __init__(self, observers: Observers, asked: object) -> None:
        super().__init__(observers)
        self.asked: object = asked
        self.run: object = None
        """The run just started, None if there is none or that is not known."""

    def in_doubt(self, error: KognitosError) -> None:
        """Note that the run may exist all the same."""
        if self.told is not None:
            self.told.start_in_doubt(self.asked, error)


class StartOnce(Start):
    """A run that is started or found: starts, and look-ups of those in doubt."""

    __slots__ = ()


class JobRequest(StartOnce):
    """One request of a bulk job, from its entry in the ledger to its outcome."""

    __slots__ = ("attempts", "error", "resumed")

    def __init__(self, observers: Observers, asked: object) -> None:
        super().__init__(observers, asked)
        self.attempts: int = 0
        """How many starts were tried, those of earlier processes included."""
        self.error: KognitosError | None = None
        """The error of its outcome."""
        self.resumed: bool = False
        """Whether a journal already knew the request."""


class LookUp(Work):
    """The search for the run of a start in doubt, the time included that it may take to appear."""

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
        """How many polls looked for it."""
        self.first: bool = False
        """Whether it is the first of the waits for its run that found it settled."""
        self.seen_unsettled: bool = False
        """Whether the run was under way when the wait began or later: else it had settled before."""
        self.settled_after: float | None = None
        """Seconds from the run's creation to the poll that found it settled, by the server's clock.

        None if it has not settled, had settled before, or another wait found it first.
        """

    def heard(self, on_update: Callable[..., object] | None) -> Callable[..., object] | None:
        """What a watch is to call for each change: `on_update`, after the observers."""
        told = self.told
        if told is None:
            return on_update

        def changed(run: Any) -> None:
            self.run = run
            self.seen_unsettled = self.seen_unsettled or not getattr(run, "settled", True)
            told.run_changed(self, run)
            if on_update is not None:
                on_update(run)

        return changed


class Poll(Work):
    """One reading for shared waits: a run alone ("single"), or a walk through pages of a list ("list").

    It belongs to no caller: it runs in an empty context and serves all of `waits`.
    """

    __slots__ = ("_pending", "met", "method")

    def __init__(self, observers: Observers, method: str, pending: Iterable[Any]) -> None:
        super().__init__(observers)
        self.method: str = method
        self._pending = pending
        self.met: int = 0
        """How many runs that are waited for it has read."""

    @property
    def waits(self) -> Iterator[Wait]:
        """The waits that it serves now, of those that observers were told of."""
        for pending in self._pending:
            for waiter in pending.waiters:
                if waiter.watch.observed is not None:
                    yield waiter.watch.observed


class Upload(Work):
    """The upload of one file, its form and its retries included."""

    __slots__ = ("size",)

    def __init__(self, observers: Observers) -> None:
        super().__init__(observers)
        self.size: int | None = None
        """Bytes to be sent; None until the source is open."""


class Job(Work):
    """One `run_many`."""

    __slots__ = ("journaled",)

    def __init__(self, observers: Observers, *, journaled: bool) -> None:
        super().__init__(observers)
        self.journaled: bool = journaled
        """Whether it has a journal."""

    def moved(self, before: str | None, after: str) -> None:
        """Note that the journal has a request in another state."""
        if self.told is not None and self.journaled:
            self.told.journal_moved(self, before, after)
