"""`kognitos runs`: start many, wait for some, export all."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from kognitos_async.cli.bulk import SOME_FAILED, bulk, wrong_call
from kognitos_async.cli.export import export
from kognitos_async.cli.running import complain, run_command
from kognitos_async.errors import NotFoundError, UnknownStatusError, WaitTimeoutError
from kognitos_async.rest_v2.client import KognitosClient

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from contextlib import AbstractAsyncContextManager

    from kognitos_async.rest_v2.models import Run

runs = typer.Typer(help="Start many runs, wait for some, export all.", no_args_is_help=True)
runs.command()(bulk)
runs.command()(export)


@runs.command()
def wait(
    ids: Annotated[list[str], typer.Argument(metavar="ID...", help="The runs to wait for.")],
    timeout: Annotated[float | None, typer.Option(help="Seconds to wait for all of them.")] = None,
) -> None:
    """Wait for runs and print a line for each as it settles.

    Exit code 3 if some did not succeed, 1 if some cannot be found or have not settled in time.
    """
    client = KognitosClient()
    with wrong_call():
        waiting = client.wait_for_runs(dict.fromkeys(ids), timeout=timeout)
    run_command(_wait(client, waiting))


async def _wait(client: KognitosClient, waiting: AbstractAsyncContextManager[AsyncIterator[Run]]) -> int:
    """The exit code. What is wrong with one run does not end the wait for the others."""
    failed = lost = 0
    async with client, waiting as settled:
        while True:
            try:
                run = await anext(settled)
            except StopAsyncIteration:
                break
            except (NotFoundError, UnknownStatusError, WaitTimeoutError) as problem:
                lost += 1
                complain(str(problem))
                continue
            failed += not run.succeeded
            print(run.id, run.status, run.name, sep="\t", flush=True)
    if lost:
        return 1
    return SOME_FAILED if failed else 0
