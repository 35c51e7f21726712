"""What the task state store remembers of a task's run, and what a try of the task does next."""

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
    """The run of a task instance, as far as it is known: kept over its tries.

    `sending_at` is when the attempt that is in doubt was about to be sent, by the clock of that worker.
    `handle` is what to wait for once the run is known. `generation` counts the runs that the task was meant
    to start: more than one after it was cleared or a retry was to run it again. `max_tries` tells a retry,
    which leaves it alone, from a clearing, which raises it.
    """

    generation: int = 1
    max_tries: int
    sending_at: datetime | None = None
    handle: dict[str, Any] | None = None

    def stored(self) -> dict[str, Any]:
        """JSON-ready."""
        as_json: dict[str, Any] = msgspec.to_builtins(self)
        return as_json


def read_record(stored: object, max_tries: int) -> StartRecord:
    """The record as stored, or the first one. Raises `msgspec.ValidationError` for anything else."""
    return StartRecord(max_tries=max_tries) if stored is None else msgspec.convert(stored, StartRecord)


def next_step(
    *, status: str, succeeded: bool, settled: bool, ended: bool, cleared: bool, rerun: Collection[str]
) -> Step:
    """What a try does about the run that an earlier one has left: wait, take it as it is, or start another.

    A retry never starts another run for one that succeeded, or that settled in a status not in `rerun`. A
    person who clears the task wants it done again, but a run that may still go on is not left behind.
    """
    if not settled:
        return "wait"
    if not succeeded and status in rerun:
        return "start"
    return "start" if cleared and ended else "finish"


def run_name(prefix: str, identity: tuple[str, str, str, int], generation: int) -> str:
    """The name of the run: of `prefix` as much as fits in 100 characters, then what makes it unique.

    `identity` is dag_id, run_id, task_id and map_index: the same task instance has the same name at each try.
    """
    mark = sha256("\0".join(map(str, (*identity, generation))).encode()).hexdigest()[:24]
    return f"{prefix.strip()[: LONGEST_NAME - len(mark) - 1].strip()} {mark}".strip()
