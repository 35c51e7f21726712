"""The agent of calls that do not name one."""

from __future__ import annotations

import msgspec

from kognitos_async import checks
from kognitos_async.errors import ConfigurationError


class Scope(msgspec.Struct, frozen=True):
    """The client's agent."""

    agent_id: str | None

    def agent(self, agent_id: str | None) -> str:
        """`agent_id`, by default the client's agent. Raises `ConfigurationError` if there is neither."""
        if agent_id is not None:
            return checks.identifier("agent_id", agent_id)
        if self.agent_id is None:
            raise ConfigurationError(
                "no agent: pass agent_id to the call or to the client, or set KOGNITOS_AGENT_ID"
            )
        return self.agent_id
