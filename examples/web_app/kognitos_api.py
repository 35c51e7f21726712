"""The interface of the application to either Kognitos API, chosen by the environment."""

import os
import re
from collections.abc import AsyncGenerator, AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from datetime import datetime
from typing import Any, ClassVar, Generic, Literal, Protocol, TypeVar

from pydantic import BaseModel

from kognitos_async import (
    SETTLED,
    F,
    FileRef,
    InvokeRequest,
    KognitosClient,
    PlatformClient,
    PlatformRun,
    PollPolicy,
    Run,
    RunRequest,
    RunState,
    RunStatus,
    StartUncertainError,
)
from kognitos_async.uploads.sources import UploadSource

R = TypeVar("R")
Tone = Literal["working", "asking", "good", "bad", "neutral"]
FILE_INPUT, NAME_INPUT = "invoice", "file name"
POLLS = PollPolicy(initial=0.5, maximum=3.0)
UPLOAD_ID = re.compile(r" \([0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}\)$")


class RunCard(BaseModel):
    """A run as shown on the page."""

    id: str
    title: str
    label: str
    sentence: str
    tone: Tone
    ended: bool
    created: datetime
    question: str | None
    can_answer: bool
    reason: str | None
    outputs: dict[str, Any]


class History(BaseModel):
    """A page of runs, newest first, and the token of the next page."""

    runs: list[RunCard]
    next: str | None


class Question(BaseModel):
    """The question of a run that needs a person."""

    run_id: str
    text: str
    created: datetime | None
    can_answer: bool


class KognitosApi(Protocol):
    """The operations that the application needs."""

    async def upload(self, content: UploadSource, *, file_name: str, size: int) -> str:
        """Upload a file and return the reference that a start needs."""
        ...

    async def start_once(
        self,
        *,
        upload_id: str,
        file_name: str,
        file: str,
        earlier: datetime | None,
        before_send: Callable[[], Any],
    ) -> str:
        """The id of the run of an upload, started now or found; arguments as in the library."""
        ...

    def watch(self, run_id: str) -> AbstractAsyncContextManager[AsyncIterator[RunCard]]:
        """The current state of the run, then each change, until it has ended."""
        ...

    async def history(self, *, size: int, after: str | None) -> History: ...
    async def questions(self) -> list[Question]: ...
    async def answer(self, run_id: str, message: str) -> None: ...


@asynccontextmanager
async def open_api() -> AsyncGenerator[KognitosApi]:
    """The API named by WEB_APP_API, by default the platform API if KOGNITOS_TOKEN is set."""
    chosen = os.environ.get("WEB_APP_API") or ("platform" if "KOGNITOS_TOKEN" in os.environ else "v2")
    if chosen == "platform":
        async with PlatformClient(poll=POLLS) as platform:
            yield PlatformApi(platform, required("KOGNITOS_AUTOMATION_ID"))
    elif chosen == "v2":
        async with KognitosClient(poll=POLLS) as client:
            yield RestApi(client, required("KOGNITOS_PROCESS_ID"))
    else:
        raise SystemExit(f"WEB_APP_API must be platform or v2, got {chosen!r}")


def required(name: str) -> str:
    """A required environment variable."""
    try:
        return os.environ[name]
    except KeyError:
        raise SystemExit(f"Set {name}; `kognitos serve` prints values to try.") from None


class Cards(Generic[R]):
    """The cards of an iterator over runs. Unlike a generator, it survives the cancellation of a step."""

    def __init__(self, runs: AsyncIterator[R], card: Callable[[R], RunCard]) -> None:
        self._runs = runs
        self._card = card

    def __aiter__(self) -> AsyncIterator[RunCard]:
        return self

    async def __anext__(self) -> RunCard:
        return self._card(await anext(self._runs))


class PlatformApi:
    """The platform API: a run gets the file and its name as inputs, and can be answered."""

    _SHOWN: ClassVar[dict[RunState, tuple[str, str, Tone]]] = {
        RunState.PENDING: ("Pending", "The run is about to begin.", "working"),
        RunState.EXECUTING: ("Running", "Kognitos is working on it.", "working"),
        RunState.STOPPING: ("Stopping", "The run is being stopped.", "working"),
        RunState.STOPPED: ("Stopped", "The run was stopped.", "neutral"),
        RunState.AWAITING_GUIDANCE: ("Needs a person", "The run waits for your answer.", "asking"),
        RunState.COMPLETED: ("Completed", "The run has completed.", "good"),
        RunState.FAILED: ("Failed", "The run has failed.", "bad"),
    }
    _ENDED = frozenset({RunState.COMPLETED, RunState.FAILED, RunState.STOPPED})

    def __init__(self, client: PlatformClient, automation: str) -> None:
        self._client = client
        self._automation = automation

    async def upload(self, content: UploadSource, *, file_name: str, size: int) -> str:
        return (await self._client.files.upload(content, file_name=file_name, size=size)).name

    async def start_once(
        self,
        *,
        upload_id: str,  # noqa: ARG002 - the stored file tells runs apart
        file_name: str,
        file: str,
        earlier: datetime | None,
        before_send: Callable[[], Any],
    ) -> str:
        request = InvokeRequest(
            automation=self._automation, inputs={FILE_INPUT: FileRef(file), NAME_INPUT: file_name}
        )
        try:
            started = await self._client.automations.start_once(
                request, earlier=earlier, before_send=before_send
            )
        except StartUncertainError as lost:
            # The library cannot attribute a run with the same inputs; here the file is unique to the invoice.
            alike = await self._client.runs.find_started(request, since=lost.since)
            ours = [run for run in alike if run.user_inputs.get(FILE_INPUT) == FileRef(file)]
            if len(ours) != 1:
                raise
            return ours[0].id
        return started.id

    @asynccontextmanager
    async def watch(self, run_id: str) -> AsyncGenerator[AsyncIterator[RunCard]]:
        async with self._client.watch_run(run_id, automation=self._automation, until=self._ENDED) as runs:
            yield Cards(runs, self._card)

    async def history(self, *, size: int, after: str | None) -> History:
        page = await self._client.runs.list(self._automation, page_size=size, page_token=after)
        return History(runs=[self._card(run) for run in page.items], next=page.continuation_token)

    async def questions(self) -> list[Question]:
        pending = (F.state == "PENDING") & (F.automation == self._automation)
        page = await self._client.exceptions.list(filter=pending, page_size=20)
        return [
            Question(
                run_id=item.run.rpartition("/")[2],
                text=item.description or item.message,
                created=item.create_time,
                can_answer=True,
            )
            for item in page.items
        ]

    async def answer(self, run_id: str, message: str) -> None:
        await self._client.exceptions.reply(run_id, message, automation=self._automation)

    def _card(self, run: PlatformRun) -> RunCard:
        label, sentence, tone = self._SHOWN.get(run.state, unknown(run.state))
        inputs, outputs = run.user_inputs, run.to_dict()["outputs"]
        return RunCard(
            id=run.id,
            title=str(inputs.get(NAME_INPUT) or f"Run {run.id}"),
            label=label,
            sentence=sentence,
            tone=tone,
            ended=run.state in self._ENDED,
            created=run.create_time,
            question=run.guidance.description if run.guidance else None,
            can_answer=True,
            reason=run.failure.description if run.failure else run.stop_reason,
            outputs=outputs,
        )


class RestApi:
    """REST API v2: a run gets a name unique to the upload, and is answered in Kognitos."""

    _SHOWN: ClassVar[dict[RunStatus, tuple[str, str, Tone]]] = {
        RunStatus.CREATED: ("Created", "The run is about to begin.", "working"),
        RunStatus.PENDING: ("Pending", "The run is about to begin.", "working"),
        RunStatus.RUNNING: ("Running", "Kognitos is working on it.", "working"),
        RunStatus.EXCEPTION: ("Needs a person", "Open the run in Kognitos and answer it there.", "asking"),
        RunStatus.STOPPED: ("Stopped", "The run was stopped.", "neutral"),
        RunStatus.CANCELLED: ("Cancelled", "The run was cancelled.", "neutral"),
        RunStatus.SUCCEEDED: ("Succeeded", "The run has succeeded.", "good"),
        RunStatus.FAILED: ("Failed", "The run has failed.", "bad"),
        RunStatus.TIMED_OUT: ("Timed out", "The run took too long.", "bad"),
    }
    _ENDED = SETTLED - {RunStatus.EXCEPTION}  # it resumes once a person has answered

    def __init__(self, client: KognitosClient, process: str) -> None:
        self._client = client
        self._process = process

    async def upload(self, content: UploadSource, *, file_name: str, size: int) -> str:
        return (await self._client.files.upload(content, file_name=file_name, size=size)).id

    async def start_once(
        self,
        *,
        upload_id: str,
        file_name: str,
        file: str,
        earlier: datetime | None,
        before_send: Callable[[], Any],
    ) -> str:
        name = f"{file_name[:60].strip()} ({upload_id})"
        request = RunRequest(process_id=self._process, name=name, file_ids=[file])
        run = await self._client.runs.start_once(request, earlier=earlier, before_send=before_send)
        return run.id

    @asynccontextmanager
    async def watch(self, run_id: str) -> AsyncGenerator[AsyncIterator[RunCard]]:
        async with self._client.watch_run(run_id, until=self._ENDED) as runs:
            yield Cards(runs, self._card)

    async def history(self, *, size: int, after: str | None) -> History:
        page = await self._client.runs.list(self._process, limit=size, continuation_token=after)
        return History(runs=[self._card(run) for run in page.items], next=page.continuation_token)

    async def questions(self) -> list[Question]:
        latest = await self._client.runs.list(self._process, limit=100)  # this API has no filter
        return [
            Question(run_id=run.id, text=self._card(run).title, created=run.created_at, can_answer=False)
            for run in latest.items
            if run.status == RunStatus.EXCEPTION
        ][:20]

    async def answer(self, run_id: str, message: str) -> None:
        raise NotImplementedError("REST API v2 has no operation for answers")

    def _card(self, run: Run) -> RunCard:
        label, sentence, tone = self._SHOWN.get(run.status, unknown(run.status))
        return RunCard(
            id=run.id,
            title=UPLOAD_ID.sub("", run.name),
            label=label,
            sentence=sentence,
            tone=tone,
            ended=run.status in self._ENDED,
            created=run.created_at,
            question=None,
            can_answer=False,
            reason=None,
            outputs={output.name: output.value for output in run.outputs},
        )


def unknown(word: str) -> tuple[str, str, Tone]:
    """The display of a state unknown to this version."""
    return word, f"The run is {word}.", "neutral"
