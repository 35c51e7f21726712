"""Drop an invoice, watch its run, answer what it asks: FastAPI over one `PlatformClient`. See README.md."""

import asyncio
import json
import os
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from datetime import datetime
from pathlib import Path
from typing import Annotated, Self

import anyio
import uvicorn
from fastapi import Body, FastAPI, HTTPException, Request, Response, UploadFile
from fastapi.responses import FileResponse, JSONResponse
from fastapi.staticfiles import StaticFiles
from intake import Intake
from pydantic import BaseModel
from starlette.types import Receive, Scope, Send

from kognitos_async import F, KognitosError, NotFoundError, PlatformClient, PlatformRun, PollPolicy, RunState

AUTOMATION = os.environ["KOGNITOS_AUTOMATION_ID"]
RECORDS = Path(os.environ.get("WEB_APP_RECORDS", "web_app_records"))
Message = Annotated[str, Body(embed=True, min_length=1)]
STATIC = Path(__file__).parent / "static"
LARGEST_FILE = 50_000_000
ENDED = {RunState.COMPLETED, RunState.FAILED}
HEADERS = {
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; "
        "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    ),
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
}


class RunCard(BaseModel):
    """A run as the page shows it."""

    id: str
    state: str
    ended: bool
    created: datetime
    updated: datetime | None
    question: str | None
    reason: str | None
    outputs: dict[str, object]

    @classmethod
    def of(cls, run: PlatformRun) -> Self:
        """What there is to show of `run`."""
        shown = run.to_dict()
        return cls(
            id=run.id,
            state=run.state,
            ended=run.state in ENDED,
            created=run.create_time,
            updated=run.update_time,
            question=run.guidance.description if run.guidance else None,
            reason=run.failure.description if run.failure else run.stop_reason,
            outputs=shown["outputs"],
        )


class History(BaseModel):
    """A page of runs, and the token of the next."""

    runs: list[RunCard]
    next: str | None


class Question(BaseModel):
    """What a run needs a person for."""

    run_id: str
    asked: str
    created: datetime | None


class InvoiceState(BaseModel):
    """How far an invoice has come."""

    id: str
    file_name: str
    step: str
    run_id: str | None
    problem: str | None


class RunEvents(Response):
    """A run as server-sent events: its state now, then at each change, until it has ended."""

    def __init__(self, client: PlatformClient, run_id: str) -> None:
        super().__init__()
        self._client = client
        self._run_id = run_id

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:  # noqa: ARG002 - of ASGI
        """The response, as ASGI has it."""
        kind = [(b"content-type", b"text/event-stream"), (b"cache-control", b"no-store")]
        await send({"type": "http.response.start", "status": 200, "headers": kind})

        async def say(text: str, *, more: bool = True) -> None:
            await send({"type": "http.response.body", "body": f"{text}\n\n".encode(), "more_body": more})

        async def until_gone() -> None:
            while (await receive())["type"] != "http.disconnect":
                pass
            tasks.cancel_scope.cancel()

        async with anyio.create_task_group() as tasks:
            tasks.start_soon(until_gone)
            try:
                async with self._client.watch_run(
                    self._run_id, automation=AUTOMATION, until=ENDED
                ) as changes:
                    await self._tell(changes, say)
                await say("event: end\ndata: {}", more=False)
            except KognitosError as error:
                await say(f"event: problem\ndata: {json.dumps(str(error))}", more=False)
            tasks.cancel_scope.cancel()

    @staticmethod
    async def _tell(changes: AsyncIterator[PlatformRun], say: Callable[[str], Awaitable[None]]) -> None:
        while True:
            try:
                async with asyncio.timeout(15):
                    run = await anext(changes)
            except TimeoutError:  # ends this step alone: the next one goes on where it was
                await say(": still watching")
            except StopAsyncIteration:
                return
            else:
                await say(f"data: {RunCard.of(run).model_dump_json()}")


@asynccontextmanager
async def lifespan(app: FastAPI) -> AsyncIterator[None]:
    """One client for the whole application; starts that an earlier process left open are settled first."""
    async with PlatformClient(poll=PollPolicy(initial=0.5, maximum=3.0)) as client:
        app.state.client = client
        app.state.intake = intake = Intake(client, AUTOMATION, RECORDS)
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(intake.go_on)
            yield
            tasks.cancel_scope.cancel()


app = FastAPI(title="Invoices", lifespan=lifespan)
app.mount("/static", StaticFiles(directory=STATIC))


@app.middleware("http")
async def guard(request: Request, call_next: Callable[[Request], Awaitable[Response]]) -> Response:
    """Headers for every answer; other sites can neither read this one nor post to it."""
    foreign = request.headers.get("Sec-Fetch-Site", "same-origin") not in ("same-origin", "none")
    if foreign and request.method not in ("GET", "HEAD"):
        return JSONResponse({"detail": "from another site"}, 403)
    response = await call_next(request)
    response.headers.update(HEADERS)
    return response


@app.exception_handler(KognitosError)
async def unavailable(_request: Request, error: Exception) -> JSONResponse:
    """What Kognitos refuses or does not answer, in words for the page."""
    status = 404 if isinstance(error, NotFoundError) else 502
    return JSONResponse({"detail": str(error)}, status)


@app.get("/", include_in_schema=False)
async def page() -> FileResponse:
    return FileResponse(STATIC / "index.html", headers={"Cache-Control": "no-cache"})


@app.post("/api/invoices/{invoice_id}")
async def take(request: Request, invoice_id: uuid.UUID, file: UploadFile) -> InvoiceState:
    """Upload a file and start its run. The browser makes the id up, so that it can ask again for it."""
    intake: Intake = request.app.state.intake
    if (known := intake.find(invoice_id)) is None:
        if not file.filename or not file.size or file.size > LARGEST_FILE:
            raise HTTPException(422, f"A file must hold 1 to {LARGEST_FILE} bytes and have a name.")
        # In a task of its own: a browser that goes away must not end a start half-way.
        known = await asyncio.shield(
            asyncio.create_task(intake.take(invoice_id, file.filename, file, file.size))
        )
    return InvoiceState.model_validate(known, from_attributes=True)


@app.get("/api/invoices/{invoice_id}")
async def invoice(request: Request, invoice_id: uuid.UUID) -> InvoiceState:
    """How far an invoice has come."""
    known = request.app.state.intake.find(invoice_id)
    if known is None:
        raise HTTPException(404, "This invoice never arrived. Drop the file again.")
    return InvoiceState.model_validate(known, from_attributes=True)


@app.get("/api/runs")
async def history(request: Request, after: str | None = None, size: int = 8) -> History:
    """A page of the history, newest first."""
    listed = await client_of(request).runs.list(AUTOMATION, page_size=size, page_token=after)
    return History(runs=[RunCard.of(run) for run in listed.items], next=listed.continuation_token)


@app.get("/api/runs/{run_id}")
async def run(request: Request, run_id: str) -> PlatformRun:
    """The run as Kognitos has it: the library's models are documented like any other."""
    return await client_of(request).runs.get(run_id, automation=AUTOMATION)


@app.get("/api/runs/{run_id}/events", response_class=Response)
async def events(request: Request, run_id: str) -> Response:
    """The run live, as server-sent events."""
    return RunEvents(client_of(request), run_id)


@app.get("/api/questions")
async def questions(request: Request) -> list[Question]:
    """What waits for a person, newest first: at most 20."""
    listed = await client_of(request).exceptions.list(filter=F.state == "PENDING", page_size=20)
    return [
        Question(
            run_id=item.run.rpartition("/")[2],
            asked=item.description or item.message,
            created=item.create_time,
        )
        for item in listed.items
    ]


@app.post("/api/runs/{run_id}/answer", status_code=204)
async def answer(
    request: Request, run_id: str, message: Annotated[str, Body(embed=True, min_length=1)]
) -> None:
    """Answer what a run asks; it goes on by itself."""
    await client_of(request).exceptions.reply(run_id, message, automation=AUTOMATION)


def client_of(request: Request) -> PlatformClient:
    client: PlatformClient = request.app.state.client
    return client


if __name__ == "__main__":
    uvicorn.run(
        app,
        host="127.0.0.1",
        port=int(os.environ.get("PORT", "8000")),
        timeout_graceful_shutdown=2,
        log_level="warning",
    )
