"""A web service that answers with the outcome of a run; one client serves all requests.

Set KOGNITOS_API_KEY, KOGNITOS_AGENT_ID and KOGNITOS_PROCESS_ID (`kognitos serve` prints values to try), then

    python examples/web_handler.py 8080
    curl -d '{"invoice": "INV-0001"}' http://127.0.0.1:8080/invoices
"""

import os
import sys
import uuid
from collections.abc import AsyncIterator

from aiohttp import web

from kognitos_async import KognitosClient, WaitTimeoutError

CLIENT = web.AppKey("kognitos", KognitosClient)


async def kognitos(app: web.Application) -> AsyncIterator[None]:
    async with KognitosClient() as client:
        app[CLIENT] = client
        yield


async def process_invoice(request: web.Request) -> web.Response:
    invoice = (await request.json())["invoice"]
    try:
        # The timeout ends only the wait: the run continues.
        run = await request.app[CLIENT].run_and_wait(
            os.environ["KOGNITOS_PROCESS_ID"],
            name=f"invoice {uuid.uuid4()}",
            inputs={"invoice": invoice},
            timeout=50,
        )
    except WaitTimeoutError as late:
        return web.json_response({"run": late.run.id, "status": late.run.status}, status=202)
    return web.json_response({"run": run.id, "status": run.status, "outputs": run.outputs_by_name})


if __name__ == "__main__":
    app = web.Application()
    app.cleanup_ctx.append(kognitos)
    app.router.add_post("/invoices", process_invoice)
    web.run_app(app, host="127.0.0.1", port=int(sys.argv[1]))
