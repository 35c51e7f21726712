"""The batches of OpenAI's API: a list with a cursor, a batch, and files."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec

from benchmarks.faces.jobs import ITEMS, PAGES, pages

if TYPE_CHECKING:
    from benchmarks.faces.jobs import Ask, Clock, Late


class Face:
    """`/v1/batches` and `/v1/files`."""

    def __init__(self, clock: Clock, base_url: str) -> None:  # noqa: ARG002 - as every face
        self._clock = clock
        self._pages = pages(
            lambda n: _batch(f"batch_{n:010d}", "completed"),
            lambda page, items: {
                "object": "list",
                "data": items,
                "first_id": items[0]["id"],
                "last_id": items[-1]["id"],
                "has_more": page + 1 < PAGES,
            },
        )
        self._file = msgspec.json.encode(
            {
                "id": "file-1",
                "object": "file",
                "bytes": 1,
                "created_at": 1609502400,
                "filename": "large.bin",
                "purpose": "batch",
                "status": "processed",
            }
        )

    def answer(self, ask: Ask) -> bytes | Late:
        """The answer's body."""
        if ask.last == "files":
            return self._file
        if ask.last == "batches":
            after = ask.query("after")
            return self._pages[(int(after[6:]) + 1) // ITEMS if after else 0]
        return msgspec.json.encode(
            _batch(ask.last, "in_progress" if self._clock.left(ask.last) else "completed")
        )


def _batch(batch_id: str, status: str) -> dict[str, Any]:
    return {
        "id": batch_id,
        "object": "batch",
        "endpoint": "/v1/chat/completions",
        "errors": None,
        "input_file_id": "file-abc123",
        "completion_window": "24h",
        "status": status,
        "output_file_id": "file-cvaTdG",
        "error_file_id": None,
        "created_at": 1609502400,
        "in_progress_at": 1609502401,
        "completed_at": 1609502500,
        "request_counts": {"total": 100, "completed": 95, "failed": 5},
        "metadata": {"customer": "A 7"},
    }
