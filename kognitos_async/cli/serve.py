"""`kognitos serve`: the emulator alone."""

from __future__ import annotations

import asyncio
import signal
from contextlib import suppress
from enum import StrEnum
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
    port: Annotated[int, typer.Option(min=0, max=65535, help="Where to listen; 0 takes a free port.")] = 0,
    host: Annotated[str, typer.Option(help="A loopback address; no other is served.")] = "127.0.0.1",
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
    platform: Annotated[
        bool, typer.Option("--platform", help="Print the environment for the platform API; both are served.")
    ] = False,
) -> None:
    """Run the emulator until Ctrl-C, and print the environment that leads clients to it."""
    if not is_loopback(host):
        raise typer.BadParameter(f"{host} is not a loopback address", param_hint="--host")
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
    )
    run_command(_until_interrupted(server, platform=platform))


async def _until_interrupted(server: KognitosServer, *, platform: bool) -> int:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    async with server:
        for name in (signal.SIGINT, signal.SIGTERM):
            with suppress(NotImplementedError):  # Windows: there Ctrl-C cancels the wait below
                loop.add_signal_handler(name, stop.set)
        api = server.platform if platform else server
        kind, item = ("automation", server.platform.automation) if platform else ("process", server.process)
        for variable, value in api.environ.items():
            print(f"export {variable}={value}")
        print(f"export KOGNITOS_{kind.upper()}_ID={item.id}")
        print(f"# {kind}: {item.id}", flush=True)
        with suppress(asyncio.CancelledError):
            await stop.wait()
    print(f"requests {server.count()}, runs {len(api.runs)}, files {len(api.files)}")
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
            f"{duration!r} is neither seconds nor low-high, such as 2-10", param_hint="--duration"
        )
    return shortest, longest
