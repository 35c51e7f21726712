"""REST API v2 of Kognitos, for the library, bare aiohttp and httpx."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec

from benchmarks.faces.jobs import JOBS, PAGES, pages
from benchmarks.static_server import RUN_ID

if TYPE_CHECKING:
    from benchmarks.faces.jobs import Ask, Clock, Late

AGENT, PROCESS = "agent-1", "process-1"


class Face:
    """The list of runs, and a single run; the list contains those waited for after their first request."""

    def __init__(self, clock: Clock, base_url: str) -> None:
        self._clock = clock
        self._pages = pages(
            lambda n: _run(f"{n:010d}", "Succeeded"),
            lambda page, items: {
                "items": items,
                "continuation_token": f"t{page + 1}" if page + 1 < PAGES else None,
            },
        )
        self._one = msgspec.json.encode(_run(RUN_ID, "Succeeded"))
        self._form = msgspec.json.encode(
            {
                "id": "s3://bucket/file.bin",
                "file_name": "file.bin",
                "upload_url": f"{base_url}/store",
                "upload_fields": {"key": "file.bin", "policy": "eyJ"},
                "upload_http_headers": {},
                "upload_http_method": "POST",
            }
        )

    def answer(self, ask: Ask) -> bytes | Late:
        """The answer's body."""
        if ask.method == "POST":
            return self._form if ask.last == "files" else b""
        if ask.last != "runs":
            return msgspec.json.encode(self._job(ask.last)) if ask.last.startswith("job") else self._one
        token = ask.query("continuation_token")
        if self._clock.began is not None:
            first = int(token or 0)
            after = first + 100 if first + 100 < len(JOBS) else None
            return msgspec.json.encode(
                {
                    "items": [self._job(job) for job in JOBS[first : first + 100]],
                    "continuation_token": None if after is None else str(after),
                }
            )
        return self._pages[int(token[1:]) if token else 0]

    def _job(self, job: str) -> dict[str, Any]:
        return _run(job, "Running" if self._clock.left(job) else "Succeeded")


def _run(run_id: str, status: str) -> dict[str, Any]:
    return {
        "id": run_id,
        "name": "Process invoice 42",
        "process_id": PROCESS,
        "agent_id": AGENT,
        "stage": "Published",
        "status": status,
        "created_at": "2021-01-01T12:00:00",
        "file_ids": ["s3://bucket/path/to/file.pdf"],
        "outputs": [
            {"name": "the output total", "value": 42},
            {"name": "the output customer", "value": "A 7"},
        ],
    }
