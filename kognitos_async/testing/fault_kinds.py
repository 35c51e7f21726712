"""The kinds of faults, as the dispatcher tells them apart. `faults` makes them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    from collections.abc import Callable

    from kognitos_async.testing.routing import PageMarks

Headers = tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True)
class Refusal:
    """An error answer in the form of the API that was asked."""

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
    """The connection breaks (TCP RST) without an answer."""

    name: str
    after_work: bool


@dataclass(frozen=True, slots=True)
class Hang:
    """Nothing is answered for `seconds`, then the connection breaks."""

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
    """The real answer, broken off half way."""

    name: str = "cut_body"
    after_work: bool = True


@dataclass(frozen=True, slots=True)
class Drip:
    """The real answer, its body spread over `seconds` in `chunks` pieces."""

    name: str
    seconds: float
    chunks: int
    after_work: bool = True


@dataclass(frozen=True, slots=True)
class Endless:
    """A body without an end."""

    name: str = "endless_body"
    after_work: bool = True


@dataclass(frozen=True, slots=True)
class Stream:
    """An event stream that skips what was there when it opened, or goes silent or breaks after `limit` lines.

    Answers that are no event stream pass.
    """

    name: str
    replay: bool = True
    limit: int | None = None
    end: Literal["silence", "break"] = "break"
    after_work: bool = True


@dataclass(frozen=True, slots=True)
class Afterwards:
    """The real answer, and after `seconds` these bytes on its connection, or its end if there are none."""

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
    """What a rewrite may look at beside the payload."""

    page: PageMarks | None
    earlier_tokens: tuple[str, ...]
    """Tokens this listing was asked for with before, oldest first."""


@dataclass(frozen=True, slots=True)
class Rewrite:
    """The real answer with its JSON changed. `change` returns None where the change does not fit."""

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
"""What `KognitosServer.misbehave` takes; made by the functions of `kognitos_async.testing.faults`."""
