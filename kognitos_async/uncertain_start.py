"""Starts whose answer was lost: when a start is in doubt, and what proves presence or absence of its run."""

from __future__ import annotations

import unicodedata
from collections import Counter
from contextlib import contextmanager
from itertools import islice
from typing import TYPE_CHECKING, Any, Generic, NamedTuple, TypeAlias, TypeVar

import msgspec

from kognitos_async.errors import (
    APIStatusError,
    DecodeError,
    KognitosError,
    OutcomeUnknownError,
    StartUncertainError,
)
from kognitos_async.retry import certainly_not_done
from kognitos_async.server_clock import MARGIN, StartWindow

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Hashable, Iterator, Mapping, Sequence

    from kognitos_async.observed_work import Start
    from kognitos_async.server_clock import ServerClock, Span

    BeforeSend: TypeAlias = Callable[[], Awaitable[object]]

K = TypeVar("K")
A = TypeVar("A")
T = TypeVar("T")
R = TypeVar("R")
R_co = TypeVar("R_co", covariant=True)

_REFUSED_LATE = frozenset({303, 408, 460, 499})
"""Statuses below 500 after which the run may have been started."""
MOST_REMEMBERED = 10_000
"""Maximum number of its own runs that a client remembers."""
_SAME_TIME = 0.001
_EXPECTED_FOR = 900.0
"""Seconds for which a list is expected to show a run just started."""
MOST_STARTS = 5
"""Maximum starts of one request; each repeat only after the lost one proved absent."""


class Found(msgspec.Struct, Generic[R_co], frozen=True):
    """The start made this run."""

    run: R_co


class Absent(msgspec.Struct, frozen=True):
    """The start certainly made no run and may be sent again."""


class Undecided(msgspec.Struct, frozen=True):
    """The outcome cannot be determined. `reason` is a clause for a message, `cause` its error, if any."""

    reason: str
    cause: KognitosError | None = None


LookUp: TypeAlias = Found[R] | Absent | Undecided
"""The three answers of a look-up."""


class Answered(NamedTuple, Generic[T]):
    """The answer to a start, the monotonic times between which it was processed, and the attempt's id."""

    value: T
    sent: float
    received: float
    attempts: tuple[str, ...] = ()


async def started(
    clock: ServerClock,
    send: Callable[[BeforeSend], Awaitable[A]],
    read: Callable[[A], T],
    *,
    what: str,
    start: Start,
    before_send: BeforeSend | None,
) -> Answered[T]:
    """Send a start and return its answer as read by `read`.

    `send` awaits the hook it is given right before each attempt. `read` raises `DecodeError` for an answer
    that names no run. `what` names the start in messages, `start.asked` is the `request` of the error. Raises
    `StartUncertainError` when the run may have been started, and what `send` raises when it was not.
    """
    window: StartWindow | None = None
    sent = clock.monotonic()

    async def about_to_send() -> None:
        nonlocal window, sent
        window = None  # if `before_send` raises, nothing is sent and nothing is in doubt
        noted = None if before_send is None else await before_send()
        # A hook that records a window returns it: the attempt must be known by the same one.
        window = noted if isinstance(noted, StartWindow) else clock.window()
        sent = clock.monotonic()

    with start:
        try:
            value = read(await send(about_to_send))
        except (OutcomeUnknownError, APIStatusError, DecodeError) as problem:
            if window is None or not _may_have_started(problem):
                raise
            uncertain = StartUncertainError(
                f"the start of {what} was sent, but its outcome is not known ({problem}). "
                "Find or start the run with start_once(error.request, earlier=error.since), or list the runs "
                "that it may have made with runs.find_started(error.request, since=error.since)",
                request=start.asked,
                since=window.since,
                window=window,
            )
            start.in_doubt(uncertain)
            raise uncertain from problem
        start.run = value
    return Answered(value, sent, clock.monotonic(), () if window is None else window.attempts[-1:])


def _may_have_started(problem: OutcomeUnknownError | APIStatusError | DecodeError) -> bool:
    if isinstance(problem, APIStatusError):
        if certainly_not_done(problem):
            return False
        # A status below 200 is not final: whether the start was refused is not known.
        return problem.status >= 500 or problem.status < 200 or problem.status in _REFUSED_LATE
    return True


def uncertain_error(answer: Undecided, what: str, asked: Any, window: StartWindow) -> StartUncertainError:
    """The error for an undecided look-up."""
    return StartUncertainError(
        f"whether the start of {what} made a run cannot be determined: {answer.reason}. "
        "Check the runs before starting it again",
        request=asked,
        since=window.since,
        window=window,
    )


class OwnStart(NamedTuple):
    """A run that this client started: its list, its name as sent, when, and the ids of the attempts."""

    group: Hashable
    name: str | None
    sent: float
    received: float
    attempts: tuple[str, ...] = ()


class OwnStarts:
    """The last 10,000 runs that one client started, and its starts in doubt."""

    def __init__(self) -> None:
        self._known: dict[str, OwnStart] = {}
        self._unseen: dict[str, OwnStart] = {}
        self._under_way: Counter[Hashable] = Counter()
        self._in_doubt: dict[Hashable, list[StartWindow]] = {}

    def note(self, run_id: str, start: OwnStart) -> None:
        """Record a run by the answer to its start."""
        _keep(self._unseen, run_id, start)
        self.adopt(run_id, start)

    def adopt(self, run_id: str, start: OwnStart) -> None:
        """Record a run found by a look-up."""
        _keep(self._known, run_id, start)

    def recall(self, starts: Mapping[str, OwnStart]) -> None:
        """Record runs that an earlier process started, oldest first. What is known already remains."""
        known = {**starts, **self._known}
        self._known = dict(islice(known.items(), max(0, len(known) - MOST_REMEMBERED), None))

    def unseen(self, run_id: str) -> OwnStart | None:
        """The start of the run when a list shows it for the first time, else None."""
        return self._unseen.pop(run_id, None)

    def get(self, run_id: str) -> OwnStart | None:
        """The start of the run, None if it is not known to be ours."""
        return self._known.get(run_id)

    def latest(self, count: int) -> list[str]:
        """The ids of the runs started last."""
        return list(islice(reversed(self._known), count))

    @contextmanager
    def under_way(self, key: Hashable) -> Iterator[None]:
        """Mark a start of this key as being sent or looked up while the block runs.

        Meanwhile a new run of that key cannot be attributed. A start left in doubt by the block stays marked
        until it is `resolved`.
        """
        self._under_way[key] += 1
        try:
            yield
        except StartUncertainError as error:
            if error.window is not None:
                _keep(self._in_doubt, key, [*self._in_doubt.get(key, ()), error.window])
            raise
        finally:
            self._under_way[key] -= 1
            if not self._under_way[key]:
                del self._under_way[key]

    def are_others_in_doubt(self, key: Hashable, window: StartWindow, *, own: int) -> bool:
        """Whether another start of this key, under way or in doubt, may have made the run.

        `own` is the number of starts under way that belong to the caller.
        """
        if self._under_way[key] > own:
            return True
        in_doubt = self._in_doubt.get(key, ())
        own_attempts = [one for one in in_doubt if set(one.attempts) & set(window.attempts)]
        others = [
            other
            for other in in_doubt
            if other not in own_attempts and other.sent_at <= window.until and window.sent_at <= other.until
        ]
        if own_attempts:
            return bool(others)
        # The caller's own attempt is recognised by its time or by the window recorded before it.
        near = [other for other in others if -_SAME_TIME <= other.sent_at - window.sent_at <= MARGIN]
        return len(others) > len(near) or len({other.attempts for other in near}) > 1

    def window_at(self, key: Hashable, since: float) -> StartWindow | None:
        """The recorded window of the attempt in doubt that was sent at this time, None without one."""
        for window in self._in_doubt.get(key, ()):
            if abs(window.sent_at - since) < _SAME_TIME:
                return window
        return None

    def resolved(self, key: Hashable, window: StartWindow) -> None:
        """Mark the attempts of this window as no longer in doubt."""
        left = [
            other
            for other in self._in_doubt.pop(key, ())
            if not set(other.attempts) & set(window.attempts) and abs(other.sent_at - window.sent_at) > MARGIN
        ]
        if left:
            self._in_doubt[key] = left

    def expected(self, group: Hashable, began: float) -> set[str]:
        """Ids of the recent runs that a list of the group read from `began` on must show."""
        return {
            run_id
            for run_id, start in self._known.items()
            if start.group == group and began - _EXPECTED_FOR <= start.received <= began
        }


def _keep(memory: dict[K, T], key: K, value: T) -> None:
    memory[key] = value
    while len(memory) > MOST_REMEMBERED:
        del memory[next(iter(memory))]


class Candidate(NamedTuple, Generic[R]):
    """A listed run that the start may have made: its id, its stamp, whether all but the time matches."""

    run: R
    run_id: str
    stamp: float
    fits: bool


def decide(
    candidates: Sequence[Candidate[R]],
    span: Span,
    *,
    absence: str | None,
    unexplained_later: bool,
) -> LookUp[R]:
    """The answer of a look-up, from a complete reading of the list. Pure.

    `candidates` are all runs that the start could have made, without those known to belong to other starts.
    `absence` is the reason why an empty list does not prove absence; None if it does. With
    `unexplained_later`, candidates after the likely time also make the answer undecided.
    """
    possible = [one for one in candidates if one.stamp >= span.possible_from]
    likely = [one for one in possible if one.fits and span.likely_from <= one.stamp <= span.likely_until]
    if not unexplained_later:
        possible = [one for one in possible if one.stamp <= span.likely_until]
    if len(likely) == 1 and len(possible) == 1:
        return Found(likely[0].run)
    if not candidates:
        return Absent() if absence is None else Undecided(f"no such run is listed, but {absence}")
    if len(candidates) == 1:
        [only] = candidates
        if only.fits:
            return Undecided(f"run {only.run_id} was created outside the time of this start")
        return Undecided(f"run {only.run_id} resembles it, but may be another's")
    return Undecided(f"{len(candidates)} runs may be it or others', such as {candidates[0].run_id}")


def name_key(name: str) -> str:
    """Comparison key for names a service may store alike: whitespace, case and Unicode forms folded."""
    folded = unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", name).casefold())
    visible = "".join(
        character if character.isspace() or not unicodedata.category(character).startswith("C") else ""
        for character in folded
    )
    return " ".join(visible.split())
