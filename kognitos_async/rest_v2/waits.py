"""The arguments of waits, checked, and the errors among what they yield."""

from __future__ import annotations

from collections.abc import Collection

from kognitos_async import checks
from kognitos_async.errors import KognitosError
from kognitos_async.rest_v2.models import Run
from kognitos_async.streams import WorkStream
from kognitos_async.waiting import PollPolicy


class RaisingStream(WorkStream["Run | KognitosError"]):
    """Raises the errors among what is emitted."""

    async def __anext__(self) -> Run:
        item = await super().__anext__()
        if isinstance(item, KognitosError):
            raise item
        return item


def check_run(run: object) -> None:
    """Raise `TypeError` or `ValueError` for what is neither a run nor the id of one."""
    if isinstance(run, str):
        checks.identifier("run", run)
    elif not isinstance(run, Run):
        raise TypeError(f"run is a Run or the id of one, not {type(run).__name__}")


def checked_wait(
    timeout: object, until: object, poll: object, on_update: object, *, name: str = "timeout"
) -> float | None:
    """The timeout of a wait, after checking its arguments."""
    checks.callback("on_update", on_update)
    if isinstance(until, str) or not isinstance(until, Collection):
        raise TypeError(f"until is a collection of RunStatus, not {type(until).__name__}")
    if not until:
        raise ValueError("until is empty: the wait would never end")
    if poll is not None and not isinstance(poll, PollPolicy):
        raise TypeError(f"poll is a PollPolicy or None, not {type(poll).__name__}")
    return checks.seconds_or_none(name, timeout)
