"""Status of the engine, read from the database."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from kognitos_async.integrations.dbos.worker import WORKFLOW

if TYPE_CHECKING:
    from kognitos_async.integrations.dbos.database import Database

_COUNTS = (
    "SELECT w.status, coalesce(s.state, 'planned'), coalesce(s.status, ''), count(*) FROM {workflows} w "
    "LEFT JOIN {starts} s ON s.workflow_id = w.workflow_uuid "
    "WHERE w.name = :workflow AND w.application_name = :scope GROUP BY 1, 2, 3"
)
_UNCERTAIN = (
    "SELECT s.name FROM {starts} s JOIN {workflows} w ON w.workflow_uuid = s.workflow_id "
    "WHERE s.state = 'uncertain' AND w.status = 'ERROR' AND w.application_name = :scope ORDER BY 1 LIMIT 100"
)
_EXECUTORS = (
    "SELECT executor_id, count(*) FROM {workflows} WHERE status = 'PENDING' AND name = :workflow "
    "AND application_name = :scope GROUP BY 1 ORDER BY 1"
)
_WORKERS = (
    "SELECT substr(application_name, 17) FROM pg_stat_activity WHERE datname = current_database() "
    "AND application_name LIKE 'kognitos worker %' ORDER BY 1"
)


_COUNTED: tuple[str, ...] = (
    "queued",
    "starting",
    "running",
    "not_handed_on",
    "refused",
    "uncertain",
    "cancelled",
)


class EngineStatus(msgspec.Struct, frozen=True, kw_only=True):
    """Numbers of runs by state.

    `queued` runs have no worker; they include started runs whose worker has died. `starting` and `running`
    ones have a worker. `settled` counts runs by status, `not_handed_on` settled runs for which `on_settled`
    failed, `refused` requests whose start the API rejected or
    whose file could not be uploaded, `uncertain` starts that a person must decide; `undecided` holds the
    first 100 names of these. `holding` is the number of runs per executor, `workers` the live workers
    (PostgreSQL; empty on SQLite).
    """

    queued: int = 0
    starting: int = 0
    running: int = 0
    settled: dict[str, int] = {}
    not_handed_on: int = 0
    refused: int = 0
    uncertain: int = 0
    cancelled: int = 0
    undecided: list[str] = []
    holding: dict[str, int] = {}
    workers: list[str] = []

    @property
    def open(self) -> int:
        """Number of runs without an outcome."""
        return self.queued + self.starting + self.running

    @property
    def done(self) -> int:
        """Number of runs with an outcome."""
        ended = self.not_handed_on + self.refused + self.uncertain + self.cancelled
        return sum(self.settled.values()) + ended


def read_status(database: Database, scope: str) -> EngineStatus:
    """Read the current status."""
    named = {"workflow": WORKFLOW, "scope": scope}
    counts = dict.fromkeys(_COUNTED, 0)
    settled: dict[str, int] = {}
    for workflow, state, status, count in database.execute(_COUNTS, named):
        where = _where(workflow, state)
        if where == "settled":
            settled[status] = settled.get(status, 0) + count
        else:
            counts[where] += count
    undecided = [name for (name,) in database.execute(_UNCERTAIN, {"scope": scope})]
    holding: dict[str, int] = dict(map(tuple, database.execute(_EXECUTORS, named)))
    workers = [name for (name,) in database.execute(_WORKERS)] if database.is_postgres else []
    return msgspec.structs.replace(
        EngineStatus(undecided=undecided, holding=holding, workers=workers),
        settled=dict(sorted(settled.items())),
        **counts,
    )


def _where(workflow: str, state: str) -> str:
    if workflow == "CANCELLED":
        return "cancelled"
    if workflow == "SUCCESS":
        return "settled"
    if workflow in ("ENQUEUED", "DELAYED"):
        return "queued"
    if workflow == "PENDING":
        return "running" if state in ("started", "settled") else "starting"
    if state == "settled":
        return "not_handed_on"
    return "uncertain" if state == "uncertain" else "refused"
