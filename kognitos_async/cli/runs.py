"""`kognitos runs`: start many, wait for some, export all."""

from __future__ import annotations

from typing import Annotated

import typer

from kognitos_async.cli.bulk import SOME_FAILED, bulk
from kognitos_async.cli.export import export
from kognitos_async.cli.running import complain, run_command
from kognitos_async.errors import WaitTimeoutError
from kognitos_async.rest_v2.client import KognitosClient

runs = typer.Typer(help="Start many runs, wait for some, export all.", no_args_is_help=True)
runs.command()(bulk)
runs.command()(export)


@runs.command()
def wait(
    ids: Annotated[list[str], typer.Argument(metavar="ID...", help="The runs to wait for.")],
    timeout: Annotated[float | None, typer.Option(help="Seconds to wait for all of them.")] = None,
) -> None:
    """Wait for runs and print a line for each as it settles. Exit code 3 if some did not succeed."""
    run_command(_wait(KognitosClient(), ids, timeout))


async def _wait(client: KognitosClient, ids: list[str], timeout: float | None) -> int:
    failed = 0
    async with client, client.wait_for_runs(ids, timeout=timeout) as settled:
        try:
            async for run in settled:
                failed += not run.succeeded
                print(run.id, run.status, run.name, sep="\t", flush=True)
        except WaitTimeoutError as late:
            complain(str(late))
            return 1
    return SOME_FAILED if failed else 0
