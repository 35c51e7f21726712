"""REST API v2 of Kognitos with a list of any length, the newest first, a page made as it is asked for."""

from __future__ import annotations

import time
from datetime import UTC, datetime
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from benchmarks.faces.jobs import Ask, Clock

ITEMS = 100
RUN = (
    '{"id":"%s","name":"Process invoice 42","process_id":"process-1","agent_id":"agent-1","stage":"Published",'
    '"status":"%s","created_at":"%s","file_ids":["s3://bucket/path/to/file.pdf"],'
    '"outputs":[{"name":"the output total","value":42},{"name":"the output customer","value":"A 7"}]}'
)


class Face:
    """`runs` runs created within the last hour; those on the first page run until they were listed once."""

    def __init__(self, clock: Clock, base_url: str, *, runs: int) -> None:  # noqa: ARG002 - as every face
        self._runs = runs
        self._listed = False
        self._began = time.time()
        self._body = self._page_of("Succeeded", "%06d")

    def answer(self, ask: Ask) -> bytes:
        """A page of the list."""
        page = int(ask.query("continuation_token") or 0)
        status = "Succeeded" if page or self._listed else "Running"
        self._listed = True
        items = self._body if status == "Succeeded" else self._page_of(status, "%06d")
        more = (page + 1) * ITEMS < self._runs
        token = f'"{page + 1}"' if more else "null"
        return f'{{"items":[{items.replace("%06d", f"{page:06d}")}],"continuation_token":{token}}}'.encode()

    def _page_of(self, status: str, page: str) -> str:
        return ",".join(RUN % (f"{page}-{n:03d}", status, self._stamp()) for n in range(ITEMS))

    def _stamp(self) -> str:
        return datetime.fromtimestamp(self._began - 60, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
