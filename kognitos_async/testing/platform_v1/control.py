"""`server.platform`: the emulated platform API as tests see it, and its assembly."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from kognitos_async.testing.platform_v1.api import PlatformV1
from kognitos_async.testing.platform_v1.exceptions import ExceptionHandlers
from kognitos_async.testing.platform_v1.handling import Pages
from kognitos_async.testing.platform_v1.model import DRAFT, MANUAL, PUBLISHED, USER
from kognitos_async.testing.platform_v1.reports import ReportHandlers
from kognitos_async.testing.platform_v1.runs import RunHandlers, RunIdForm
from kognitos_async.testing.platform_v1.sample import SampleHandler

if TYPE_CHECKING:
    import threading
    from collections.abc import Callable, Mapping, Sequence
    from datetime import datetime

    from kognitos_async.testing.platform_v1.files import EmulatedFile, PlatformFiles
    from kognitos_async.testing.platform_v1.model import (
        EmulatedAutomation,
        EmulatedEvent,
        EmulatedException,
        EmulatedPlatformRun,
    )
    from kognitos_async.testing.platform_v1.values import Values
    from kognitos_async.testing.platform_v1.world import PlatformWorld
    from kognitos_async.testing.rate import TokenBucket
    from kognitos_async.testing.schedule import Schedule


class EmulatedPlatform:
    """An emulated organization with one workspace and one published automation."""

    def __init__(
        self, world: PlatformWorld, store: PlatformFiles, *, token: str, url: Callable[[], str]
    ) -> None:
        self.token = token
        """The accepted personal access token."""
        self.organization_id: str = world.organization_id
        """Id of the organization."""
        self.workspace_id: str = world.workspace_id
        """Id of the workspace."""
        self._world = world
        self._store = store
        self._url = url
        self.lock: threading.RLock = world.lock
        """Held to read or change the world."""
        self.automation: EmulatedAutomation = self.add_automation("Process invoice")
        """The published automation that every server starts with."""

    @property
    def base_url(self) -> str:
        """Base URL of the platform API. Raises `RuntimeError` until the server has a port."""
        return f"{self._url()}/api/v1"

    @property
    def environ(self) -> dict[str, str]:
        """Environment variables that direct a client to this server."""
        return {
            "KOGNITOS_TOKEN": self.token,
            "KOGNITOS_ORGANIZATION_ID": self.organization_id,
            "KOGNITOS_WORKSPACE_ID": self.workspace_id,
            "KOGNITOS_BASE_URL": self.base_url,
        }

    @property
    def schedule(self) -> Schedule:
        """How runs of this API started from now on move; may be set while the server runs."""
        return self._world.schedule

    @schedule.setter
    def schedule(self, schedule: Schedule) -> None:
        with self._world.lock:
            self._world.schedule = schedule

    @property
    def automations(self) -> Mapping[str, EmulatedAutomation]:
        """All automations by id, in order of creation."""
        return self._world.automations

    @property
    def runs(self) -> Mapping[str, EmulatedPlatformRun]:
        """All runs by id, in order of creation."""
        return self._world.runs

    @property
    def exceptions(self) -> Mapping[str, EmulatedException]:
        """All exceptions by id, in order of creation."""
        return self._world.exceptions

    @property
    def files(self) -> Mapping[str, EmulatedFile]:
        """All files by id, in order of upload."""
        return self._store.files

    def add_automation(
        self,
        display_name: str,
        *,
        id: str | None = None,
        stage: str = "PUBLISHED",
        input_specs: Sequence[Mapping[str, Any]] = (),
    ) -> EmulatedAutomation:
        """The new automation. A published one can be run as a draft too.

        Raises `ValueError` for a duplicate id and for a stage other than DRAFT and PUBLISHED.
        """
        with self.lock:
            return self._world.add_automation(
                display_name, automation_id=id, stage=stage, input_specs=input_specs
            )

    def add_run(
        self,
        automation_id: str | None = None,
        *,
        state: str | None = None,
        outputs: Values | None = None,
        inputs: Values | None = None,
        created_at: datetime | None = None,
        id: str | None = None,
        schedule: Schedule | None = None,
        user: str = USER,
        source: str = MANUAL,
    ) -> EmulatedPlatformRun:
        """The new run, as if invoked earlier: in `state` if one is given, else moving from `created_at` on.

        Values are None, bools, numbers, text, lists and dicts, or objects in the API's form such as
        `{"date": …}`. `user` and `source` are its `invocation_details`, such as `users/other` and
        `INVOCATION_SOURCE_SCHEDULE`. Raises `ValueError` for an unknown automation, a duplicate id, a
        `created_at` without an offset, and a state together with a schedule; `TypeError` for a value of
        another type.
        """
        if state is not None and schedule is not None:
            message = "state and schedule must not be given together: a run with a state does not move"
            raise ValueError(message)
        automation = self.automations.get(automation_id or self.automation.id)
        if automation is None:
            message = f"no automation {automation_id}"
            raise ValueError(message)
        with self.lock:
            return self._world.add_run(
                automation,
                stage=PUBLISHED if automation.published else DRAFT,
                inputs=inputs,
                outputs=outputs,
                run_id=id,
                created_at=created_at,
                state=state,
                schedule=schedule,
                user=user,
                source=source,
            )

    def set_state(self, run_id: str, state: str, **members: Any) -> EmulatedPlatformRun:
        """Fix the state of a run, to any word, until a request moves it; return the run.

        `members` belong to the state object: `outputs` to completed, `id` and `description` to failed,
        `exception` and `description` to awaiting_guidance, `reason` to stopped. Raises `KeyError` for an
        unknown run.
        """
        with self.lock:
            return self._world.set_state(run_id, state, members)

    def add_event(
        self,
        run_id: str,
        content: str = "Working on it",
        *,
        kind: str = "agent_message",
        agent_id: str = "astral",
        **payload: Any,
    ) -> EmulatedEvent:
        """The new event of an agent. `payload` replaces `content` for kinds with other members.

        Raises `KeyError` for an unknown run.
        """
        with self.lock:
            self._world.catch_up()
            return self._world.questions.add_event(
                self._world.runs[run_id], kind, payload or {"content": content}, agent_id=agent_id
            )

    def add_file(self, filename: str, content: bytes = b"") -> EmulatedFile:
        """The new file, as if uploaded earlier."""
        with self.lock:
            return self._store.add(filename, content)

    def expire_files(self, *file_ids: str) -> None:
        """Remove uploaded files, by default all: an invocation with one is refused with 404.

        Raises `KeyError` for an unknown file.
        """
        with self.lock:
            self._store.forget(file_ids)

    def duplicates(self) -> dict[str, int]:
        """Number of runs by their inputs as JSON, for inputs of more than one run."""
        with self.lock:
            return self._world.run_list.duplicates()


def platform_api(
    world: PlatformWorld,
    store: PlatformFiles,
    *,
    token: str,
    bucket: TokenBucket | None,
    retry_after: float | None,
    list_outputs: bool,
    strict_files: bool,
    run_id_form: RunIdForm,
    capacity_message: str,
    secret: bytes,
) -> PlatformV1:
    """The API of this world and store, with all handlers."""
    pages = Pages(secret)
    runs = RunHandlers(
        world,
        pages,
        list_outputs=list_outputs,
        is_stored=store.holds if strict_files else None,
        run_id_form=run_id_form,
        capacity_message=capacity_message,
    )
    handlers = {
        **runs.handlers,
        **ExceptionHandlers(world, pages).handlers,
        **ReportHandlers(world).handlers,
        **store.handlers,
    }
    return PlatformV1(
        world, handlers, SampleHandler(pages), token=token, bucket=bucket, retry_after=retry_after
    )
