"""Kinds of faults, as the dispatcher distinguishes them. `faults` creates them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    from collections.abc import Callable

    from kognitos_async.testing.routing import PageMarks

Headers = tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True)
class Refusal:
    """An error answer in the form of the requested API."""

    name: str
    status: int
    message: str
    headers: Headers = ()
    after_work: bool = False


@dataclass(frozen=True, slots=True)
class Answer:
    """Fixed bytes instead of the answer."""

    name: str
    status: int
    body: bytes | Callable[[], bytes]
    headers: Headers = ()
    after_work: bool = False


@dataclass(frozen=True, slots=True)
class Reset:
    """A connection reset (TCP RST) without an answer."""

    name: str
    after_work: bool


@dataclass(frozen=True, slots=True)
class Hang:
    """No answer for `seconds`, then a reset."""

    name: str
    seconds: float
    after_work: bool


@dataclass(frozen=True, slots=True)
class Delay:
    """The real answer after `seconds`; the work is done before them, or after them if `work_last`."""

    name: str
    seconds: float
    work_last: bool
    after_work: bool = True


@dataclass(frozen=True, slots=True)
class Cut:
    """The real answer, cut off halfway."""

    name: str = "cut_body"
    after_work: bool = True


@dataclass(frozen=True, slots=True)
class Drip:
    """The real answer with its body in `chunks` pieces over `seconds`."""

    name: str
    seconds: float
    chunks: int
    after_work: bool = True


@dataclass(frozen=True, slots=True)
class Endless:
    """An endless body."""

    name: str = "endless_body"
    after_work: bool = True


@dataclass(frozen=True, slots=True)
class Stream:
    """An event stream without the events at its opening, or one that stalls or breaks after `limit` lines.

    Other answers are unaffected.
    """

    name: str
    replay: bool = True
    limit: int | None = None
    end: Literal["silence", "break"] = "break"
    after_work: bool = True


@dataclass(frozen=True, slots=True)
class Afterwards:
    """The real answer, then after `seconds` these bytes on its connection, or its end without any."""

    name: str
    seconds: float
    data: bytes = b""
    after_work: bool = True


@dataclass(frozen=True, slots=True)
class MoreHeaders:
    """The real answer with these headers added or replaced."""

    name: str
    headers: Headers
    after_work: bool = True


@dataclass(frozen=True, slots=True)
class Asked:
    """What a rewrite knows beside the payload."""

    page: PageMarks | None
    earlier_tokens: tuple[str, ...]
    """Tokens with which this listing was requested before, oldest first."""


@dataclass(frozen=True, slots=True)
class Rewrite:
    """The real answer with changed JSON. `change` returns None if it does not apply."""

    name: str
    change: Callable[[Any, Asked], Any]
    after_work: bool = True


Fault = (
    Refusal
    | Answer
    | Reset
    | Hang
    | Delay
    | Cut
    | Drip
    | Endless
    | Stream
    | Afterwards
    | MoreHeaders
    | Rewrite
)
"""A fault for `KognitosServer.misbehave`, made by a function of `kognitos_async.testing.faults`."""
