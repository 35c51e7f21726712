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
"""An input or output value: text or a number."""


class Stage(Word):
    """The version of a process that runs."""

    DRAFT = "Draft"
    """The version being edited."""
    PUBLISHED = "Published"
    """The version in production."""


class RunStatus(Word):
    """The status of a run. Pending, Failed, Cancelled and TimedOut are documented but not in the schema."""

    CREATED = "Created"
    """Created, not running yet."""
    RUNNING = "Running"
    """Running."""
    EXCEPTION = "Exception"
    """Waiting for a person; settled until one handles it."""
    STOPPED = "Stopped"
    """Stopped by a person; settled."""
    SUCCEEDED = "Succeeded"
    """Finished with outputs; settled."""
    PENDING = "Pending"
    """Not running yet."""
    FAILED = "Failed"
    """Failed; settled."""
    CANCELLED = "Cancelled"
    """Cancelled; settled."""
    TIMED_OUT = "TimedOut"
    """Exceeded Kognitos's time limit; settled."""


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
"""Statuses in which a run makes no progress without a person."""

ENDED = SETTLED - {RunStatus.EXCEPTION}
"""Final statuses. Exception is not one: such a run continues once a person has handled it."""


class Health(WebModel, msgspec.Struct, frozen=True, kw_only=True):
    """Health of the API."""

    status: str
    """The status as sent: `OK` if all is well."""

    @property
    def ok(self) -> bool:
        """Whether the status is OK, ignoring case."""
        return self.status.upper() == "OK"


class Process(WebModel, msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """A process of an agent. Its Draft and its Published version are separate items."""

    id: str
    """Id, for `process_id` of a start."""
    name: str
    """Display name in Kognitos."""
    agent_id: str
    """Id of the agent that the process belongs to."""
    stage: Stage
    """Version of this item: Draft or Published."""


class RunInput(WebModel, msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """A named input of a run."""

    name: str
    """Name of the input."""
    value: Value
    """Text or a number."""


class RunOutput(WebModel, msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """A named output of a run."""

    name: str
    """Name of the output, such as `the output total`."""
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
    # msgspec, and frameworks built on it, support no union of two string types.
    StageWord = Stage


class RunHandle(WebModel, msgspec.Struct, frozen=True, gc=False):
    """Reference to a run to wait for, small and JSON-ready: `run.handle`.

    Every wait accepts a handle in place of a run or an id. Unlike a bare id, it joins shared list polls from
    the first poll on.
    """

    id: str
    """Id of the run."""
    agent_id: str
    """Id of the agent that the process belongs to."""
    process_id: str
    """Id of the process."""
    created_at: Timestamp
    """Time of creation, timezone-aware and in UTC."""


class Run(WebModel, msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """A run as it was when read.

    Listed runs may lack outputs that `runs.get` returns.
    """

    id: str
    """Id, unique in the organization."""
    name: str
    """Name given at the start, 1 to 100 characters."""
    agent_id: str
    """Id of the agent that the process belongs to."""
    process_id: str
    """Id of the process."""
    stage: Stage
    """Version of the process: Draft or Published."""
    status: RunStatus
    """Status. One that this version does not know is a member with the raw text."""
    created_at: Timestamp
    """Time of creation, timezone-aware and in UTC whatever offset the API sends."""
    file_ids: FileIds = ()
    """Ids of the files given at the start; empty if the API sends null."""
    outputs: Outputs = ()
    """Named outputs; empty until the run has succeeded, or if the API sends null."""

    def __post_init__(self) -> None:
        if self.created_at.tzinfo is not UTC:
            force_setattr(self, "created_at", _in_utc(self.created_at))
        if self.file_ids is None:
            force_setattr(self, "file_ids", ())
        if self.outputs is None:
            force_setattr(self, "outputs", ())

    @property
    def settled(self) -> bool:
        """Whether the run makes no progress without a person. False for an unknown status."""
        return self.status in SETTLED

    @property
    def succeeded(self) -> bool:
        """Whether the run succeeded."""
        return self.status == RunStatus.SUCCEEDED

    @property
    def handle(self) -> RunHandle:
        """A reference to this run that every wait accepts."""
        return RunHandle(
            id=self.id, agent_id=self.agent_id, process_id=self.process_id, created_at=self.created_at
        )

    @property
    def outputs_by_name(self) -> dict[str, Value]:
        """The outputs as a dict; the last one wins if names repeat."""
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
        """The output of that name as `kind`: str, int or float (which accepts an int that it holds exactly).

        Raises `KeyError` naming the existing outputs, and `TypeError` if the output is of another type.
        """
        outputs = self.outputs_by_name
        if name not in outputs:
            known = ", ".join(map(repr, outputs)) or "none"
            raise KeyError(f"run {self.id} has no output {name!r}; it has {known}")
        value: object = outputs[name]
        if kind is float and isinstance(value, int) and abs(value) <= _LARGEST_EXACT:
            value = float(value)
        if not isinstance(value, kind):
            raise TypeError(
                f"output {name!r} of run {self.id} must be {kind.__name__}, got {type(value).__name__}"
            )
        return value

    def to_dict(self) -> dict[str, Any]:
        """The run as JSON-ready values under the API's field names: ISO 8601 times, lists."""
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


_LARGEST_EXACT = 2**53
"""The integers up to this one are floats too; of larger ones some would be rounded."""
_EPOCH = datetime(1970, 1, 1)  # noqa: DTZ001 - naive counterpart of _EPOCH_UTC
_EPOCH_UTC = _EPOCH.replace(tzinfo=UTC)


def _in_utc(time: datetime) -> datetime:
    if time.tzinfo is None:
        return _EPOCH_UTC + (time - _EPOCH)  # ten times faster than replace()
    try:
        return time.astimezone(UTC)
    except OverflowError:  # near datetime.min or datetime.max
        return time.replace(tzinfo=UTC)


class FileUpload(msgspec.Struct, frozen=True, kw_only=True, repr_omit_defaults=True):
    """A presigned form: where and how to upload one file. Valid for about five minutes."""

    id: str
    """Id of the file once uploaded, for `file_ids`."""
    file_name: str
    """File name as sanitised by the API."""
    upload_url: str
    """URL to send the form to; its query may hold credentials."""
    upload_fields: dict[str, str] = {}
    """Form fields, in the order to send them; credentials."""
    upload_http_headers: dict[str, str] = {}
    """Headers to send with the form."""
    upload_http_method: str = "POST"
    """HTTP method to send the form with."""

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
    """A file in Kognitos. Pass its `id` in `file_ids`."""

    id: str
    """Id of the file, for `file_ids`."""
    file_name: str
    """File name as sanitised by the API."""
    size: int
    """Size in bytes."""


if TYPE_CHECKING:
    RequestFiles = Sequence[str | os.PathLike[str] | FileSource]
else:

    class RequestFiles:
        """The type that msgspec and web frameworks see, of which JSON holds no value.

        A path in the body of a request would be one of the server's own files, to be sent to Kognitos.
        """

        json_refusal = "files are not read from JSON: upload them, and pass their ids in file_ids"


class RunRequest(WebModel, msgspec.Struct, frozen=True, kw_only=True):
    """A run to start: the arguments of `runs.start`, and files to upload first.

    `run_many`, `run_and_wait` and `runs.start_once` upload `files` (paths or `FileSource`) before the start;
    their ids follow those of `file_ids`, in order.
    """

    process_id: str
    """Id of the process to run."""
    name: str
    """Name of the run, 1 to 100 characters; unique, so that a lost start can be found."""
    stage: StageWord = Stage.PUBLISHED
    """Version to run; default Published."""
    inputs: Mapping[str, Value] | Sequence[RunInput] | None = None
    """Values by name, or a sequence of `RunInput`; None for no inputs."""
    file_ids: Sequence[str] | None = None
    """Ids of uploaded files; None for none."""
    agent_id: str | None = None
    """Id of the agent; None for the client's."""
    files: RequestFiles | None = None
    """Paths or `FileSource` to upload before the start; None for none. Not read from JSON."""
