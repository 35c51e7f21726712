"""Data of the emulated REST API v2: processes, runs, their order, the capacity."""

from __future__ import annotations

import hashlib
import heapq
import math
import random
import threading
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, fields
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import msgspec

from kognitos_async.testing.keyset import Keyset, Ranking
from kognitos_async.testing.live_view import LiveView
from kognitos_async.testing.schedule import REST_V2_WORDS, SETTLED_WORDS, Course, Schedule
from kognitos_async.testing.state import Record, State, Transient, fields_of

if TYPE_CHECKING:
    from kognitos_async.testing.clock import Clock
    from kognitos_async.testing.tokens import Key

Scalar = str | int | float
Facts = Mapping[str, Scalar] | Sequence[Mapping[str, Scalar]]
"""Inputs or outputs: `{name: value}`, or the API's list of `{"name", "value"}`."""

STAGES = ("Draft", "Published")
_ID_LETTERS = "abcdefghijklmnopqrstuvwxyz0123456789"
_ID_LENGTH = 25
_LARGEST_TOTAL = 2**53


@dataclass(frozen=True, slots=True)
class EmulatedProcess:
    """An item of the process list: a process in one stage."""

    id: str
    """Id of the process."""
    name: str
    """Display name."""
    stage: str
    """Draft or Published."""
    agent_id: str
    """Id of the agent that the process belongs to."""


@dataclass(slots=True, eq=False, kw_only=True)
class EmulatedRun:
    """A run. Its status is computed on access."""

    id: str
    """Id of the run."""
    name: str
    """Name given at the start."""
    process_id: str
    """Id of the process."""
    agent_id: str
    """Id of the agent that the process belongs to."""
    stage: str
    """Draft or Published."""
    inputs: tuple[tuple[str, Scalar], ...]
    """Inputs as pairs of name and value."""
    file_ids: tuple[str, ...]
    """Ids of the files given at the start."""
    created_at: datetime
    """Time of creation, timezone-aware and in UTC."""
    number: int = field(repr=False)
    """Number of the run on this server, from 0."""
    _clock: Clock = field(repr=False)
    started: float = field(repr=False)
    """Server time of the start."""
    _course: Course = field(repr=False)
    _word: str | None = field(default=None, repr=False)
    _outputs: tuple[tuple[str, Scalar], ...] | None = field(default=None, repr=False)

    @property
    def status(self) -> str:
        """The current status."""
        if self._word is not None:
            return self._word
        word = self._course.status(self._clock.now() - self.started)
        return REST_V2_WORDS.get(word, word)

    @property
    def settles_at(self) -> float:
        """Server time at which the schedule settles it, in seconds."""
        return self.started + self._course.settled_after

    @property
    def settles_in(self) -> str:
        """Status in which the schedule settles it."""
        return REST_V2_WORDS.get(self._course.outcome, self._course.outcome)

    @property
    def pinned(self) -> bool:
        """Whether its status was set by hand."""
        return self._word is not None

    @property
    def outputs(self) -> list[dict[str, Scalar]] | None:
        """Outputs of a succeeded run in the API's form; None for any other run."""
        if self.status != "Succeeded":
            return None
        facts = self._derived_outputs() if self._outputs is None else self._outputs
        return [{"name": name, "value": value} for name, value in facts]

    def pin(self, word: str, outputs: Facts | None) -> None:
        """Set the status by hand; the schedule no longer moves this run."""
        self._word = word
        if outputs is not None:
            self._outputs = as_pairs(outputs)

    def _derived_outputs(self) -> tuple[tuple[str, Scalar], ...]:
        numbers = [
            value for _, value in self.inputs if not isinstance(value, str) and abs(value) < _LARGEST_TOTAL
        ]
        text = msgspec.json.encode(
            [self.name, [[name, str(value)] for name, value in self.inputs], self.file_ids]
        )
        reference = hashlib.blake2b(text, digest_size=8).hexdigest()
        return (("the output total", sum(numbers)), ("the output reference", reference))


class World:
    """All processes and runs of an emulated organization."""

    def __init__(
        self,
        *,
        clock: Clock,
        schedule: Schedule,
        ranking: Ranking,
        capacity: int | None,
        seed: int,
        list_lag: float = 0.0,
        created_at: Callable[[datetime], datetime] | None = None,
        state: State | None = None,
    ) -> None:
        self.lock: threading.RLock = threading.RLock()
        """Held to read or change the world: requests and tests may run in two threads."""
        self.schedule = schedule
        self.capacity = capacity
        self._clock = clock
        self._ranking = ranking
        self._list_lag = list_lag
        self._created_at = created_at
        self._ids = random.Random(seed)  # noqa: S311 - a test double, nothing secret
        self._processes: dict[tuple[str, str, str], EmulatedProcess] = {}
        self._process_list: list[EmulatedProcess] = []
        self._process_keysets: dict[str, Keyset] = {}
        self._runs: dict[str, EmulatedRun] = {}
        self._run_list: list[EmulatedRun] = []
        self._run_keysets: dict[tuple[str, str, str | None], Keyset] = {}
        self._names: dict[str, list[EmulatedRun]] = {}
        self._unsettled: set[int] = set()
        self._settling: list[tuple[float, int]] = []
        self.runs: Mapping[str, EmulatedRun] = LiveView(self._runs)
        self._state = state or Transient()
        for record in self._state.load("run"):
            self._insert(run_of(record, clock))

    def new_id(self) -> str:
        """An id like the vendor's: 25 lower-case letters and digits, determined by the seed."""
        drawn = ""
        while not drawn or drawn in self._runs:  # restored runs may have the same ids
            drawn = "".join(self._ids.choices(_ID_LETTERS, k=_ID_LENGTH))
        return drawn

    # Processes

    def add_process(self, name: str, *, process_id: str | None, stage: str, agent_id: str) -> EmulatedProcess:
        """The new process. Raises `ValueError` if this id has that stage already, or for an unknown stage."""
        if stage not in STAGES:
            message = f"stage must be Draft or Published, got {stage!r}"
            raise ValueError(message)
        process = EmulatedProcess(process_id or self.new_id(), name, stage, agent_id)
        key = (agent_id, process.id, stage)
        if key in self._processes:
            message = f"process {process.id} of agent {agent_id} has a {stage} stage already"
            raise ValueError(message)
        self._processes[key] = process
        self._process_keysets.setdefault(agent_id, Keyset(descending=False)).add((0, len(self._process_list)))
        self._process_list.append(process)
        return process

    def has_agent(self, agent_id: str) -> bool:
        """Whether any process belongs to this agent."""
        return agent_id in self._process_keysets

    def process(self, agent_id: str, process_id: str, stage: str | None = None) -> EmulatedProcess | None:
        """The process in that stage; without `stage`, the published one if there is one, else the draft."""
        if stage is not None:
            return self._processes.get((agent_id, process_id, stage))
        return self._processes.get((agent_id, process_id, "Published")) or self._processes.get(
            (agent_id, process_id, "Draft")
        )

    def process_page(
        self, agent_id: str, after: Key | None, limit: int
    ) -> tuple[list[EmulatedProcess], Key | None]:
        """A page, and the key after which the next one continues (None at the end)."""
        keys, more = self._process_keysets[agent_id].after(after, limit)
        return [self._process_list[number] for _, number in keys], keys[-1] if more else None

    # Runs

    def add_run(
        self,
        process: EmulatedProcess,
        *,
        name: str,
        inputs: Facts | None = None,
        file_ids: Iterable[str] = (),
        run_id: str | None = None,
        created_at: datetime | None = None,
        status: str | None = None,
        outputs: Facts | None = None,
        schedule: Schedule | None = None,
    ) -> EmulatedRun:
        """The new run. Raises `ValueError` for a duplicate id and for a `created_at` without an offset."""
        number = len(self._run_list)
        started = self._clock.now()
        wall = datetime.now(UTC)
        if created_at is None:
            created_at = wall if self._created_at is None else self._created_at(wall)
        elif created_at.tzinfo is None:
            message = "created_at must have an offset, such as datetime(..., tzinfo=UTC), got none"
            raise ValueError(message)
        else:
            created_at = created_at.astimezone(UTC)
            started -= (wall - created_at).total_seconds()
        run = EmulatedRun(
            id=run_id or self.new_id(),
            name=name,
            process_id=process.id,
            agent_id=process.agent_id,
            stage=process.stage,
            inputs=as_pairs(inputs or ()),
            file_ids=tuple(file_ids),
            created_at=created_at,
            number=number,
            _clock=self._clock,
            started=started,
            _course=(schedule or self.schedule).plan(number),
            _word=status,
            _outputs=None if outputs is None else as_pairs(outputs),
        )
        if run.id in self._runs:
            message = f"there is a run {run.id} already"
            raise ValueError(message)
        self._insert(run)
        self._keep(run)
        return run

    def _insert(self, run: EmulatedRun) -> None:
        self._runs[run.id] = run
        self._run_list.append(run)
        self._names.setdefault(run.name, []).append(run)
        key = (self._ranking.rank(run.id, run.created_at.timestamp()), run.number)
        self._keyset(run.agent_id, run.process_id, None).add(key)
        self._keyset(run.agent_id, run.process_id, run.stage).add(key)
        if not run.pinned:
            self._unsettled.add(run.number)
            heapq.heappush(self._settling, (run.settles_at, run.number))
        elif run.status not in SETTLED_WORDS:
            self._unsettled.add(run.number)

    def _keep(self, run: EmulatedRun) -> None:
        def record() -> Record:
            with self.lock:
                return record_of(run)

        self._state.changed("run", run.id, record)

    def set_status(self, run_id: str, word: str, outputs: Facts | None) -> EmulatedRun:
        """Fix the status of a run from now on and return the run. Raises `KeyError` for an unknown run."""
        run = self._runs[run_id]
        run.pin(word, outputs)
        if word in SETTLED_WORDS:
            self._unsettled.discard(run.number)
        else:
            self._unsettled.add(run.number)
        self._keep(run)
        return run

    def unsettled(self) -> int:
        """Number of runs that count towards the capacity now."""
        now = self._clock.now()
        while self._settling and self._settling[0][0] <= now:
            run = self._run_list[heapq.heappop(self._settling)[1]]
            if not run.pinned and run.settles_in in SETTLED_WORDS:
                self._unsettled.discard(run.number)
        return len(self._unsettled)

    def is_full(self) -> bool:
        """Whether the organization is at capacity."""
        return self.capacity is not None and self.unsettled() >= self.capacity

    def runs_named(self, name: str) -> list[EmulatedRun]:
        """The runs of this name, in order of creation."""
        return list(self._names.get(name, ()))

    def duplicates(self) -> dict[str, int]:
        """Number of runs by name, for names of more than one run."""
        return {name: len(runs) for name, runs in self._names.items() if len(runs) > 1}

    def run_page(
        self, agent_id: str, process_id: str, stage: str | None, after: Key | None, limit: int
    ) -> tuple[list[EmulatedRun], Key | None]:
        """A page, and the key after which the next one continues (None at the end)."""
        keyset = self._keyset(agent_id, process_id, stage)
        latest = self._clock.now() - self._list_lag if self._list_lag else math.inf
        found: list[EmulatedRun] = []
        more = True
        while more:
            keys, more = keyset.after(after, limit + 1)
            for key in keys:
                run = self._run_list[key[1]]
                if run.started <= latest:
                    if len(found) == limit:
                        return found, after
                    found.append(run)
                after = key
        return found, None

    def _keyset(self, agent_id: str, process_id: str, stage: str | None) -> Keyset:
        key = (agent_id, process_id, stage)
        keyset = self._run_keysets.get(key)
        if keyset is None:
            keyset = self._run_keysets[key] = Keyset(descending=self._ranking.descending)
        return keyset


def record_of(run: EmulatedRun) -> Record:
    """The run as plain values, for a state file."""
    names = [field.name for field in fields(run) if field.name not in {"_clock", "_course"}]
    course = fields_of(run._course, "running_after", "settled_after", "outcome")  # noqa: SLF001 - of this module
    return {**fields_of(run, *names), "_course": course}


def run_of(record: Record, clock: Clock) -> EmulatedRun:
    """The run that a record holds."""
    pairs = {
        name: None if record[name] is None else tuple(map(tuple, record[name]))
        for name in ("inputs", "_outputs")
    }
    course = Course(**record["_course"])
    file_ids = tuple(record["file_ids"])
    return EmulatedRun(**{**record, **pairs, "file_ids": file_ids, "_course": course, "_clock": clock})


def as_pairs(facts: Facts) -> tuple[tuple[str, Scalar], ...]:
    """Inputs or outputs as (name, value) pairs, from either form."""
    if isinstance(facts, Mapping):
        return tuple(facts.items())
    return tuple((str(fact["name"]), fact["value"]) for fact in facts)
