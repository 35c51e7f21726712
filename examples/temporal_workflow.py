"""A Temporal workflow that starts a run once and waits for it, across crashes of its workers.

Needs `pip install temporalio` and a Temporal server (`temporal server start-dev`). Set KOGNITOS_API_KEY,
KOGNITOS_AGENT_ID and KOGNITOS_PROCESS_ID (`kognitos serve` prints values to try), then run workers with

    python examples/temporal_workflow.py worker

and start a workflow, repeatedly if you like: its id is the name, and a workflow runs once:

    python examples/temporal_workflow.py start "invoice INV-0001, 2026-03"

The activities and the fence have unit tests. The workflow as a whole is untested: temporalio ships no server
and downloads one when its test environment is first used.
"""

# pyright: reportUnknownMemberType=false
# Some overloads of temporalio are partly unannotated.

import asyncio
import sys
from datetime import UTC, datetime, timedelta
from os import environ
from typing import Any

import msgspec
from temporalio import activity, workflow
from temporalio.client import Client
from temporalio.common import RetryPolicy, WorkflowIDReusePolicy
from temporalio.exceptions import ApplicationError
from temporalio.worker import Worker

with workflow.unsafe.imports_passed_through():
    from kognitos_async import RunHandle, RunRequest, shared_client

QUEUE = "kognitos"
HEARTBEAT = timedelta(seconds=20)
HOPELESS = [  # error names that are not retried
    *("AuthenticationError", "BadRequestError", "NotFoundError", "PermissionDeniedError"),
    *("RunExceptionError", "RunFailedError", "RunStoppedError"),
]


@activity.defn
async def start_run(process_id: str, name: str) -> dict[str, Any]:
    """The handle of the one run of that name, recorded in the workflow before it is sent."""
    info = activity.info()
    if info.workflow_id is None:
        raise ApplicationError("start_run belongs to a workflow", non_retryable=True)
    owner = activity.client().get_workflow_handle(info.workflow_id, run_id=info.workflow_run_id)
    sending = await owner.execute_update(KognitosRun.begin, info.attempt)

    async def about_to_send() -> None:
        # Rejected once a later attempt has begun: a frozen worker sends nothing when it wakes.
        now = datetime.now(UTC).isoformat()
        await owner.execute_update(KognitosRun.about_to_send, args=[info.attempt, now])

    async with shared_client() as client:
        run = await client.runs.start_once(
            RunRequest(process_id=process_id, name=name),
            earlier=None if sending is None else datetime.fromisoformat(sending),
            before_send=about_to_send,
        )
    handle: dict[str, Any] = msgspec.to_builtins(run.handle)
    return handle


@activity.defn
async def wait_for_run(handle: dict[str, Any]) -> dict[str, str | int | float]:
    """The outputs of the run. Waits of one worker share a client and its polls."""

    async def stay_alive() -> None:
        while True:
            activity.heartbeat()
            await asyncio.sleep(HEARTBEAT.total_seconds() / 4)

    heart = asyncio.create_task(stay_alive())
    try:
        async with shared_client() as client:
            run = await client.wait_for_run(msgspec.convert(handle, RunHandle))
        return run.raise_for_status().outputs_by_name
    finally:
        heart.cancel()


@workflow.defn
class KognitosRun:
    """One run: start, then wait. Cancelling the workflow ends the wait; the run continues."""

    def __init__(self) -> None:
        self.attempt = 0
        self.sending: str | None = None

    @workflow.update
    def begin(self, attempt: int) -> str | None:
        """Take over from earlier attempts; returns when one of them was about to send, if any."""
        self.attempt = max(self.attempt, attempt)
        return self.sending

    @workflow.update
    def about_to_send(self, attempt: int, now: str) -> None:
        """Check the fence and record the intent in one step."""
        if attempt < self.attempt:
            raise ApplicationError(f"attempt {attempt} was superseded by {self.attempt}: not sent")
        self.sending = now

    @workflow.run
    async def run(self, process_id: str, name: str) -> dict[str, str | int | float]:
        """The outputs of the run."""
        policy = RetryPolicy(non_retryable_error_types=HOPELESS)
        handle = await workflow.execute_activity(
            start_run,
            args=[process_id, name],
            start_to_close_timeout=timedelta(minutes=5),
            retry_policy=policy,
        )
        return await workflow.execute_activity(
            wait_for_run,
            handle,
            start_to_close_timeout=timedelta(days=7),
            heartbeat_timeout=HEARTBEAT,
            retry_policy=policy,
        )


async def main(command: str, *names: str) -> None:
    client = await Client.connect(environ.get("TEMPORAL_ADDRESS", "localhost:7233"))
    if command == "worker":
        await Worker(
            client, task_queue=QUEUE, workflows=[KognitosRun], activities=[start_run, wait_for_run]
        ).run()
    for name in names:
        outputs = await client.execute_workflow(
            KognitosRun.run,
            args=[environ["KOGNITOS_PROCESS_ID"], name],
            id=name,
            task_queue=QUEUE,
            id_reuse_policy=WorkflowIDReusePolicy.REJECT_DUPLICATE,
        )
        print(outputs)


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
