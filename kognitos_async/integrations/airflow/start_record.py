"""The record of a task's run in the task state store, and the next step of a try."""

from __future__ import annotations

from datetime import datetime
from hashlib import sha256
from typing import TYPE_CHECKING, Any, Literal

import msgspec

if TYPE_CHECKING:
    from collections.abc import Collection

KEY = "kognitos_run"
"""The key in the task state store."""
LONGEST_NAME = 100

Step = Literal["wait", "finish", "start"]


class StartRecord(msgspec.Struct, frozen=True, kw_only=True):
    """The run of a task instance, kept across tries.

    `sending_at` is when an uncertain attempt was about to be sent, by the clock of its worker. `handle` is
    that of the run, once known. `generation` counts the runs that the task was meant to start: more than one
    after a clearing or a rerun. `max_tries` distinguishes a clearing, which raises it, from a retry, which
    does not.
    """

    generation: int = 1
    max_tries: int
    sending_at: datetime | None = None
    handle: dict[str, Any] | None = None

    def stored(self) -> dict[str, Any]:
        """The record as JSON-ready values."""
        as_json: dict[str, Any] = msgspec.to_builtins(self)
        return as_json


def read_record(stored: object, max_tries: int) -> StartRecord:
    """The stored record, or a new one. Raises `msgspec.ValidationError` for an invalid record."""
    return StartRecord(max_tries=max_tries) if stored is None else msgspec.convert(stored, StartRecord)


def next_step(
    *, status: str, succeeded: bool, settled: bool, ended: bool, cleared: bool, rerun: Collection[str]
) -> Step:
    """What a try does with the run of an earlier one: wait for it, return it, or start another.

    A retry starts another run only if the last one settled in a status in `rerun`. Clearing the task starts
    another one too, unless the last run may still continue.
    """
    if not settled:
        return "wait"
    if not succeeded and status in rerun:
        return "start"
    return "start" if cleared and ended else "finish"


def run_name(prefix: str, identity: tuple[str, str, str, int], generation: int) -> str:
    """The name of the run: `prefix`, shortened to fit 100 characters, and a digest that makes it unique.

    `identity` is dag_id, run_id, task_id and map_index: a task instance has the same name at each try.
    """
    mark = sha256("\0".join(map(str, (*identity, generation))).encode()).hexdigest()[:24]
    return f"{prefix.strip()[: LONGEST_NAME - len(mark) - 1].strip()} {mark}".strip()
