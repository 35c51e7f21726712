"""Runs of the platform API as rows of a mirror."""

from __future__ import annotations

import msgspec

from kognitos_async.mirror.rows import MirroredRun
from kognitos_async.platform_v1.models.runs import ENDED, PlatformRun, RunState


def mirrored(run: PlatformRun) -> MirroredRun:
    """The run as a row. `settled_at` is the time at which it entered its state."""
    body = run.state_object.get(str(run.state)) if isinstance(run.state_object, dict) else None
    outputs = body.get("outputs") if isinstance(body, dict) else None
    return MirroredRun(
        key=run.name,
        id=run.id,
        name=run.name,
        parent=run.automation,
        stage=str(run.stage),
        status=str(run.state),
        settled=run.settled,
        ended=run.state in ENDED,
        needed_person=run.state in (RunState.AWAITING_GUIDANCE, RunState.STOPPED),
        created_at=run.create_time,
        settled_at=(run.state_time or run.update_time) if run.settled else None,
        outputs=outputs if isinstance(outputs, dict) else {},
        content=msgspec.json.encode(run),
    )
