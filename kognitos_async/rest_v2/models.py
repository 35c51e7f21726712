"""Models of REST API v2: frozen structs with the API's own field names."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Self, TypeVar
from urllib.parse import urlsplit

import msgspec
from msgspec.structs import force_setattr

from kognitos_async.errors import RunExceptionError, RunFailedError, RunStoppedError
from kognitos_async.notebook import record_html
from kognitos_async.open_enum import Word
from kognitos_async.web_models import Timestamp, WebModel

if TYPE_CHECKING:
    import os

    from kognitos_async.uploads.sources import FileSource

T = TypeVar("T", str, int, float)

Value = str | int | float
"""What an input or output holds: the API knows text and numbers only."""


class Stage(Word):
    """Which version of a process runs."""

    DRAFT = "Draft"
    """The version that is being edited."""
    PUBLISHED = "Published"
    """The version in use."""


class RunStatus(Word):
    """Where a run stands. The last four are words of the vendor's pages, not of the schema."""

    CREATED = "Created"
    """Created; not running yet."""
    RUNNING = "Running"
    """Running."""
    EXCEPTION = "Exception"
    """Needs a person; settled until one has dealt with it."""
    STOPPED = "Stopped"
    """Stopped by a person; settled."""
    SUCCEEDED = "Succeeded"
    """Done, with outputs; settled."""
    PENDING = "Pending"
    """Not running yet."""
    FAILED = "Failed"
    """Failed; settled."""
    CANCELLED = "Cancelled"
    """Cancelled; settled."""
    TIMED_OUT = "TimedOut"
    """Ran longer than Kognitos allows; settled."""


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


class Health(WebModel, msgspec.Struct, frozen=True, kw_only=True):
    """The health status of the API."""

    status: str
    """The status as the API writes it: `OK` when all is well."""

    @property
    def ok(self) -> bool:
        """Whether the status is OK, in any case."""
        return self.status.upper() == "OK"


class Process(WebModel, msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """A process of an agent; its Draft and its Published version are separate items."""

    id: str
    """The id, as `process_id` of a start."""
    name: str
    """The name shown in Kognitos."""
    agent_id: str
    """The agent that the process belongs to."""
    stage: Stage
    """The version that this item is: Draft or Published."""


class RunInput(WebModel, msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """A named value given to a run."""

    name: str
    """The name of the input."""
    value: Value
    """Text or a number."""


class RunOutput(WebModel, msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """A named value that a run has produced."""

    name: str
    """The name of the output, such as `the output total`."""
    value: Value
    """Text or a number."""


if TYPE_CHECKING:
    FileIds = tuple[str, ...]
    Outputs = tuple[RunOutput, ...]
    StageWord = Stage | str
else:
    # The API may send null. `Run.__post_init__` replaces it, so that readers never see it.
    FileIds = tuple[str, ...] | None
    Outputs = tuple[RunOutput, ...] | None
    # msgspec, and frameworks that read types with it, know no union of two kinds of text.
    StageWord = Stage


class RunHandle(WebModel, msgspec.Struct, frozen=True, gc=False):
    """What it takes to wait for a run, small and JSON-ready: `run.handle`.

    `created_at` is aware. Every wait takes a handle where it takes a run or an id; unlike a bare id it
    shares list polls from the first one on.
    """

    id: str
    """The id of the run."""
    agent_id: str
    """The agent that the process belongs to."""
    process_id: str
    """The process that runs."""
    created_at: Timestamp
    """When the run was created, timezone-aware and in UTC."""


class Run(WebModel, msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """A run as it was when read.

    Items of a list may lack outputs that `runs.get` returns.
    """

    id: str
    """The id, unique in the organization."""
    name: str
    """The name it was started with, 1 to 100 characters."""
    agent_id: str
    """The agent that the process belongs to."""
    process_id: str
    """The process that runs."""
    stage: Stage
    """The version of the process: Draft or Published."""
    status: RunStatus
    """The status; an unknown word of the API is a member that carries it."""
    created_at: Timestamp
    """When the run was created, timezone-aware and in UTC whatever offset the API writes."""
    file_ids: FileIds = ()
    """The ids of the files it was started with, empty where the API says null."""
    outputs: Outputs = ()
    """Its named outputs, empty where the API says null and until it has succeeded."""

    def __post_init__(self) -> None:
        if self.created_at.tzinfo is not UTC:
            force_setattr(self, "created_at", _in_utc(self.created_at))
        if self.file_ids is None:
            force_setattr(self, "file_ids", ())
        if self.outputs is None:
            force_setattr(self, "outputs", ())

    @property
    def settled(self) -> bool:
        """Whether the run does not go on by itself; an unknown status never counts as settled."""
        return self.status in SETTLED

    @property
    def succeeded(self) -> bool:
        """Whether the run has succeeded."""
        return self.status == RunStatus.SUCCEEDED

    @property
    def handle(self) -> RunHandle:
        """What it takes to wait for the run."""
        return RunHandle(
            id=self.id, agent_id=self.agent_id, process_id=self.process_id, created_at=self.created_at
        )

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

    def output(self, name: str, kind: type[T]) -> T:
        """The output of that name, if it is a `kind` (str, int or float; an int passes for float).

        Raises `KeyError` naming the outputs there are, `TypeError` for an output of another type.
        """
        outputs = self.outputs_by_name
        if name not in outputs:
            known = ", ".join(map(repr, outputs)) or "none"
            raise KeyError(f"run {self.id} has no output {name!r}; it has {known}")
        value: object = outputs[name]
        if kind is float and isinstance(value, int):
            value = float(value)
        if not isinstance(value, kind):
            raise TypeError(
                f"output {name!r} of run {self.id} must be {kind.__name__}, got {type(value).__name__}"
            )
        return value

    def to_dict(self) -> dict[str, Any]:
        """The run as JSON-ready values, under the API's field names: times as ISO text, tuples as lists."""
        as_json: dict[str, Any] = msgspec.json.decode(msgspec.json.encode(self))
        return as_json

    def _columns_(self) -> list[tuple[str, object]]:
        return [
            ("name", self.name),
            ("status", self.status),
            ("created at", self.created_at),
            ("outputs", ", ".join(f"{output.name}: {output.value}" for output in self.outputs)),
            ("id", self.id),
        ]

    def _repr_html_(self) -> str:
        more = [("process", self.process_id), ("stage", self.stage), ("files", ", ".join(self.file_ids))]
        return record_html("Run", [*self._columns_(), *more])


_FAILURES = {
    RunStatus.EXCEPTION: (RunExceptionError, "it needs a person; open it in Kognitos"),
    RunStatus.STOPPED: (RunStoppedError, "somebody stopped it"),
    RunStatus.CANCELLED: (RunStoppedError, "it was cancelled"),
    RunStatus.FAILED: (RunFailedError, "open it in Kognitos to see why"),
    RunStatus.TIMED_OUT: (RunFailedError, "it took longer than Kognitos allows"),
}


_EPOCH = datetime(1970, 1, 1)  # noqa: DTZ001 - the naive twin of the next
_EPOCH_UTC = _EPOCH.replace(tzinfo=UTC)


def _in_utc(time: datetime) -> datetime:
    if time.tzinfo is None:
        return _EPOCH_UTC + (time - _EPOCH)  # a tenth of the cost of replace()
    try:
        return time.astimezone(UTC)
    except OverflowError:  # within hours of the calendar's first or last day
        return time.replace(tzinfo=UTC)


class FileUpload(msgspec.Struct, frozen=True, kw_only=True, repr_omit_defaults=True):
    """A presigned form: where and how to upload one file. Lives about five minutes."""

    id: str
    """The id of the file to be, for `file_ids`."""
    file_name: str
    """The name of the file as the API made it safe."""
    upload_url: str
    """Where to send the form; its query may be a credential."""
    upload_fields: dict[str, str] = {}
    """The fields of the form, in the order in which they are sent; credentials."""
    upload_http_headers: dict[str, str] = {}
    """Headers to send with the form."""
    upload_http_method: str = "POST"
    """The HTTP method to send the form with."""

    # The fields and the URL's query are credentials.
    def __repr__(self) -> str:
        return f"FileUpload(id={self.id!r}, file_name={self.file_name!r}, upload to {self._host!r})"

    def __rich_repr__(self) -> list[tuple[str, Any]]:
        return [("id", self.id), ("file_name", self.file_name), ("upload_to", self._host)]

    @property
    def _host(self) -> str:
        try:
            return urlsplit(self.upload_url).netloc.rpartition("@")[2]
        except ValueError:
            return "no URL"


class UploadedFile(WebModel, msgspec.Struct, frozen=True, kw_only=True):
    """A file in Kognitos: `id` goes into `file_ids`, `file_name` as the API made it safe, `size` in bytes."""

    id: str
    """The id of the file, for `file_ids`."""
    file_name: str
    """The name of the file as the API made it safe."""
    size: int
    """The size in bytes."""


if TYPE_CHECKING:
    RequestFiles = Sequence[str | os.PathLike[str] | FileSource]
else:
    RequestFiles = Any  # msgspec knows no paths


class RunRequest(WebModel, msgspec.Struct, frozen=True, kw_only=True):
    """A run to start: the arguments of `runs.start`, and files to upload first.

    `files` are paths or `FileSource`, uploaded by `run_many`, `run_and_wait` and `runs.start_once` before the
    start; their ids come after those of `file_ids`, in the order given.
    """

    process_id: str
    """The process to run."""
    name: str
    """The name of the run, 1 to 100 characters; unique, so that a lost start can be found."""
    stage: StageWord = Stage.PUBLISHED
    """The version to run: Published unless given."""
    inputs: Mapping[str, Value] | Sequence[RunInput] | None = None
    """Values by name, or a sequence of `RunInput`; None for no inputs."""
    file_ids: Sequence[str] | None = None
    """The ids of uploaded files; None for none."""
    agent_id: str | None = None
    """The agent of the process; None for the client's."""
    files: RequestFiles | None = None
    """Paths or `FileSource` to upload before the start; None for none."""
