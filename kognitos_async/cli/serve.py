"""`kognitos serve`: the emulator alone."""

from __future__ import annotations

import asyncio
import signal
from contextlib import suppress
from enum import StrEnum
from pathlib import Path  # noqa: TC003 - typer reads the annotations
from typing import TYPE_CHECKING, Annotated

import typer

from kognitos_async.cli.running import emulator, run_command
from kognitos_async.settings import is_loopback

if TYPE_CHECKING:
    from kognitos_async.testing import KognitosServer


class Order(StrEnum):
    """How the list of runs is sorted."""

    NEWEST = "newest"
    OLDEST = "oldest"
    SHUFFLED = "shuffled"


def serve(
    *,
    port: Annotated[int, typer.Option(min=0, max=65535, help="Port to listen on; 0 takes a free one.")] = 0,
    host: Annotated[
        str, typer.Option(help="Address to listen on; other than loopback only with --allow-remote.")
    ] = "127.0.0.1",
    allow_remote: Annotated[
        bool,
        typer.Option(
            "--allow-remote", help="Accept a --host that other machines reach, as containers need it."
        ),
    ] = False,
    api_key: Annotated[str, typer.Option(help="The key that clients must send.")] = "test-key",
    agent: Annotated[str, typer.Option(help="The id of the agent.")] = "agent-1",
    capacity: Annotated[int, typer.Option(min=1, help="Runs at once; more are refused with 403.")] = 150,
    rate_limit: Annotated[
        float | None, typer.Option(min=0.001, help="Requests a second; more are refused with 429.")
    ] = None,
    latency: Annotated[float, typer.Option(min=0.0, help="Seconds before each answer.")] = 0.0,
    order: Annotated[Order, typer.Option(help="How the list of runs is sorted.")] = Order.NEWEST,
    duration: Annotated[
        str, typer.Option(metavar="SECONDS|LOW-HIGH", help="How long runs take to settle.")
    ] = "2-10",
    seed: Annotated[int, typer.Option(help="The same seed gives the same ids and outcomes.")] = 0,
    state: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Keep runs and files here, so that they survive a restart."),
    ] = None,
    control_token: Annotated[
        str | None,
        typer.Option(metavar="TOKEN", help="Let holders of TOKEN set faults and read counts over HTTP."),
    ] = None,
) -> None:
    """Run the emulator until Ctrl-C, and print the environment that leads clients of both APIs to it."""
    if not allow_remote and not is_loopback(host):
        raise typer.BadParameter(
            f"{host} is not a loopback address; other machines may reach it: add --allow-remote",
            param_hint="--host",
        )
    low, high = _seconds(duration)
    testing = emulator()
    server: KognitosServer = testing.KognitosServer(
        api_key=api_key,
        agent_id=agent,
        schedule=testing.Schedule.random(low, high, seed=seed),
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
    """The shortest and the longest time of `2-10` or `5`."""
    low, dash, high = duration.partition("-")
    try:
        shortest = float(low)
        longest = float(high) if dash else shortest
    except ValueError:
        shortest, longest = 1.0, 0.0
    if not 0 <= shortest <= longest < float("inf"):
        raise typer.BadParameter(
            f"must be seconds or low-high, such as 2-10, got {duration!r}", param_hint="--duration"
        )
    return shortest, longest
