"""The runs of an actor in Apify's API, with long polling."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec

from benchmarks.faces.jobs import ITEMS, PAGES, Late, pages

if TYPE_CHECKING:
    from benchmarks.faces.jobs import Ask, Clock

_AT = "2021-01-01T12:00:00.000Z"


class Face:
    """`/v2/acts/ID/runs`, `/v2/actor-runs/ID` and records of a key-value store."""

    def __init__(self, clock: Clock, base_url: str) -> None:  # noqa: ARG002 - as every face
        self._clock = clock
        self._pages = pages(lambda n: _listed(f"{n:010d}"), lambda page, items: {"data": _page(page, items)})
        self._end = msgspec.json.encode({"data": _page(PAGES, [])})

    def answer(self, ask: Ask) -> bytes | Late:
        """The answer's body."""
        if ask.method == "PUT":
            return b"{}"
        if ask.last == "runs":
            page = int(ask.query("offset") or 0) // ITEMS
            return self._pages[page] if page < PAGES else self._end
        job = ask.last
        left = min(self._clock.left(job), float(ask.query("waitForFinish") or 0), 60.0)
        return Late(left, lambda: self._run(job)) if left else self._run(job)

    def _run(self, job: str) -> bytes:
        status = "RUNNING" if self._clock.left(job) else "SUCCEEDED"
        return msgspec.json.encode({"data": _run(job, status)})


def _page(page: int, items: list[Any]) -> dict[str, Any]:
    return {
        "total": PAGES * ITEMS,
        "offset": page * ITEMS,
        "limit": ITEMS,
        "desc": False,
        "count": len(items),
        "items": items,
    }


def _listed(run_id: str) -> dict[str, Any]:
    return {
        "id": run_id,
        "actId": "HDSasDasz78YcAPEB",
        "userId": "7sT5jcggjjA9fNcxF",
        "status": "SUCCEEDED",
        "startedAt": _AT,
        "finishedAt": _AT,
        "buildId": "HG7ML7M8z78YcAPEB",
        "buildNumber": "0.0.2",
        "meta": {"origin": "API"},
        "usageTotalUsd": 0.2,
        "defaultKeyValueStoreId": "sfAjeR4QmeJCQzTfe",
        "defaultDatasetId": "3ZojQDdFTsyE7Moy4",
        "defaultRequestQueueId": "so93g2shcDzK3pA85",
    }


def _run(run_id: str, status: str) -> dict[str, Any]:
    return {
        **_listed(run_id),
        "status": status,
        "finishedAt": _AT if status == "SUCCEEDED" else None,
        "stats": {"restartCount": 0, "resurrectCount": 0, "computeUnits": 0.1},
        "options": {"build": "latest", "timeoutSecs": 300, "memoryMbytes": 1024, "diskMbytes": 2048},
        "exitCode": 0,
    }
