"""Rows as requests of either API, and outcomes as result rows."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

from kognitos_async.cli.running import usage_errors
from kognitos_async.errors import ConfigurationError
from kognitos_async.uploads.sources import FileSource

if TYPE_CHECKING:
    from collections.abc import Collection

    from kognitos_async.cli.command import Call
    from kognitos_async.cli.requests_file import Row


class RowRequests(Protocol):
    """The requests of one bulk job."""

    @property
    def failed_statuses(self) -> Collection[Any]:
        """The statuses that --retry-failed starts again."""
        ...

    def check(self, row: Row) -> object:
        """Raise `TypeError` or `ValueError` for a row that cannot be sent."""
        ...

    def request(self, row: Row) -> Any:
        """The request of a row, with its file."""
        ...

    def result(self, outcome: Any) -> dict[str, Any]:
        """The result row of an outcome."""
        ...


class StartRows:
    """Rows as starts of a process (REST API v2)."""

    def __init__(self, process_id: str, agent_id: str) -> None:
        from kognitos_async.rest_v2.encoding import encode_start  # noqa: PLC0415 - one API is loaded
        from kognitos_async.rest_v2.models import SETTLED, RunRequest, RunStatus  # noqa: PLC0415

        self._encode = encode_start
        self._request = RunRequest
        self._process_id = process_id
        self._agent_id = agent_id
        self.failed_statuses: frozenset[RunStatus] = SETTLED - {RunStatus.SUCCEEDED}

    def check(self, row: Row) -> object:
        """Raise `TypeError` or `ValueError` for a row that cannot be sent."""
        request = self.request(row)
        return self._encode(request, self._agent_id, [file.name for file in request.files])

    def request(self, row: Row) -> Any:
        """The request of a row, with its file."""
        stage = {"draft": "Draft", "published": "Published"}.get(row.stage.lower(), row.stage)
        return self._request(
            process_id=self._process_id,
            name=row.name,
            stage=stage,
            inputs=row.inputs,
            files=() if row.file is None else [FileSource(row.file)],
        )

    def result(self, outcome: Any) -> dict[str, Any]:
        """The result row of an outcome."""
        run = outcome.run
        return _result(
            outcome,
            outcome.request.name,
            "" if run is None else str(run.status),
            {} if run is None else run.outputs_by_name,
        )


class InvokeRows:
    """Rows as invocations of an automation (platform API); the input `file_input` receives a row's file."""

    def __init__(self, automation: str, file_input: str, scope: Any) -> None:
        from kognitos_async.platform_v1.encoding import encode_invocation  # noqa: PLC0415 - one API is loaded
        from kognitos_async.platform_v1.file_inputs import with_placeholders  # noqa: PLC0415
        from kognitos_async.platform_v1.models.runs import InvokeRequest, RunState  # noqa: PLC0415

        self._encode = encode_invocation
        self._with_placeholders = with_placeholders
        self._request = InvokeRequest
        self._automation = automation
        self._file_input = file_input
        self._scope = scope
        # Not awaiting_guidance: an answer resumes that run, and a second one would do its work twice.
        self.failed_statuses: frozenset[RunState] = frozenset({RunState.FAILED, RunState.STOPPED})

    def check(self, row: Row) -> object:
        """Raise `TypeError` or `ValueError` for a row that cannot be sent."""
        if not row.name:
            raise ValueError("name must be a str of at least 1 character, got ''")
        if row.file is not None and self._file_input in row.inputs:
            raise ValueError(
                f"input {self._file_input} is both a column and the file of the row: change --file-input"
            )
        return self._encode(self._with_placeholders(self.request(row))[0], self._scope)

    def request(self, row: Row) -> Any:
        """The request of a row, with its file."""
        inputs = dict(row.inputs)
        if row.file is not None:
            inputs[self._file_input] = FileSource(row.file)
        return self._request(automation=self._automation, inputs=inputs, stage=row.stage, name=row.name)

    def result(self, outcome: Any) -> dict[str, Any]:
        """The result row of an outcome."""
        run = outcome.run
        state = "" if run is None else str(run.state)
        return _result(outcome, outcome.request.name, state, {} if run is None else run.outputs)


def row_requests(call: Call, source: str, file_input: str) -> RowRequests:
    """The `RowRequests` for the API of the key; `source` is the process or automation."""
    target = call.target
    if target.is_platform:
        from kognitos_async.platform_v1.names import Scope  # noqa: PLC0415 - one API is loaded

        with usage_errors():
            scope = Scope.of(target.get("organization_id"), target.get("workspace_id"))
            scope.automation(source)
        return InvokeRows(source, file_input, scope)
    agent = target.get("agent_id")
    if agent is None:
        raise ConfigurationError("no agent: use --agent or set KOGNITOS_AGENT_ID")
    return StartRows(source, agent)


def _result(outcome: Any, name: str, status: str, outputs: Any) -> dict[str, Any]:
    return {
        "name": name,
        "run_id": "" if outcome.run is None else outcome.run.id,
        "status": status,
        "error": str(outcome.error or ""),
        "attempts": outcome.attempts,
        "resumed": outcome.resumed,
        "outputs": outputs,
    }
