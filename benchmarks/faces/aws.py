"""The steps of an EMR cluster, for which botocore has a paginator and a waiter, and an object store."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec

from benchmarks.faces.jobs import PAGES, pages

if TYPE_CHECKING:
    from benchmarks.faces.jobs import Ask, Clock, Late


class Face:
    """ListSteps and DescribeStep of EMR, PutObject of S3."""

    def __init__(self, clock: Clock, base_url: str) -> None:  # noqa: ARG002 - as every face
        self._clock = clock
        self._pages = pages(
            lambda n: _step(f"s-{n:010d}", "COMPLETED"),
            lambda page, items: {"Steps": items, **({"Marker": f"t{page + 1}"} if page + 1 < PAGES else {})},
        )

    def answer(self, ask: Ask) -> bytes | Late:
        """The answer's body."""
        operation = ask.headers.get("x-amz-target", "").rpartition(".")[2]
        if operation == "ListSteps":
            marker = ask.json().get("Marker")
            return self._pages[int(marker[1:]) if marker else 0]
        if operation == "DescribeStep":
            job = ask.json()["StepId"]
            state = "RUNNING" if self._clock.left(job) else "COMPLETED"
            return msgspec.json.encode({"Step": _step(job, state)})
        return b""


def _step(step_id: str, state: str) -> dict[str, Any]:
    return {
        "Id": step_id,
        "Name": "Process invoice 42",
        "Config": {
            "Jar": "command-runner.jar",
            "Properties": {"customer": "A 7"},
            "Args": ["s3://bucket/path/to/file.pdf"],
        },
        "ActionOnFailure": "CONTINUE",
        "Status": {
            "State": state,
            "StateChangeReason": {},
            "Timeline": {"CreationDateTime": 1609502400.0, "StartDateTime": 1609502401.0},
        },
    }
