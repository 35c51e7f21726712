"""A start whose answer was lost: when it is in doubt, and what proves that its run exists or does not."""

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
    from collections.abc import Awaitable, Callable, Hashable, Iterator, Sequence

    from kognitos_async.server_clock import ServerClock, Span

    BeforeSend: TypeAlias = Callable[[], Awaitable[object]]

K = TypeVar("K")
A = TypeVar("A")
T = TypeVar("T")
R = TypeVar("R")
R_co = TypeVar("R_co", covariant=True)

_REFUSED_LATE = frozenset({303, 408, 460, 499})
"""Statuses below 500 after which the work may have been done all the same."""
_MOST_REMEMBERED = 10_000
_SAME_TIME = 0.001
_EXPECTED_FOR = 900.0
"""Seconds for which a run that was just started is expected in the list."""
MOST_STARTS = 5
"""Maximum starts of one request; each repeat only after the lost one proved absent."""


class Found(msgspec.Struct, Generic[R_co], frozen=True):
    """The look-up's answer: the start made this run."""

    run: R_co


class Absent(msgspec.Struct, frozen=True):
    """The look-up's answer: the start certainly made no run, and may be sent again."""


class Undecided(msgspec.Struct, frozen=True):
    """The look-up's answer: it cannot be told. `reason` is a clause for a message, `cause` what failed."""

    reason: str
    cause: KognitosError | None = None


LookUp: TypeAlias = Found[R] | Absent | Undecided
"""The three answers of a look-up."""


class Answered(NamedTuple, Generic[T]):
    """The answer to a start, and the moments of the monotonic clock between which it was processed."""

    value: T
    sent: float
    received: float


async def started(
    clock: ServerClock,
    send: Callable[[BeforeSend], Awaitable[A]],
    read: Callable[[A], T],
    *,
    what: str,
    asked: Any,
    before_send: BeforeSend | None,
) -> Answered[T]:
    """What `read` makes of the answer to a start; `StartUncertainError` where the run may exist all the same.

    `send` awaits what it is given right before each attempt. `read` raises `DecodeError` for an answer that
    names no run. `what` names the start in the error, and
    `asked` becomes its `request`.
    """
    window: StartWindow | None = None
    sent = clock.monotonic()

    async def about_to_send() -> None:
        nonlocal window, sent
        window = None  # what `before_send` raises is no doubt: the attempt is not made
        noted = None if before_send is None else await before_send()
        # A hook that records the window returns it, so that the attempt is known by that one.
        window = noted if isinstance(noted, StartWindow) else clock.window()
        sent = clock.monotonic()

    try:
        value = read(await send(about_to_send))
    except (OutcomeUnknownError, APIStatusError, DecodeError) as problem:
        if window is None or not _may_have_started(problem):
            raise
        raise StartUncertainError(
            f"the start of {what} was sent, but whether it runs is not known ({problem}). "
            "Start or find it with start_once(error.request, earlier=error.since), or list the runs that it "
            "may have made with runs.find_started(error.request, since=error.since)",
            request=asked,
            since=window.since,
            window=window,
        ) from problem
    return Answered(value, sent, clock.monotonic())


def _may_have_started(problem: OutcomeUnknownError | APIStatusError | DecodeError) -> bool:
    if isinstance(problem, APIStatusError):
        if certainly_not_done(problem):
            return False
        return problem.status >= 500 or problem.status in _REFUSED_LATE
    return True


def uncertain_error(answer: Undecided, what: str, asked: Any, window: StartWindow) -> StartUncertainError:
    """The error for a look-up that cannot tell."""
    return StartUncertainError(
        f"whether the start of {what} made a run cannot be told: {answer.reason}. "
        "Look at the runs themselves before starting it again",
        request=asked,
        since=window.since,
        window=window,
    )


class OwnStart(NamedTuple):
    """A run that this client started: the list it belongs to, its name as sent, and when."""

    group: Hashable
    name: str | None
    sent: float
    received: float


class OwnStarts:
    """What one client has started itself, as far as look-ups need it; the last 10,000 are remembered."""

    def __init__(self) -> None:
        self._known: dict[str, OwnStart] = {}
        self._unseen: dict[str, OwnStart] = {}
        self._under_way: Counter[Hashable] = Counter()
        self._in_doubt: dict[Hashable, list[StartWindow]] = {}

    def note(self, run_id: str, start: OwnStart) -> None:
        """Keep that a start made this run, as its answer said."""
        _keep(self._unseen, run_id, start)
        self.adopt(run_id, start)

    def adopt(self, run_id: str, start: OwnStart) -> None:
        """Keep that a start made this run, as a look-up found."""
        _keep(self._known, run_id, start)

    def unseen(self, run_id: str) -> OwnStart | None:
        """The start that made the run, the first time that it is seen after its answer."""
        return self._unseen.pop(run_id, None)

    def get(self, run_id: str) -> OwnStart | None:
        """The start that made the run, None if it is not known to be ours."""
        return self._known.get(run_id)

    def latest(self, count: int) -> list[str]:
        """The runs started last."""
        return list(islice(reversed(self._known), count))

    @contextmanager
    def under_way(self, key: Hashable) -> Iterator[None]:
        """A start of this key is being sent or looked up in the block: whose a new run is cannot be told.

        One that the block leaves in doubt stays so until it is `resolved`.
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
        """Whether a run may be that of another start of this key than the one of this window.

        `own` of the starts under way are the caller's.
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
        # The attempt in question is known by its time, or by what was recorded just before it.
        near = [other for other in others if -_SAME_TIME <= other.sent_at - window.sent_at <= MARGIN]
        return len(others) > len(near) or len({other.attempts for other in near}) > 1

    def window_at(self, key: Hashable, since: float) -> StartWindow | None:
        """What this client knows of an attempt in doubt that was sent at this very time."""
        for window in self._in_doubt.get(key, ()):
            if abs(window.sent_at - since) < _SAME_TIME:
                return window
        return None

    def resolved(self, key: Hashable, window: StartWindow) -> None:
        """Keep that the attempts of this window are in doubt no more."""
        left = [
            other
            for other in self._in_doubt.pop(key, ())
            if not set(other.attempts) & set(window.attempts) and abs(other.sent_at - window.sent_at) > MARGIN
        ]
        if left:
            self._in_doubt[key] = left

    def expected(self, group: Hashable, began: float) -> set[str]:
        """The runs that a list of the group, read from `began` on, has to show: those just made."""
        expected = set()
        for run_id, start in reversed(self._known.items()):
            if start.received < began - _EXPECTED_FOR:
                break
            if start.group == group and start.received <= began:
                expected.add(run_id)
        return expected


def _keep(memory: dict[K, T], key: K, value: T) -> None:
    memory[key] = value
    while len(memory) > _MOST_REMEMBERED:
        del memory[next(iter(memory))]


class Candidate(NamedTuple, Generic[R]):
    """A run met in the list that may be the one: its id and stamp, and whether it fits in all but time."""

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
    """The answer that the runs met in a complete reading allow. Pure.

    `candidates` are all runs that may be the one in the widest sense, those known to be another's left out.
    `absence` says why their lack proves nothing, None where it does. `unexplained_later` are runs beyond
    the likely time that forbid a choice.
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
    """What is the same for names that a service may keep as one: blanks, case and Unicode forms folded."""
    folded = unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", name).casefold())
    visible = "".join(
        character if character.isspace() or not unicodedata.category(character).startswith("C") else ""
        for character in folded
    )
    return " ".join(visible.split())
