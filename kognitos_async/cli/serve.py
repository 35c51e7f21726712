"""`kognitos serve`: run the emulator."""

from __future__ import annotations

import asyncio
import signal
from contextlib import suppress
from enum import StrEnum
from pathlib import Path  # noqa: TC003 - typer reads the annotations
from typing import TYPE_CHECKING, Annotated

import typer

from kognitos_async.cli.running import emulator, reported_errors, run_command, usage_errors
from kognitos_async.settings import is_loopback

if TYPE_CHECKING:
    from kognitos_async.testing import KognitosServer


class Outcome(StrEnum):
    """Outcome of runs, as a status of REST API v2."""

    RANDOM = "random"
    SUCCEEDED = "succeeded"
    EXCEPTION = "exception"
    STOPPED = "stopped"
    FAILED = "failed"


class Order(StrEnum):
    """Order of the list of runs."""

    NEWEST = "newest"
    OLDEST = "oldest"
    SHUFFLED = "shuffled"


def serve(
    *,
    port: Annotated[
        int, typer.Option(metavar="PORT", min=0, max=65535, help="Port to listen on; 0 for a free one.")
    ] = 0,
    host: Annotated[
        str,
        typer.Option(metavar="ADDRESS", help="Address to listen on; beyond loopback needs --allow-remote."),
    ] = "127.0.0.1",
    allow_remote: Annotated[
        bool,
        typer.Option(
            "--allow-remote", help="Allow a --host that other machines can reach, as in a container."
        ),
    ] = False,
    api_key: Annotated[
        str, typer.Option(metavar="KEY", help="API key that clients of REST API v2 must send.")
    ] = "test-key",
    agent: Annotated[str, typer.Option(metavar="ID", help="ID of the agent.")] = "agent-1",
    capacity: Annotated[
        int, typer.Option(metavar="N", min=1, help="Maximum concurrent runs; more are rejected with 403.")
    ] = 150,
    rate_limit: Annotated[
        float | None,
        typer.Option(metavar="N", min=0.001, help="Maximum requests per second; more get 429."),
    ] = None,
    latency: Annotated[float, typer.Option(metavar="SECONDS", min=0.0, help="Delay of each answer.")] = 0.0,
    order: Annotated[Order, typer.Option(help="Order of the list of runs.")] = Order.NEWEST,
    duration: Annotated[
        str, typer.Option(metavar="SECONDS|LOW-HIGH", help="Time until a run settles.")
    ] = "2-10",
    outcome: Annotated[
        Outcome, typer.Option(help="Outcome of every run; with exception each needs a person.")
    ] = Outcome.RANDOM,
    seed: Annotated[
        int, typer.Option(metavar="N", help="Random seed; the same seed gives the same IDs and outcomes.")
    ] = 0,
    state: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Keep runs and files in FILE across restarts."),
    ] = None,
    control_token: Annotated[
        str | None,
        typer.Option(metavar="TOKEN", help="Serve the control API, for faults and counts, with this token."),
    ] = None,
) -> None:
    """Run an emulator of both APIs until Ctrl-C.

    Prints the environment variables that direct clients to it, as `export` lines. By default outcomes are
    random: most runs succeed, some are stopped or need a person.
    """
    if not allow_remote and not is_loopback(host):
        raise typer.BadParameter(
            f"{host} is not a loopback address: use --allow-remote to let other machines reach it",
            param_hint="--host",
        )
    low, high = _seconds(duration)
    chosen = {} if outcome is Outcome.RANDOM else {"outcomes": {outcome.value.capitalize(): 1.0}}
    testing = emulator()
    with reported_errors(), usage_errors():
        server: KognitosServer = testing.KognitosServer(
            api_key=api_key,
            agent_id=agent,
            schedule=testing.Schedule.random(low, high, seed=seed, **chosen),
            order=order.value,
            capacity=capacity,
            rate_limit=rate_limit,
            latency=latency,
            seed=seed,
            host=host,
            port=port,
            state=state,
            control_token=control_token,
        )
    run_command(_until_interrupted(server))


async def _until_interrupted(server: KognitosServer) -> int:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    async with server:
        for name in (signal.SIGINT, signal.SIGTERM):
            with suppress(NotImplementedError):  # Windows: there Ctrl-C cancels the wait below
                loop.add_signal_handler(name, stop.set)
        for variable, value in server.environ.items():
            print(f"export {variable}={value}")
        print(f"# both APIs are served at {server.url}", flush=True)
        with suppress(asyncio.CancelledError):
            await stop.wait()
    runs = len(server.runs) + len(server.platform.runs)
    files = len(server.files) + len(server.platform.files)
    print(f"requests {server.count()}, runs {runs}, files {files}")
    return 0


def _seconds(duration: str) -> tuple[float, float]:
    """Minimum and maximum of `2-10` or `5`."""
    low, dash, high = duration.partition("-")
    try:
        shortest = float(low)
        longest = float(high) if dash else shortest
    except ValueError:
        shortest, longest = 1.0, 0.0
    if not 0 <= shortest <= longest < float("inf"):
        raise typer.BadParameter(
            f"must be SECONDS or LOW-HIGH, such as 2-10, got {duration!r}", param_hint="--duration"
        )
    return shortest, longest
