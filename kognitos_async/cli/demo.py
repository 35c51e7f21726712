"""`kognitos demo`: many concurrent runs, each started exactly once although answers are lost."""

from __future__ import annotations

from collections import Counter
from contextlib import AsyncExitStack
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import TYPE_CHECKING, Annotated

import typer

from kognitos_async.cli.console import PipedConsole
from kognitos_async.cli.crash_demo import survive_a_kill
from kognitos_async.cli.display import Display, outcome_table
from kognitos_async.cli.running import emulator, run_command
from kognitos_async.cli.workload import LogCounter, Workload
from kognitos_async.rest_v2.client import KognitosClient
from kognitos_async.retry import RetryPolicy
from kognitos_async.waiting.policy import PollPolicy

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from types import ModuleType

    from rich.console import Console

    from kognitos_async.cli.workload import History
    from kognitos_async.testing import FaultHandle, KognitosServer

_RUNS = 60
_EARLIER_RUNS = 940
_POLL = PollPolicy(initial=0.3, maximum=1.0)
_RETRY = RetryPolicy(base_delay=0.1)


def demo(
    process: Annotated[
        str | None, typer.Option(metavar="ID", help="Use a real account: the process to run.")
    ] = None,
    base_url: Annotated[
        str | None,
        typer.Option(
            metavar="URL", help="Address of the real account (env: KOGNITOS_BASE_URL, KOGNITOS_REGION)."
        ),
    ] = None,
    agent: Annotated[
        str | None, typer.Option(metavar="ID", help="Agent of the real account (env: KOGNITOS_AGENT_ID).")
    ] = None,
    runs: Annotated[
        int, typer.Option(metavar="N", min=1, max=10_000, help="Number of runs to start.")
    ] = _RUNS,
    timeout: Annotated[
        float, typer.Option(metavar="SECONDS", min=1.0, help="Maximum wait for each run of a real account.")
    ] = 3600.0,
) -> None:
    """Demonstrate exactly-once starts on an emulator.

    Kills and resumes a bulk job, then uploads a file, starts many runs with it and accounts for each, while
    the emulator loses answers, rejects requests and lets runs fail. With --process, the runs are real ones,
    started with the key in KOGNITOS_API_KEY.
    """
    if process is None and (base_url is not None or agent is not None):
        raise typer.BadParameter(
            "is missing: --base-url and --agent are for a real account", param_hint="--process"
        )
    # In a file, each row stays on one line.
    console = PipedConsole()
    if not console.is_terminal:
        console = PipedConsole(width=160)
    if process is None:
        run_command(_on_emulator(emulator(), console, runs))
    else:
        run_command(_on_account(console, process, base_url, agent, runs, timeout))


@dataclass(slots=True)
class _Place:
    """The emulator or a real account, and how requests and duplicates are counted there."""

    client: KognitosClient
    process_id: str
    absence_delay: float
    timeout: float
    requests: Callable[[], int] | None
    duplicates: Callable[[History], int]


async def _on_emulator(testing: ModuleType, console: Console, runs: int) -> int:
    server: KognitosServer = testing.KognitosServer(
        schedule=testing.Schedule.random(
            0.5, 2.5, seed=1, outcomes={"Succeeded": 0.8, "Exception": 0.14, "Stopped": 0.06}
        )
    )
    _add_earlier_runs(server)
    survived = await survive_a_kill(testing, console)
    spoilt = _misbehave(server, testing)
    console.print(f"starting an emulator with {_EARLIER_RUNS} earlier runs and faults", highlight=False)
    async with server:
        client = server.client(poll=_POLL, retry=_RETRY)
        place = _Place(
            client=client,
            process_id=server.process.id,
            absence_delay=1.0,
            timeout=20.0,
            requests=server.count,
            duplicates=lambda _history: sum(count - 1 for count in server.duplicates().values()),
        )
        return await _show(place, console, runs, spoilt) or (0 if survived else 1)


async def _on_account(
    console: Console, process: str, base_url: str | None, agent: str | None, runs: int, timeout: float
) -> int:
    place = _Place(
        client=KognitosClient(base_url=base_url, agent_id=agent),
        process_id=process,
        absence_delay=5.0,
        timeout=timeout,
        requests=None,
        duplicates=lambda history: sum(count - 1 for count in history.names.values()),
    )
    return await _show(place, console, runs)


async def _show(place: _Place, console: Console, runs: int, spoilt: Sequence[FaultHandle] = ()) -> int:
    """Run the workload; exit code 0 if every run exists exactly once and has settled."""
    async with AsyncExitStack() as stack:
        logged = stack.enter_context(LogCounter())
        client = await stack.enter_async_context(place.client)
        with Display(console, runs) as display:
            workload = Workload(
                client,
                place.process_id,
                runs,
                absence_delay=place.absence_delay,
                timeout=place.timeout,
                on_change=lambda: display.show(workload),
                say=display.say,
            )
            file = await workload.upload()
            display.say(f"uploaded {file.file_name}, {file.size} bytes, for {runs} runs")
            await workload.run(file)
        history = await workload.read_history()
    console.print(outcome_table(workload.jobs))
    known = sum(
        job.run is not None and job.run.settled and job.run.id in history.ids for job in workload.jobs
    )
    duplicates = place.duplicates(history)
    lost = runs - known
    # The emulator counts requests; for a real account, attempts are counted.
    requests = logged.attempts if place.requests is None else place.requests()
    tell = partial(console.print, highlight=False, soft_wrap=True)
    found, absent = workload.lost.found, workload.lost.absent
    if spoilt:
        bites = Counter[str]()
        for handle in spoilt:
            bites[handle.fault.name] += handle.hits
        counts = ", ".join(f"{name} {count}" for name, count in bites.items())
        tell(f"the emulator misbehaved {bites.total()} times: {counts}")
    tell(f"the history holds {history.items} runs")
    tell(f"starts with a lost answer: {found + absent}; found {found}, absent and started again {absent}")
    tell(
        f"runs {runs}  requests {requests}  retries {logged.retries}  recovered {found}  "
        f"duplicates {duplicates}  lost {lost}"
    )
    return 1 if duplicates or lost else 0


def _add_earlier_runs(server: KognitosServer) -> None:
    now = datetime.now(UTC)
    for number in range(_EARLIER_RUNS):
        server.add_run(
            name=f"earlier run {number + 1}",
            status="Exception" if number % 10 == 0 else "Succeeded",
            created_at=now - timedelta(hours=_EARLIER_RUNS - number),
        )


def _misbehave(server: KognitosServer, testing: ModuleType) -> list[FaultHandle]:
    """Queue faults; each follows the one before it and `skip` good answers."""
    faults = testing.faults
    starts = (
        (4, faults.reset(after_work=True)),
        # Early, among many starts: the client learns the rate from the second before.
        (2, faults.rate_limited(retry_after=1)),
        (0, faults.rate_limited()),
        (2, faults.reset(after_work=False)),
        (4, faults.proxy_error(502, after_work=True)),
        (3, faults.capacity_reached()),
        (3, faults.unavailable(retry_after=1)),
        (4, faults.server_error(500)),
        (4, faults.reset(after_work=True)),
        (4, faults.unavailable()),
        (4, faults.reset(after_work=False)),
    )
    spoilt = [server.misbehave("create_run", fault, skip=skip) for skip, fault in starts]
    spoilt.append(server.misbehave("upload_file", faults.server_error(500)))
    spoilt.append(server.misbehave("list_runs", faults.unavailable(), skip=2))
    spoilt.append(server.misbehave("list_runs", faults.unavailable(retry_after=1), skip=2))
    spoilt.append(server.misbehave("list_runs", faults.proxy_error(502), skip=3))
    return spoilt
