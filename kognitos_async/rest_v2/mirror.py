"""Runs of REST API v2 as rows of a mirror."""

from __future__ import annotations

import msgspec

from kognitos_async.mirror.rows import MirroredRun
from kognitos_async.rest_v2.models import ENDED, Run, RunStatus


def mirrored(run: Run) -> MirroredRun:
    """The run as a row. `settled_at` is None: the API does not tell."""
    return MirroredRun(
        key=run.id,
        id=run.id,
        name=run.name,
        parent=run.process_id,
        stage=str(run.stage),
        status=str(run.status),
        settled=run.settled,
        ended=run.status in ENDED,
        needed_person=run.status == RunStatus.EXCEPTION,
        created_at=run.created_at,
        settled_at=None,
        outputs=dict(run.outputs_by_name),
        content=msgspec.json.encode(run),
    )
