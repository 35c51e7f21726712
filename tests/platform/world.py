"""A platform in memory behind the client's transport: runs that settle at set times of the loop's clock."""

from __future__ import annotations

import asyncio
import re
from collections import Counter
from datetime import UTC, datetime, timedelta
from urllib.parse import parse_qs, urlsplit

import msgspec

from kognitos_async import OutcomeUnknownError, PlatformClient, PollPolicy
from kognitos_async.messages import Response
from kognitos_async.platform_v1.times import rfc3339
from kognitos_async.server_clock import ServerClock
from tests.platform import spec

AUTOMATION = "organizations/o/workspaces/w/automations/a"
EPOCH = datetime(2026, 1, 1, tzinfo=UTC)


class Platform:
    """Answers what the API would; every answer is held against the schemas."""

    def __init__(self, *, list_outputs=True, bare_ids=False, latency=0.01):
        self.list_outputs = list_outputs
        self.bare_ids = bare_ids
        self.latency = latency
        self.runs = {}
        self.count = Counter()
        self.lost = 0
        """So many answers to invocations are lost after the work."""
        self.page_sizes = set()
        self.filters = set()
        self.longest = 3.0
        self.outcome = ("completed", None)
        """What becomes of runs that are invoked."""
        self.replies = []
        self.check = True

    def now(self):
        return EPOCH + timedelta(seconds=asyncio.get_running_loop().time())

    def client(self, **options):
        client = PlatformClient(
            "kgn_pat_x",
            organization_id="o",
            workspace_id="w",
            **{"poll": PollPolicy(initial=0.5, maximum=2), **options},
        )
        client._sender.transport = self
        client._sender.clock = ServerClock(
            wall=lambda: self.now().timestamp(), monotonic=lambda: asyncio.get_running_loop().time()
        )
        return client

    def add(self, *, after=0.0, word="completed", body=None, inputs=None, source="MANUAL", settles=None):
        run_id = f"run{len(self.runs)}"
        self.runs[run_id] = {
            "created": self.now() + timedelta(seconds=after),
            "settles": self.now() + timedelta(seconds=self.longest if settles is None else settles),
            "word": word,
            "body": {"outputs": {"total": {"number": {"lo": 7}}}} if body is None else body,
            "inputs": inputs or {},
            "source": source,
        }
        return f"{AUTOMATION}/runs/{run_id}"

    def shown(self, run_id, *, listed):
        run = self.runs[run_id]
        over = self.now() >= run["settles"]
        body = dict(run["body"]) if over else {}
        if listed and not self.list_outputs:
            body.pop("outputs", None)
        return {
            "name": f"{AUTOMATION}/runs/{run_id}",
            "create_time": rfc3339(run["created"]),
            "state": {(run["word"] if over else "executing"): body, "update_time": rfc3339(self.now())},
            "stage": "AUTOMATION_STAGE_PUBLISHED",
            "stage_version": "1.0",
            "user_inputs": run["inputs"],
            "invocation_details": {"invocation_source": f"INVOCATION_SOURCE_{run['source']}"},
        }

    # The transport

    async def open(self):
        pass

    async def close(self):
        pass

    async def attempt(self, request, fresh_until=None):
        await asyncio.sleep(self.latency)
        name = spec.check(request.method, request.target, request.body) if self.check else None
        parts = urlsplit(request.target)
        body = None if request.body is None else msgspec.json.decode(request.body)
        if parts.path.endswith("/events"):
            self.replies.append(body["user_message"]["content"])
            run = self.runs[parts.path.split("/runs/")[1].partition("/")[0]]
            run.update(word="completed", body={})
            answer = {"name": f"{parts.path[1:]}/e", "state": "STATE_COMPLETE", **body}
        elif request.method == "POST":
            self.count["invoke"] += 1
            word, content = self.outcome
            run = self.add(inputs=body.get("inputs"), word=word, body=content)
            if self.lost:
                self.lost -= 1
                raise OutcomeUnknownError("the answer was lost")
            answer = {"run_id": run.rpartition("/")[2] if self.bare_ids else run}
        elif parts.path.endswith("/runs"):
            self.count["list"] += 1
            answer = self._list({key: values[0] for key, values in parse_qs(parts.query).items()})
        else:
            self.count["get"] += 1
            run_id = parts.path.rpartition("/")[2]
            if run_id not in self.runs:
                return Response(404, {}, b'{"code": 5, "message": "no such run", "details": []}')
            answer = self.shown(run_id, listed=False)
        if name is not None:
            spec.validator(spec.answer_schema(name)).validate(answer)
        return Response(200, {}, msgspec.json.encode(answer))

    def _list(self, query):
        size = int(query["page_size"])
        self.page_sizes.add(size)
        since = re.fullmatch(
            r'create_time >= "(.*)"', query.get("filter", 'create_time >= "0001-01-01T00:00:00Z"')
        )
        self.filters.add(query.get("filter"))
        earliest = datetime.fromisoformat(since[1])
        ids = [run_id for run_id, run in self.runs.items() if run["created"] >= earliest]
        ids.sort(key=lambda run_id: self.runs[run_id]["created"], reverse=True)
        start = int(query.get("page_token", 0))
        answer = {"runs": [self.shown(run_id, listed=True) for run_id in ids[start : start + size]]}
        if start + size < len(ids):
            answer["next_page_token"] = str(start + size)
        return answer
