"""REST API v2 of Kognitos with a list of any length, newest first, generated page by page."""

from __future__ import annotations

import time
from datetime import UTC, datetime
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from benchmarks.faces.jobs import Ask, Clock

ITEMS = 100
HOUR = 3500.0
"""Seconds over which the runs were created."""
RUN = (
    '{"id":"%s","name":"Process invoice 42","process_id":"process-1","agent_id":"agent-1",'
    '"stage":"Published",'
    '"status":"%s","created_at":"%s","file_ids":["s3://bucket/path/to/file.pdf"],'
    '"outputs":[{"name":"the output total","value":42},{"name":"the output customer","value":"A 7"}]}'
)


class Face:
    """`runs` runs created within the last hour; those on the first page run until they were listed once."""

    def __init__(self, clock: Clock, base_url: str, *, runs: int) -> None:  # noqa: ARG002 - as every face
        self._runs = runs
        self._listed = False
        self._items = {
            status: ",".join(RUN % (f"@page@-{n:03d}", status, "@time@") for n in range(ITEMS))
            for status in ("Running", "Succeeded")
        }
        self._began = time.time()

    def answer(self, ask: Ask) -> bytes:
        """A page of the list."""
        page = int(ask.query("continuation_token") or 0)
        status = "Succeeded" if page or self._listed else "Running"
        self._listed = True
        pages = -(-self._runs // ITEMS)
        token = f'"{page + 1}"' if page + 1 < pages else "null"
        items = (
            self._items[status].replace("@page@", f"{page:06d}").replace("@time@", self._stamp(page / pages))
        )
        return f'{{"items":[{items}],"continuation_token":{token}}}'.encode()

    def _stamp(self, share: float) -> str:
        created = datetime.fromtimestamp(self._began - HOUR * share, UTC)
        return created.strftime("%Y-%m-%dT%H:%M:%SZ")
