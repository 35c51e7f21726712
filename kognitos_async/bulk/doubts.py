"""The starts that earlier processes left in doubt, looked up together: one reading of a list serves all."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime
from functools import partial
from typing import TYPE_CHECKING, Any, Generic

from kognitos_async.bulk.files import RequestFiles
from kognitos_async.bulk.types import Begun, Q, R
from kognitos_async.errors import KognitosError
from kognitos_async.shared_reading import gathered, twin
from kognitos_async.uncertain_start import Undecided

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine

    from kognitos_async.bulk.job import BulkJob
    from kognitos_async.bulk.ledger import Entry
    from kognitos_async.server_clock import StartWindow
    from kognitos_async.uncertain_start import LookUp


def recorded_window(job: BulkJob[Q, R], files: RequestFiles[Q, R], entry: Entry) -> StartWindow:
    """The window of a recorded start in doubt. `files` then use the file ids that were sent with it."""
    since = datetime.now(UTC) if entry.since is None else datetime.fromtimestamp(entry.since, UTC)
    return files.read(entry.window) or job.window_at(since)


async def prepared_look_up(
    job: BulkJob[Q, R], files: RequestFiles[Q, R], entry: Entry, window: StartWindow
) -> Callable[[], Coroutine[Any, Any, LookUp[Begun]]]:
    """What looks one start in doubt up, with all that the journal knows of it."""
    run_ids, in_doubt = await job.ledger.others(entry)
    request = job.decoded(entry._replace(request=await files.known(entry.request)))
    return partial(job.jobs.look_up, request, window, known_ids=run_ids, in_doubt_too=in_doubt)


class EarlierDoubts(Generic[Q, R]):
    """The answers for all starts that were in doubt when the journal was opened.

    Without it, requests would be looked up as they get a slot, and the list read again for each slotful.
    """

    def __init__(self, job: BulkJob[Q, R]) -> None:
        self._job = job
        self._answers: dict[str, LookUp[Begun]] = {}
        self._problem: KognitosError | None = None
        self._begun = False
        self._looked_up = asyncio.Event()

    async def answer(self, name: str) -> LookUp[Begun] | None:
        """The answer for a request, None if it needs a look-up of its own.

        Raises `JournalError`, and `ClientClosedError` if the client is closed meanwhile.
        """
        if not self._begun:
            self._begun = True
            self._job.in_background(self._look_all_up)
        await self._looked_up.wait()
        if self._problem is not None:
            raise twin(self._problem)
        answer = self._answers.pop(name, None)
        # A list that could not be read is worth another try.
        return None if isinstance(answer, Undecided) and answer.cause is not None else answer

    async def _look_all_up(self) -> None:
        try:
            entries = await self._job.ledger.in_doubt()
            look_ups = [await self._prepared(entry) for entry in entries]
            await self._job.wait_absence_delay(since_opening=True)
            answers = await gathered(look_up() for look_up in look_ups)
        except KognitosError as problem:  # that of every request in doubt
            self._problem = problem
        else:
            self._answers = {entry.name: answer for entry, answer in zip(entries, answers, strict=True)}
        finally:
            self._looked_up.set()

    async def _prepared(self, entry: Entry) -> Callable[[], Coroutine[Any, Any, LookUp[Begun]]]:
        files = RequestFiles(self._job.files, self._job.decoded(entry))
        window = recorded_window(self._job, files, entry)
        return await prepared_look_up(self._job, files, entry, window)
