"""`ServerControl`: faults and counts of a `KognitosServer` in another process."""

from __future__ import annotations

import json
import urllib.error
import urllib.request
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping


class ServerControl:
    """Controls a server that has a `control_token`, from another process. Blocking; usable in any thread.

    Methods raise `ValueError` for arguments that the server refuses, `LookupError` for what it does not know,
    and `OSError` if it cannot be reached.
    """

    def __init__(self, url: str, token: str) -> None:
        self._url = url.rstrip("/")
        self._token = token

    def summary(self) -> dict[str, Any]:
        """Requests in total, by operation, status and worker; runs, files and duplicates of both APIs."""
        found: dict[str, Any] = self._get("summary")
        return found

    def count(
        self, operation: str | None = None, *, status: int | None = None, worker: str | None = None
    ) -> int:
        """The number of requests, of an operation and a worker; with `status`, of those answered with it."""
        found: int = self._post("count", operation=operation, status=status, worker=worker)
        return found

    def runs(self, name: str | None = None) -> list[dict[str, str]]:
        """Id, name and status of all REST API v2 runs, or of those of this name."""
        found: list[dict[str, str]] = self._get("runs", **({} if name is None else {"name": name}))
        return found

    def duplicates(self) -> dict[str, int]:
        """Number of runs by name, for names of more than one run: those started twice."""
        found: dict[str, int] = self.summary()["duplicates"]
        return found

    def missing(self, names: Iterable[str]) -> list[str]:
        """The names that no run has: those lost."""
        found: list[str] = self._post("missing", names=list(names))
        return found

    def misbehave(
        self,
        operation: str,
        fault: str,
        *,
        times: int | None = 1,
        skip: int = 0,
        probability: float = 1.0,
        worker: str | None = None,
        **arguments: Any,
    ) -> RemoteFault:
        """As `KognitosServer.misbehave`, with the name of a function of `faults` and its arguments."""
        made = self._post(
            "fault",
            operation=operation,
            fault=fault,
            arguments=arguments,
            times=times,
            skip=skip,
            probability=probability,
            worker=worker,
        )
        return RemoteFault(self, made["id"])

    def behave(self) -> None:
        """Cancel every fault."""
        self._post("behave")

    def advance(self, seconds: float) -> None:
        """Advance runs, upload forms and rate limits by `seconds`."""
        self._post("advance", seconds=seconds)

    def set_status(self, run_id: str, status: str, outputs: Mapping[str, str | float] | None = None) -> None:
        """Fix the status of a REST API v2 run from now on."""
        self._post("status", run_id=run_id, status=status, outputs=outputs)

    def set_state(self, run_id: str, state: str, **members: Any) -> None:
        """Fix the state of a platform API run from now on."""
        self._post("state", run_id=run_id, state=state, **members)

    def _get(self, command: str, **query: str) -> Any:
        return self._send(f"{command}?{urlencode(query)}", None)

    def _post(self, command: str, **body: Any) -> Any:
        return self._send(command, json.dumps(body).encode())

    def _send(self, command: str, body: bytes | None) -> Any:
        request = urllib.request.Request(  # noqa: S310 - the caller's own server
            f"{self._url}/_control/{command}", body, {"Authorization": f"Bearer {self._token}"}
        )
        try:
            # Ignore proxies of the environment.
            with _OPENER.open(request, timeout=30) as answer:
                return json.load(answer)
        except urllib.error.HTTPError as error:
            with error:
                text = error.read().decode(errors="replace")
            kind = LookupError if error.code == 404 else ValueError
            raise kind(f"{command.partition('?')[0]}: {error.code}, {text[:500]}") from None


@dataclass(frozen=True, slots=True)
class RemoteFault:
    """The fault of a `misbehave` call to a server in another process."""

    control: ServerControl
    id: str

    @property
    def hits(self) -> int:
        """Number of answers affected so far."""
        found: int = self.control._get("fault", id=self.id)["hits"]  # noqa: SLF001 - of this module
        return found

    @property
    def live(self) -> bool:
        """Whether it may still hit."""
        found: bool = self.control._get("fault", id=self.id)["live"]  # noqa: SLF001 - of this module
        return found

    def cancel(self) -> None:
        """Affect no further answers."""
        self.control._post("cancel", id=self.id)  # noqa: SLF001 - of this module


_OPENER = urllib.request.build_opener(urllib.request.ProxyHandler({}))
