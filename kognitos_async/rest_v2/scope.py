"""Which agent a call is about when it does not say."""

from __future__ import annotations

import msgspec

from kognitos_async import checks
from kognitos_async.errors import ConfigurationError


class Scope(msgspec.Struct, frozen=True):
    """The client's own agent."""

    agent_id: str | None

    def agent(self, agent_id: str | None) -> str:
        """The agent given or else the client's; `ConfigurationError` when there is neither."""
        if agent_id is not None:
            return checks.identifier("agent_id", agent_id)
        if self.agent_id is None:
            raise ConfigurationError(
                "no agent: pass agent_id to the call or to the client, or set KOGNITOS_AGENT_ID"
            )
        return self.agent_id
