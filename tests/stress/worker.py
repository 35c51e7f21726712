"""One pass of a stressed bulk job, in a process of its own that may be killed: a line for each outcome."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import signal
import sys
import threading
from typing import Any

import msgspec

from kognitos_async import (
    InvokeRequest,
    KognitosClient,
    PlatformClient,
    PollPolicy,
    RetryPolicy,
    RunRequest,
)

OPTIONS: dict[str, Any] = {
    "retry": RetryPolicy(max_attempts=3, base_delay=0.005, max_delay=0.05),
    "poll": PollPolicy(initial=0.02, maximum=0.1),
    "request_timeout": 1.0,
}


class Pass(msgspec.Struct, frozen=True):
    """What the worker is to do."""

    api: str
    uvloop: bool
    names: list[str]
    target: str
    max_in_flight: int
    journal: str
    ending: str
    share: float


async def main(work: Pass) -> None:
    requests: list[Any]
    if work.api == "rest_v2":
        client: Any = KognitosClient(**OPTIONS)
        requests = [
            RunRequest(process_id=work.target, name=name, inputs={"key": name}) for name in work.names
        ]
    else:
        client = PlatformClient(**OPTIONS)
        requests = [
            InvokeRequest(automation=work.target, name=name, inputs={"key": name}) for name in work.names
        ]
    if work.ending == "killed":
        # From a thread: the event loop may be anywhere.
        threading.Timer(0.02 + 1.5 * work.share, os.kill, (os.getpid(), signal.SIGKILL)).start()
    loop = asyncio.get_running_loop()
    task = asyncio.current_task()
    assert task is not None
    if work.ending == "cancelled":
        loop.call_later(0.02 + work.share, task.cancel)
    printed = 0
    with contextlib.suppress(asyncio.CancelledError):
        async with (
            client,
            client.run_many(
                requests, max_in_flight=work.max_in_flight, journal=work.journal, absence_delay=0.25
            ) as outcomes,
        ):
            async for outcome in outcomes:
                run = outcome.run
                line = {
                    "name": outcome.request.name,
                    "run": None if run is None else run.id,
                    "error": None if outcome.error is None else type(outcome.error).__name__,
                    "text": str(outcome.error or ""),
                }
                print(msgspec.json.encode(line).decode(), flush=True)
                printed += 1
                if work.ending == "left" and printed >= max(1, work.share * len(requests)):
                    break
    print(msgspec.json.encode({"end": work.ending}).decode(), flush=True)
    leftover = [one for one in asyncio.all_tasks() if one is not task]
    if leftover:
        print(msgspec.json.encode({"leftover": repr(leftover)}).decode(), flush=True)


if __name__ == "__main__":
    logging.getLogger("kognitos_async").setLevel(logging.ERROR)
    given = msgspec.json.decode(sys.argv[1], type=Pass)
    if given.uvloop:
        import uvloop

        uvloop.run(main(given))
    else:
        asyncio.run(main(given), debug=False)
