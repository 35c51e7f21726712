"""The payload of a trigger's event, and how a task fails."""

# pyright: reportMissingImports=false
# Airflow is large and not among the development dependencies.

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec
from airflow.sdk.exceptions import AirflowException, AirflowFailException

from kognitos_async.errors import (
    AuthenticationError,
    BadRequestError,
    CapacityError,
    ConfigurationError,
    NotFoundError,
    PermissionDeniedError,
    RunError,
)
from kognitos_async.platform_v1.models.runs import PlatformRun

if TYPE_CHECKING:
    from collections.abc import Collection

    from kognitos_async.errors import KognitosError
    from kognitos_async.rest_v2.models import Run

_HOPELESS = (
    AuthenticationError,
    BadRequestError,
    ConfigurationError,
    NotFoundError,
    PermissionDeniedError,
)
"""Errors that are not retried."""


class Outcome(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """The JSON-ready result of a wait: the payload of the trigger's event.

    `problem` says why there are no outputs, `hopeless` that a retry cannot help.
    """

    status: str = ""
    outputs: dict[str, Any] = {}
    problem: str = ""
    hopeless: bool = False

    def result(self, rerun: Collection[str]) -> dict[str, Any]:
        """The outputs.

        Raises `AirflowFailException`, after which Airflow does not retry, for a run that settled without
        success and for errors that a retry cannot help; `AirflowException`, which is retried, for statuses in
        `rerun` and any other problem.
        """
        if not self.problem:
            return self.outputs
        if self.hopeless and self.status not in rerun:
            raise AirflowFailException(self.problem)
        raise AirflowException(self.problem)


def outcome_of(run: Run | PlatformRun) -> Outcome:
    """The outcome of a wait that ended with `run`, which has settled."""
    if isinstance(run, PlatformRun):
        # Values of types that JSON lacks become text.
        status, outputs = str(run.state), run.to_dict()["outputs"]
    else:
        status, outputs = str(run.status), dict(run.outputs_by_name)
    try:
        run.raise_for_status()
    except RunError as error:
        return Outcome(status=status, problem=str(error), hopeless=True)
    return Outcome(status=status, outputs=outputs)


def outcome_of_error(error: KognitosError) -> Outcome:
    """The outcome of a start or a wait that raised `error`. The message contains no secret."""
    hopeless = isinstance(error, _HOPELESS) and not isinstance(error, CapacityError)
    return Outcome(problem=f"{type(error).__name__}: {error}", hopeless=hopeless)
