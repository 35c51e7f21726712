"""The runs of Databricks' jobs API, with 100 per page like the others; the real one allows 25."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec

from benchmarks.faces.jobs import PAGES, pages

if TYPE_CHECKING:
    from benchmarks.faces.jobs import Ask, Clock, Late


class Face:
    """`/api/2.2/jobs/runs/list` and `/api/2.2/jobs/runs/get`."""

    def __init__(self, clock: Clock, base_url: str) -> None:  # noqa: ARG002 - as every face
        self._clock = clock
        self._pages = pages(
            lambda n: _run(n, "TERMINATED"),
            lambda page, items: {
                "runs": items,
                "has_more": page + 1 < PAGES,
                **({"next_page_token": f"t{page + 1}"} if page + 1 < PAGES else {}),
            },
        )

    def answer(self, ask: Ask) -> bytes | Late:
        """The answer's body."""
        if ask.last == "list":
            token = ask.query("page_token")
            return self._pages[int(token[1:]) if token else 0]
        number = int(ask.query("run_id") or 0)
        left = self._clock.left(f"job{number - 1:04d}") if number else 0.0
        return msgspec.json.encode(_run(number, "RUNNING" if left else "TERMINATED"))


def _run(number: int, state: str) -> dict[str, Any]:
    return {
        "job_id": 11223344,
        "run_id": number,
        "number_in_job": number,
        "state": {"life_cycle_state": state, "result_state": "SUCCESS", "state_message": ""},
        "start_time": 1609502400000,
        "end_time": 1609502500000,
        "execution_duration": 100000,
        "creator_user_name": "someone@example.com",
        "run_name": "Process invoice 42",
        "run_type": "JOB_RUN",
        "job_parameters": [{"name": "customer", "value": "A 7"}],
    }
