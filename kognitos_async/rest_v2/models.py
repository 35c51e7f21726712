"""What REST API v2 speaks of, as frozen structs with the API's own field names."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, Self
from urllib.parse import urlsplit

import msgspec

from kognitos_async.errors import RunExceptionError, RunFailedError, RunStoppedError
from kognitos_async.open_enum import Word

Value = str | int | float
"""What an input or output holds: the API knows text and numbers only."""


class Stage(Word):
    """Which version of a process runs."""

    DRAFT = "Draft"
    PUBLISHED = "Published"


class RunStatus(Word):
    """Where a run stands. The last four are words of the vendor's pages, not of the schema."""

    CREATED = "Created"
    RUNNING = "Running"
    EXCEPTION = "Exception"
    STOPPED = "Stopped"
    SUCCEEDED = "Succeeded"
    PENDING = "Pending"
    FAILED = "Failed"
    CANCELLED = "Cancelled"
    TIMED_OUT = "TimedOut"


SETTLED = frozenset(
    {
        RunStatus.SUCCEEDED,
        RunStatus.EXCEPTION,
        RunStatus.STOPPED,
        RunStatus.FAILED,
        RunStatus.CANCELLED,
        RunStatus.TIMED_OUT,
    }
)
"""The statuses in which a run does not go on by itself."""

ENDED = SETTLED - {RunStatus.EXCEPTION}
"""The statuses a run never leaves; one in Exception goes on once a person has dealt with it."""


class Health(msgspec.Struct, frozen=True, kw_only=True):
    """The API's word on itself."""

    status: str

    @property
    def ok(self) -> bool:
        """Whether the word is OK."""
        return self.status.upper() == "OK"


class Process(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """A process of an agent; its Draft and its Published version are separate items."""

    id: str
    name: str
    agent_id: str
    stage: Stage


class RunInput(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """A named value given to a run."""

    name: str
    value: Value


class RunOutput(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """A named value that a run has produced."""

    name: str
    value: Value


class Run(msgspec.Struct, frozen=True, kw_only=True, gc=False, eq=False):
    """A run as it was when read.

    `created_at` is aware and in UTC; `file_ids` and `outputs` are empty where the API says null. Items of a
    list may lack outputs that `runs.get` gives.
    """

    id: str
    name: str
    agent_id: str
    process_id: str
    stage: Stage
    status: RunStatus
    created_at: datetime
    file_ids: tuple[str, ...] = ()
    outputs: tuple[RunOutput, ...] = ()

    @property
    def settled(self) -> bool:
        """Whether the run does not go on by itself; an unknown status never counts as settled."""
        return self.status in SETTLED

    @property
    def succeeded(self) -> bool:
        """Whether the run has succeeded."""
        return self.status == RunStatus.SUCCEEDED

    @property
    def outputs_by_name(self) -> dict[str, Value]:
        """The outputs as a dict; of two with one name the last."""
        return {output.name: output.value for output in self.outputs}

    def raise_for_status(self) -> Self:
        """The run itself, unless it settled without success.

        Raises `RunExceptionError` for Exception, `RunStoppedError` for Stopped and Cancelled,
        `RunFailedError` for Failed and TimedOut.
        """
        if self.succeeded or not self.settled:
            return self
        kind, advice = _FAILURES[self.status]
        raise kind(f"run {self.id} ({self.name!r}) settled as {self.status}: {advice}", run=self)

    # Written out because the slots may hold null and times without a zone: see _convert_when_read.

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Run):
            return NotImplemented
        return all(getattr(self, name) == getattr(other, name) for name in self.__struct_fields__)

    def __hash__(self) -> int:
        return hash((self.id, self.status))

    def __repr__(self) -> str:
        return f"Run({', '.join(f'{name}={getattr(self, name)!r}' for name in self.__struct_fields__)})"


_FAILURES = {
    RunStatus.EXCEPTION: (RunExceptionError, "it needs a person; open it in Kognitos"),
    RunStatus.STOPPED: (RunStoppedError, "somebody stopped it"),
    RunStatus.CANCELLED: (RunStoppedError, "it was cancelled"),
    RunStatus.FAILED: (RunFailedError, "open it in Kognitos to see why"),
    RunStatus.TIMED_OUT: (RunFailedError, "it took longer than Kognitos allows"),
}


def _convert_when_read(model: type[msgspec.Struct], **conversions: Callable[[Any], Any]) -> None:
    """Put each conversion before its field, and let the decoder take null for the tuples.

    msgspec writes into the slots, past these properties: decoding a page stays in C, which a
    `__post_init__` for each run would make three times as slow. The slots stay as `_FIELD`.
    """
    for field, convert in conversions.items():
        setattr(model, f"_{field}", model.__dict__[field])
        setattr(model, field, property(convert))


_EPOCH = datetime(1970, 1, 1)  # noqa: DTZ001 - the naive twin of the next
_EPOCH_UTC = _EPOCH.replace(tzinfo=UTC)


def _created_at(run: Any) -> datetime:
    time: datetime = run._created_at  # noqa: SLF001 - put there by _convert_when_read
    zone = time.tzinfo
    if zone is None:
        return _EPOCH_UTC + (time - _EPOCH)  # a tenth of what replace() takes
    if zone is UTC:
        return time
    try:
        return time.astimezone(UTC)
    except OverflowError:  # within hours of the calendar's first or last day
        return time.replace(tzinfo=UTC)


Run.__annotations__.update(file_ids="tuple[str, ...] | None", outputs="tuple[RunOutput, ...] | None")
_convert_when_read(
    Run,
    created_at=_created_at,
    file_ids=lambda run: run._file_ids or (),  # noqa: SLF001
    outputs=lambda run: run._outputs or (),  # noqa: SLF001
)


class FileUpload(msgspec.Struct, frozen=True, kw_only=True, repr_omit_defaults=True):
    """A presigned form: where and how to upload one file. Lives about five minutes."""

    id: str
    file_name: str
    upload_url: str
    upload_fields: dict[str, str] = {}
    upload_http_headers: dict[str, str] = {}
    upload_http_method: str = "POST"

    def __repr__(self) -> str:
        # The fields and the URL's query are credentials.
        try:
            host = urlsplit(self.upload_url).netloc.rpartition("@")[2]
        except ValueError:
            host = "no URL"
        return f"FileUpload(id={self.id!r}, file_name={self.file_name!r}, upload to {host!r})"


class UploadedFile(msgspec.Struct, frozen=True, kw_only=True):
    """A file in Kognitos: `id` goes into `file_ids`, `file_name` as the API made it safe, `size` in bytes."""

    id: str
    file_name: str
    size: int


class RunRequest(msgspec.Struct, frozen=True, kw_only=True):
    """A run to start: the arguments of `runs.start`."""

    process_id: str
    name: str
    stage: Stage | str = Stage.PUBLISHED
    inputs: Mapping[str, Value] | Sequence[RunInput] | None = None
    file_ids: Sequence[str] | None = None
    agent_id: str | None = None
