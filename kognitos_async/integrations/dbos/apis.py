"""The interface between the workflows and either API: requests and runs as JSON, and the calls."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import msgspec

from kognitos_async import checks
from kognitos_async.settings import setting
from kognitos_async.shared_clients import shared_client, shared_platform_client
from kognitos_async.uploads.placeholders import file_sources, replaced
from kognitos_async.uploads.sources import FileSource

if TYPE_CHECKING:
    from collections.abc import Mapping
    from contextlib import AbstractAsyncContextManager
    from datetime import datetime

    from kognitos_async.uncertain_start import BeforeSend


class StoredFile(msgspec.Struct, frozen=True, omit_defaults=True):
    """A file to upload before a start: a path that every worker can read, or the content."""

    name: str
    path: str | None = None
    content: bytes | None = None

    def source(self) -> FileSource:
        """The file as an upload source."""
        return FileSource(self.content if self.path is None else self.path, self.name)  # type: ignore[arg-type]  # one of both


class Plan(msgspec.Struct, frozen=True, kw_only=True):
    """A request as stored in the database, JSON-ready, without keys or settings of a client.

    `source` is the process or automation, `record` the request as in a journal, with placeholders for the ids
    of `files`.
    """

    api: str
    source: str
    name: str
    record: dict[str, Any]
    files: dict[str, StoredFile] = {}

    def body(self, ids: Mapping[str, str] | None = None) -> bytes:
        """The record, with placeholders of files replaced by `ids`."""
        return replaced(msgspec.json.encode(self.record), ids or {})

    @property
    def workflow_id(self) -> str:
        """The unique id of the workflow, made of the process or automation and the name."""
        return f"kognitos:{self.source}:{self.name}"


class Api(Protocol):
    """One of the two APIs."""

    name: str

    def plan(self, request: Any) -> Plan:
        """The stored form of a request. Raises `TypeError` or `ValueError` if it cannot be sent."""
        ...

    def request(self, record: bytes, name: str) -> Any:
        """The request of a record."""
        ...

    def fingerprint(self, record: bytes) -> bytes:
        """A fingerprint, equal for equal requests."""
        ...

    def client(self) -> AbstractAsyncContextManager[Any]:
        """The shared client of this process, open."""
        ...

    async def upload(self, client: Any, record: bytes, file: FileSource) -> str:
        """Upload a file and return its reference in a request."""
        ...

    async def start_once(
        self,
        client: Any,
        record: bytes,
        name: str,
        *,
        earlier: datetime | None,
        before_send: BeforeSend,
        absence_delay: float,
    ) -> Any:
        """The run of the request, started now or found. Raises what `start_once` of the client raises."""
        ...

    def handle(self, run_id: str, record: bytes, created_at: datetime) -> Any:
        """A handle to wait for a run given by its id. Raises `ValueError` for text that is no id."""
        ...

    def load_handle(self, handle: dict[str, Any]) -> Any:
        """A handle from its JSON."""
        ...

    def load_run(self, run: bytes) -> Any:
        """A run from its JSON."""
        ...


class RestV2:
    """REST API v2; `settings` are the arguments of `KognitosClient`."""

    name = "rest_v2"

    def __init__(self, settings: Mapping[str, Any]) -> None:
        self._settings = settings

    def plan(self, request: Any) -> Plan:
        """The stored form of a request."""
        from kognitos_async.rest_v2.encoding import encode_start  # noqa: PLC0415 - one API is loaded
        from kognitos_async.rest_v2.models import RunRequest  # noqa: PLC0415
        from kognitos_async.rest_v2.scope import Scope  # noqa: PLC0415

        if not isinstance(request, RunRequest):
            raise TypeError(f"request must be a RunRequest, got {type(request).__name__}")
        scope = Scope(setting("agent_id", self._settings.get("agent_id"), "KOGNITOS_AGENT_ID"))
        files = [_stored(file) for file in file_sources(request.files)]
        record = encode_start(request, scope.agent(request.agent_id), [mark for mark, _ in files])
        return Plan(
            api=self.name,
            source=_text(request.process_id),
            name=_text(request.name),
            record=msgspec.json.decode(record),
            files=dict(files),
        )

    def request(self, record: bytes, name: str = "") -> Any:  # noqa: ARG002 - the body holds it
        """The request of a record."""
        from kognitos_async.rest_v2.bulk import request_of_body  # noqa: PLC0415

        return request_of_body(record)

    def fingerprint(self, record: bytes) -> bytes:
        """A fingerprint, equal for equal requests."""
        from kognitos_async.rest_v2.bulk import RunJobs  # noqa: PLC0415

        return RunJobs.fingerprint(record)

    def client(self) -> AbstractAsyncContextManager[Any]:
        """The shared client of this process, open."""
        return shared_client(**self._settings)

    async def upload(self, client: Any, record: bytes, file: FileSource) -> str:
        """Upload a file and return its id."""
        return str((await client.files.upload(file, agent_id=self.request(record).agent_id)).id)

    async def start_once(
        self,
        client: Any,
        record: bytes,
        name: str,
        *,
        earlier: datetime | None,
        before_send: BeforeSend,
        absence_delay: float,
    ) -> Any:
        """The run of the request, started now or found."""
        return await client.runs.start_once(
            self.request(record, name), earlier=earlier, before_send=before_send, absence_delay=absence_delay
        )

    def handle(self, run_id: str, record: bytes, created_at: datetime) -> Any:
        """A handle to wait for a run given by its id. Raises `ValueError` for text that is no id."""
        from kognitos_async.rest_v2.models import RunHandle  # noqa: PLC0415

        request = self.request(record)
        return RunHandle(
            id=checks.identifier("run", run_id),
            agent_id=request.agent_id or "",
            process_id=request.process_id,
            created_at=created_at,
        )

    def load_handle(self, handle: dict[str, Any]) -> Any:
        """A handle from its JSON."""
        from kognitos_async.rest_v2.models import RunHandle  # noqa: PLC0415

        return msgspec.convert(handle, RunHandle)

    def load_run(self, run: bytes) -> Any:
        """A run from its JSON."""
        from kognitos_async.rest_v2.bulk import RUN  # noqa: PLC0415

        return RUN.decode(run)


class PlatformV1:
    """The platform API; `settings` are the arguments of `PlatformClient`."""

    name = "platform_v1"

    def __init__(self, settings: Mapping[str, Any]) -> None:
        self._settings = settings

    def plan(self, request: Any) -> Plan:
        """The stored form of a request."""
        from kognitos_async.platform_v1.encoding import encode_invocation  # noqa: PLC0415 - one API is loaded
        from kognitos_async.platform_v1.file_inputs import with_placeholders  # noqa: PLC0415
        from kognitos_async.platform_v1.models.runs import InvokeRequest  # noqa: PLC0415
        from kognitos_async.platform_v1.names import Scope  # noqa: PLC0415

        if not isinstance(request, InvokeRequest):
            raise TypeError(f"request must be an InvokeRequest, got {type(request).__name__}")
        scope = Scope.of(
            setting("organization_id", self._settings.get("organization_id"), "KOGNITOS_ORGANIZATION_ID"),
            setting("workspace_id", self._settings.get("workspace_id"), "KOGNITOS_WORKSPACE_ID"),
        )
        prepared, sources = with_placeholders(request)
        stored = {text: _stored(source) for text, source in sources.items()}
        invocation = encode_invocation(prepared, scope)
        record = replaced(invocation.record, {text: mark for text, (mark, _) in stored.items()})
        return Plan(
            api=self.name,
            source=str(invocation.automation),
            name=_text(request.name or f"invocation {self.fingerprint(record).hex()}"),
            record=msgspec.json.decode(record),
            files=dict(stored.values()),
        )

    def request(self, record: bytes, name: str | None = None) -> Any:
        """The request of a record."""
        from kognitos_async.platform_v1.encoding import request_of  # noqa: PLC0415

        return request_of(record, name)

    def fingerprint(self, record: bytes) -> bytes:
        """A fingerprint, equal for equal requests."""
        from kognitos_async.platform_v1.bulk import InvocationJobs  # noqa: PLC0415

        return InvocationJobs.fingerprint(record)

    def client(self) -> AbstractAsyncContextManager[Any]:
        """The shared client of this process, open."""
        return shared_platform_client(**self._settings)

    async def upload(self, client: Any, record: bytes, file: FileSource) -> str:
        """Upload a file and return its full name."""
        from kognitos_async.platform_v1.files import file_ref  # noqa: PLC0415

        organization = self.request(record).organization_id
        return str(file_ref(await client.files.upload(file, organization_id=organization)).remote)

    async def start_once(
        self,
        client: Any,
        record: bytes,
        name: str,
        *,
        earlier: datetime | None,
        before_send: BeforeSend,
        absence_delay: float,
    ) -> Any:
        """The run of the request, invoked now or found."""
        return await client.automations.start_once(
            self.request(record, name), earlier=earlier, before_send=before_send, absence_delay=absence_delay
        )

    def handle(self, run_id: str, record: bytes, created_at: datetime) -> Any:
        """A handle to wait for a run given by its id or name. Raises `ValueError` for other text."""
        from kognitos_async.platform_v1.encoding import invocation_of  # noqa: PLC0415
        from kognitos_async.platform_v1.models.runs import StartedRun  # noqa: PLC0415
        from kognitos_async.platform_v1.names import RUN, parse_name  # noqa: PLC0415

        name = run_id if "/" in run_id else f"{invocation_of(record).automation}/runs/{run_id}"
        return StartedRun(name=str(parse_name("run", name, RUN)), started_at=created_at)

    def load_handle(self, handle: dict[str, Any]) -> Any:
        """A handle from its JSON."""
        from kognitos_async.platform_v1.models.runs import StartedRun  # noqa: PLC0415

        return msgspec.convert(handle, StartedRun)

    def load_run(self, run: bytes) -> Any:
        """A run from its JSON."""
        from kognitos_async.platform_v1.bulk import RUN  # noqa: PLC0415

        return RUN.decode(run)


def _stored(file: FileSource) -> tuple[str, StoredFile]:
    """The placeholder of a file, equal for equal files, and its stored form."""
    if isinstance(file.source, bytes):
        stored = StoredFile(file.name, content=file.source)
        identity = hashlib.sha256(file.source).hexdigest()
    else:
        identity = str(Path(os.fspath(file.source)).absolute())
        stored = StoredFile(file.name, path=identity)
    digest = hashlib.sha256(f"{identity}\0{file.name}".encode(errors="surrogatepass")).hexdigest()
    return f"upload:{digest[:32]}", stored


def _text(text: str) -> str:
    if "\0" in text:
        raise ValueError("name must not contain null characters")
    return text
