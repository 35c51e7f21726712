"""The groups of measurements."""

from __future__ import annotations

import importlib.util
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from benchmarks import imports as imports_module
from benchmarks.faces.server import face_server
from benchmarks.figures import (
    APIFY,
    BARE,
    BOTOCORE,
    COMMAND,
    CONSUMER,
    DATABRICKS,
    DOUBTS,
    EXPORT,
    EXPORTED,
    FACE_GET,
    FACE_HISTORY,
    FACE_UPLOAD,
    FACE_WAIT,
    FANOUT,
    FIRST_CLIENT,
    FIRST_SESSION,
    FULL,
    GENERATED,
    GET_MANY,
    GET_ONE,
    HISTORY,
    HISTORY_HIDDEN,
    HISTORY_LATE,
    HTTPX,
    IDLE,
    JOURNAL,
    LATENCY,
    NO_JOURNAL,
    NO_PLUGIN,
    OPENAI,
    OURS,
    PLAIN,
    PLUGIN,
    QUICK_EXPORT,
    RATE_LIMIT,
    RESUMED,
    SHARED,
    SHOW,
    SHOWN,
    START_UP,
    UPLOAD,
    UPLOADING,
    UVLOOP,
    WAITS,
    WALKED,
    WHOLE,
)
from benchmarks.growing import JOBS, growing
from benchmarks.recorder import Call
from benchmarks.static_server import static_server
from benchmarks.upload_sink import SINK, upload_sink

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from benchmarks.recorder import Recorder

MODULES = {OURS: "ours", BARE: "bare", HTTPX: "httpx_pydantic", GENERATED: "generated"}
FACES = {
    OURS: ("kognitos", "ours", "/v2"),
    BARE: ("kognitos", "bare", "/v2"),
    HTTPX: ("kognitos", "httpx_pydantic", "/v2"),
    OPENAI: ("openai", "openai", ""),
    APIFY: ("apify", "apify", ""),
    DATABRICKS: ("databricks", "databricks", ""),
    BOTOCORE: ("aws", "aiobotocore", ""),
}
"""Face, contender module and API path of each client."""
SLOW = (HTTPX, GENERATED)
WAITERS: dict[str, dict[str, Any]] = {
    "20 waiters": {"waiters": 20},
    "2,000 waiters, newest first": {"waiters": 2000},
    "2,000 waiters, oldest first": {"waiters": 2000, "order": "oldest"},
    "2,000 waiters, 50 ms latency": {"waiters": 2000, "latency": 0.05},
    "2,000 waiters, bare ids": {"waiters": 2000, "bare_ids": True},
    "10,000 waiters": {"waiters": 10_000},
}
QUICK_WAITS = ("2,000 waiters, newest first",)


class Plan(NamedTuple):
    """The recorder, the size of the measurements, and the available contenders."""

    recorder: Recorder
    quick: bool
    generated: bool

    @property
    def uvloop(self) -> bool:
        return not self.quick and importlib.util.find_spec("uvloop") is not None

    @property
    def contenders(self) -> list[str]:
        return [name for name in MODULES if name != GENERATED or self.generated]

    def measure(self, group: str) -> None:
        """Measure a group; what was measured of it before remains."""
        self.recorder.group = group
        GROUPS[group](self)

    def measure_again(self, subjects: Sequence[str]) -> None:
        """Measure the groups of these subjects again, except those of an earlier run."""
        groups = self.recorder.groups
        for group in dict.fromkeys(groups[subject] for subject in subjects if subject in groups):
            self.recorder.note(f"{group} missed a figure and was measured again; all measurements count.")
            self.measure(group)

    def on_uvloop(self, calls: dict[str, Call], *contenders: str) -> dict[str, Call]:
        """The calls, with those of `contenders` repeated on uvloop if it is installed."""
        more = {name + UVLOOP: calls[name]._replace(loop="uvloop") for name in contenders if self.uvloop}
        return {**calls, **more}


def requests(plan: Plan) -> None:
    """GETs and histories with canned answers."""
    recorder, quick = plan.recorder, plan.quick
    count, rounds = (2000, 16) if quick else (6000, 12)
    with static_server() as (url, kind):
        recorder.note(f"GETs and histories without latency are answered by {kind}.")
        for subject, concurrency in ((GET_MANY, 50),) if quick else ((GET_MANY, 50), (GET_ONE, 1)):
            calls = {
                name: Call(
                    "requests.get",
                    {
                        "contender": MODULES[name],
                        "base_url": url,
                        "concurrency": concurrency,
                        "count": count // 4 if name in SLOW else count,
                    },
                )
                for name in plan.contenders
            }
            _take(plan, subject, calls, 3)
        calls = {
            name: _history(name, url, rounds // 4 if name in SLOW else rounds) for name in plan.contenders
        }
        _take(plan, HISTORY, calls, 5)
    with static_server(latency=LATENCY) as (url, kind):
        recorder.note(f"Histories with latency are answered by {kind}.")
        if not quick:
            recorder.take(HISTORY_LATE, {name: _history(name, url, 2) for name in plan.contenders}, 3)
        hidden = {
            name: _history(name, url, 1, consumer=LATENCY) for name in ([OURS] if quick else plan.contenders)
        }
        hidden[CONSUMER] = Call("requests.consume", {"consumer": LATENCY})
        recorder.take(HISTORY_HIDDEN, plan.on_uvloop(hidden, OURS), 3)


def _take(plan: Plan, subject: str, calls: dict[str, Call], repetitions: int) -> None:
    """Measure all contenders; in a quick run the generated one, which has no figure, only once."""
    calls = plan.on_uvloop(calls, OURS, BARE)
    once = {name: calls.pop(name) for name in (GENERATED,) if plan.quick and name in calls}
    plan.recorder.take(subject, calls, repetitions)
    if once:
        plan.recorder.take(subject, once, 1)


def _history(name: str, url: str, rounds: int, **more: float) -> Call:
    arguments = {"contender": MODULES[name], "base_url": url, "rounds": max(1, rounds), **more}
    return Call("requests.history", arguments)


def waiting(plan: Plan) -> None:
    """Shared polls against one GET per poll."""
    plan.recorder.note("Waiting and fan-out talk to the emulator, in a process of its own.")
    shorter = {"durations": (1.0, 5.0)} if plan.quick else {}
    for subject in QUICK_WAITS if plan.quick else WAITS:
        ways = {
            label: Call("waiting.measure", {"way": way, **WAITERS[subject], **shorter})
            for label, way in ((SHARED, "shared"), (PLAIN, "plain"))
        }
        if subject == QUICK_WAITS[0]:
            ways = plan.on_uvloop(ways, SHARED)
        plan.recorder.take(subject, ways, 1)


def fanout(plan: Plan) -> None:
    """run_many, its journal, and a rate limit."""
    runs = 1000 if plan.quick else 4000
    calls = {
        label: Call("fanout.measure", {"runs": runs, "journal": journal})
        for label, journal in ((NO_JOURNAL, False), (JOURNAL, True))
    }
    plan.recorder.take(FANOUT, plan.on_uvloop(calls, NO_JOURNAL), 3 if plan.quick else 5)
    full = Call("fanout.measure_full", {"runs": 60 if plan.quick else 300, "capacity": 20})
    plan.recorder.take(FULL, {NO_JOURNAL: full}, 1)
    if not plan.quick:
        limited = Call("fanout.measure_rate_limit", {"runs": 1000, "rate": 50})
        plan.recorder.take(RATE_LIMIT, {NO_JOURNAL: limited}, 1)


def upload(plan: Plan) -> None:
    """One large file."""
    size = (60 if plan.quick else 300) * 1_000_000
    plan.recorder.note(f"Uploads of {size // 1_000_000} MB go to {SINK}.")
    with tempfile.TemporaryDirectory() as folder, upload_sink() as url:
        path = Path(folder) / "large.bin"
        with path.open("wb") as file:
            for _ in range(size // 1_000_000):
                file.write(bytes(range(250)) * 4000)
        path.with_name("small.bin").write_bytes(b"small")
        calls = {
            name: Call(
                "requests.upload",
                {"contender": MODULES[name], "base_url": url, "path": str(path), "size": size},
            )
            for name in ((OURS, BARE) if plan.quick else (OURS, BARE, HTTPX))
        }
        plan.recorder.take(UPLOAD, plan.on_uvloop(calls, OURS, BARE), 5)


def journals(plan: Plan) -> None:
    """Journals of finished and interrupted jobs."""
    entries = 20_000 if plan.quick else 100_000
    plan.recorder.note(f"The journals resumed and shown have {entries:,} entries.")
    plan.recorder.take(RESUMED, {JOURNAL: Call("journals.resume", {"entries": entries})}, 1)
    plan.recorder.take(SHOWN, {SHOW: Call("journals.show", {"entries": entries})}, 1 if plan.quick else 3)
    doubts = 200 if plan.quick else 1000
    plan.recorder.take(DOUBTS, {JOURNAL: Call("journals.doubts", {"doubts": doubts})}, 1)


def export(plan: Plan) -> None:
    """Export of a long history, compared with iterating over it."""
    subject, size = (QUICK_EXPORT, 100_000) if plan.quick else (EXPORT, 1_000_000)
    calls = {
        name: Call(f"growth.{job}", {"size": size}) for name, job in ((EXPORTED, "export"), (WALKED, "walk"))
    }
    plan.recorder.take(subject, calls, 1 if plan.quick else 2)


def opponents(plan: Plan) -> None:
    """All clients, each with its own API on the same server."""
    plan.recorder.note(
        "Each client's own API is answered by a small asyncio server (benchmarks/faces). databricks-sdk is "
        "synchronous and runs in 200 threads; apify-client's waits are long polls, which its API offers."
    )
    installed = [name for name, (_, module, _) in FACES.items() if _is_installed(module)]
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "large.bin"
        path.write_bytes(bytes(100_000_000))
        path.with_name("small.bin").write_bytes(b"small")
        jobs: list[tuple[str, str, dict[str, Any], int]] = [
            (FACE_GET, "get", {"concurrency": 20, "count": 400}, 1 if plan.quick else 3),
            (FACE_HISTORY, "history", {"rounds": 1 if plan.quick else 3}, 1 if plan.quick else 3),
        ]
        if not plan.quick:
            jobs.append((FACE_WAIT, "wait", {}, 1))
            jobs.append((FACE_UPLOAD, "upload", {"path": str(path), "size": 100_000_000}, 3))
        for subject, job, arguments, repetitions in jobs:
            names = [
                name
                for name in installed
                if job != "upload" or name in (OURS, BARE, HTTPX) or name in UPLOADING
            ]
            for _ in range(repetitions):
                for name in names:
                    _on_its_face(plan, subject, name, job, arguments)


def _on_its_face(plan: Plan, subject: str, name: str, job: str, arguments: dict[str, Any]) -> None:
    face, contender, prefix = FACES[name]
    with face_server(face) as root:
        more = {"root": root} if job == "wait" else {}
        call = {"contender": contender, "base_url": root + prefix, **arguments, **more}
        plan.recorder.take(subject, {name: Call(f"requests.{job}", call)}, 1, explain=False)


def _is_installed(contender: str) -> bool:
    packages = {
        "openai": "openai",
        "apify": "apify_client",
        "databricks": "databricks",
        "aiobotocore": "aiobotocore",
    }
    return contender not in packages or importlib.util.find_spec(packages[contender]) is not None


def growth(plan: Plan) -> None:
    """Each job at sizes a factor of ten apart."""
    for job in JOBS:
        for size in job.quick if plan.quick else job.sizes:
            call = Call(f"growth.{job.function}", {"size": size})
            plan.recorder.take(growing(job, size), {OURS: call}, 1, explain=False)


def imports(plan: Plan) -> None:
    """Start-up of imports, the command and pytest; idle clients."""
    programs = {
        OURS: "import kognitos_async",
        "aiohttp": "import aiohttp",
        FIRST_CLIENT: imports_module.FIRST_CLIENT,
        FIRST_SESSION: imports_module.FIRST_SESSION,
        COMMAND: imports_module.HELP,
        WHOLE: imports_module.WHOLE,
        PLUGIN: imports_module.PLUGIN,
        NO_PLUGIN: imports_module.NO_PLUGIN,
    }
    calls = {name: Call("imports.measure", {"program": program}) for name, program in programs.items()}
    plan.recorder.take(START_UP, calls, 5 if plan.quick else 9)
    if not plan.quick:
        idle = {name: Call("imports.idle", {"contender": MODULES[name]}) for name in plan.contenders}
        plan.recorder.take(IDLE, idle, 3)


GROUPS: dict[str, Callable[[Plan], None]] = {
    "fanout": fanout,
    "journals": journals,
    "export": export,
    "opponents": opponents,
    "import": imports,
    "upload": upload,
    "growth": growth,
    "requests": requests,
    "waiting": waiting,
}
