"""The emulated REST API v2 as tests see it: its contents, and methods to add and change them."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime

    from kognitos_async.testing.rest_v2.file_store import FileStore, StoredFile
    from kognitos_async.testing.rest_v2.world import EmulatedProcess, EmulatedRun, Facts, World
    from kognitos_async.testing.schedule import Schedule


class EmulatedRestV2:
    """An emulated agent with one process, published and as a draft."""

    def __init__(self, world: World, store: FileStore, *, agent_id: str) -> None:
        self.agent_id = agent_id
        """Id of the agent."""
        self._world = world
        self._store = store
        self.process: EmulatedProcess = world.add_process(
            "Process invoice", process_id=None, stage="Published", agent_id=agent_id
        )
        """The published process that every server starts with; its draft has the same id."""
        world.add_process("Process invoice", process_id=self.process.id, stage="Draft", agent_id=agent_id)

    @property
    def schedule(self) -> Schedule:
        """How runs of this API started from now on move; may be set while the server runs."""
        return self._world.schedule

    @schedule.setter
    def schedule(self, schedule: Schedule) -> None:
        with self._world.lock:
            self._world.schedule = schedule

    @property
    def runs(self) -> Mapping[str, EmulatedRun]:
        """All runs by id, in order of creation."""
        return self._world.runs

    @property
    def files(self) -> Mapping[str, StoredFile]:
        """All uploaded files by id."""
        return self._store.files

    def add_process(
        self, name: str, *, id: str | None = None, stage: str = "Published", agent_id: str | None = None
    ) -> EmulatedProcess:
        """The new process item. A new `agent_id` creates an agent. Raises `ValueError` if the item exists."""
        with self._world.lock:
            return self._world.add_process(
                name, process_id=id, stage=stage, agent_id=agent_id or self.agent_id
            )

    def add_run(
        self,
        process_id: str | None = None,
        *,
        name: str = "Earlier run",
        status: str | None = None,
        created_at: datetime | None = None,
        inputs: Facts | None = None,
        outputs: Facts | None = None,
        file_ids: tuple[str, ...] = (),
        stage: str = "Published",
        agent_id: str | None = None,
        id: str | None = None,
        schedule: Schedule | None = None,
    ) -> EmulatedRun:
        """The new run, as if started earlier: in `status` if one is given, else moving from `created_at` on.

        Raises `ValueError` for an unknown process or stage, a duplicate id, a `created_at` without an offset,
        and a status together with a schedule.
        """
        if status is not None and schedule is not None:
            message = "status and schedule must not be given together: a run with a status does not move"
            raise ValueError(message)
        with self._world.lock:
            process = self._world.process(agent_id or self.agent_id, process_id or self.process.id, stage)
            if process is None:
                message = f"no process {process_id} with a {stage} stage"
                raise ValueError(message)
            return self._world.add_run(
                process,
                name=name,
                inputs=inputs,
                file_ids=file_ids,
                run_id=id,
                created_at=created_at,
                status=status,
                outputs=outputs,
                schedule=schedule,
            )

    def add_file(self, file_name: str, content: bytes = b"", *, id: str | None = None) -> StoredFile:
        """The new file, as if uploaded earlier; pass its `.id` in `file_ids`."""
        with self._world.lock:
            return self._store.put(file_name, content, id)

    def expire_files(self, *file_ids: str) -> None:
        """Remove uploaded files, by default all: a start that names one is refused with 404.

        Raises `KeyError` for an unknown file.
        """
        with self._world.lock:
            self._store.forget(file_ids)

    def runs_named(self, name: str) -> list[EmulatedRun]:
        """The runs of this name, in order of creation."""
        with self._world.lock:
            return self._world.runs_named(name)

    def duplicates(self) -> dict[str, int]:
        """Number of runs by name, for names of more than one run."""
        with self._world.lock:
            return self._world.duplicates()

    def set_status(self, run_id: str, status: str, outputs: Facts | None = None) -> EmulatedRun:
        """Fix the status of a run, to any word; return the run. Raises `KeyError` for an unknown run."""
        with self._world.lock:
            return self._world.set_status(run_id, status, outputs)
