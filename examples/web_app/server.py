"""Drop an invoice, watch its run, answer its questions: FastAPI on one client of Kognitos. See README.md.

python examples/web_app/server.py
"""

import asyncio
import json
import os
import uuid
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Annotated

import uvicorn
from fastapi import Body, FastAPI, HTTPException, Query, Request, UploadFile
from fastapi.middleware.trustedhost import TrustedHostMiddleware
from fastapi.responses import FileResponse, JSONResponse, StreamingResponse
from fastapi.staticfiles import StaticFiles
from guard import Guard
from intake import Intake, Invoice
from kognitos_api import History, KognitosApi, Question, open_api
from pydantic import BaseModel

from kognitos_async import KognitosError, NotFoundError

STATIC = Path(__file__).parent / "static"
RECORDS = Path(os.environ.get("WEB_APP_RECORDS", "web_app_records"))
HOSTS = os.environ.get("WEB_APP_HOSTS", "127.0.0.1,localhost").split(",")
LARGEST_FILE = 50_000_000  # bytes; also stated on the page
LARGEST_BODY = LARGEST_FILE + 10_000
HEARTBEAT = 15.0


class InvoiceState(BaseModel):
    """The state of an invoice."""

    id: str
    file_name: str
    step: str
    run_id: str | None
    problem: str | None
    can_retry: bool

    @classmethod
    def of(cls, invoice: Invoice) -> "InvoiceState":
        """The part of an invoice that the page may see."""
        return cls.model_validate(invoice, from_attributes=True)


@asynccontextmanager
async def lifespan(app: FastAPI) -> AsyncGenerator[None]:
    """One client for the whole application; resumes what an earlier process left unfinished."""
    async with open_api() as api, Intake(api, RECORDS) as intake:
        app.state.api, app.state.intake = api, intake
        yield


app = FastAPI(title="Invoices", lifespan=lifespan, docs_url=None, redoc_url=None)
app.mount("/static", StaticFiles(directory=STATIC))
app.add_middleware(Guard, largest_body=LARGEST_BODY)
app.add_middleware(TrustedHostMiddleware, allowed_hosts=HOSTS)


@app.exception_handler(KognitosError)
async def unavailable(_request: Request, error: Exception) -> JSONResponse:
    """Turn errors of Kognitos into responses."""
    return JSONResponse({"detail": str(error)}, 404 if isinstance(error, NotFoundError) else 502)


@app.get("/", include_in_schema=False)
async def page() -> FileResponse:
    return FileResponse(STATIC / "index.html", headers={"Cache-Control": "no-cache"})


@app.post("/api/invoices/{invoice_id}")
async def take(request: Request, invoice_id: uuid.UUID, file: UploadFile) -> InvoiceState:
    """Upload a file and start its run. The browser generates the id, so that it can repeat the request."""
    name = (file.filename or "").replace("\\", "/").rpartition("/")[2]
    if not name or len(name) > 200:
        raise HTTPException(422, "The file needs a name of at most 200 characters.")
    if not file.size or file.size > LARGEST_FILE:
        raise HTTPException(422, f"The file must hold 1 to {LARGEST_FILE:,} bytes.")
    intake: Intake = request.app.state.intake
    return InvoiceState.of(await intake.take(invoice_id, file, file_name=name, size=file.size))


@app.get("/api/invoices/{invoice_id}")
async def invoice(request: Request, invoice_id: uuid.UUID) -> InvoiceState:
    """The state of an invoice."""
    intake: Intake = request.app.state.intake
    if (known := intake.find(invoice_id)) is None:
        raise HTTPException(404, "This invoice was not received. Please send the file again.")
    return InvoiceState.of(known)


@app.get("/api/runs")
async def history(
    request: Request, after: str | None = None, size: Annotated[int, Query(ge=1, le=100)] = 8
) -> History:
    """A page of the history, newest first."""
    return await api_of(request).history(size=size, after=after)


@app.get("/api/runs/{run_id}/events", response_class=StreamingResponse)
async def events(request: Request, run_id: str) -> StreamingResponse:
    """Server-sent events of a run: its current state, then each change, until it has ended."""
    return StreamingResponse(
        run_events(api_of(request), run_id),
        media_type="text/event-stream",
        headers={"Cache-Control": "no-store", "X-Accel-Buffering": "no"},
    )


async def run_events(api: KognitosApi, run_id: str) -> AsyncIterator[str]:
    """Every stream begins with the current state, so that it may break and be reopened at any time."""
    yield "retry: 1000\n\n"
    try:
        async with api.watch(run_id) as cards:
            while True:
                try:
                    async with asyncio.timeout(HEARTBEAT):
                        card = await anext(cards)
                except TimeoutError:  # ends this step only; the next one continues
                    yield ": still watching\n\n"
                except StopAsyncIteration:
                    break
                else:
                    yield f"data: {card.model_dump_json()}\n\n"
    except KognitosError as error:
        yield f"event: problem\ndata: {json.dumps(str(error))}\n\n"
    else:
        yield "event: end\ndata: {}\n\n"


@app.get("/api/questions")
async def questions(request: Request) -> list[Question]:
    """Up to 20 runs that wait for a person."""
    return await api_of(request).questions()


@app.post("/api/runs/{run_id}/answer", status_code=204)
async def answer(
    request: Request, run_id: str, message: Annotated[str, Body(embed=True, min_length=1, max_length=10_000)]
) -> None:
    """Answer the question of a run, which resumes it."""
    try:
        await api_of(request).answer(run_id, message)
    except NotImplementedError as error:
        raise HTTPException(501, "Answer this run in Kognitos.") from error


def api_of(request: Request) -> KognitosApi:
    api: KognitosApi = request.app.state.api
    return api


if __name__ == "__main__":
    port = int(os.environ.get("PORT", "8000"))
    print(f"Open http://127.0.0.1:{port}", flush=True)
    uvicorn.run(app, host="127.0.0.1", port=port, timeout_graceful_shutdown=1, log_level="warning")
