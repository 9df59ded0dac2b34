"""What models answered, kept for a while so that the very same request need not be paid again: off unless it is set."""

import structlog

from orchestrator.errors import SurefootError
from orchestrator.state import keys
from orchestrator.state.client import ReplyError
from orchestrator.state.scripts import Scripts

log = structlog.get_logger(__name__)
LARGEST = 65_536
"""Bytes of an answer that is kept; a larger one is asked for each time."""


class ReplyCache:
    """Each tenant's own answers. It is no part of any job: what is wrong with it is logged, and costs a question.

    So its client must not be endlessly patient, as a worker's is otherwise: that one asks until it is not refused.
    """

    def __init__(self, scripts: Scripts, ttl_s: int) -> None:
        self._scripts, self._ttl_s = scripts, ttl_s

    async def find(self, tenant: str, request: str) -> bytes:
        """What was answered to this request, as it was kept; empty where there is nothing."""
        try:
            name = keys.cached(keys.of_tenant(tenant, request))
            text = await self._scripts.client.command("GETRANGE", name, 0, LARGEST)
        except (ReplyError, SurefootError) as error:
            log.warning("the cache of model answers cannot be read", error=str(error))
            return b""
        return text if len(text) <= LARGEST else b""

    async def keep(self, tenant: str, request: str, text: str) -> None:
        """Keep an answer for the time that is set."""
        if len(text.encode()) > LARGEST:
            return
        try:
            await self._scripts.run("remember", keys.of_tenant(tenant, request), self._ttl_s, text)
        except (ReplyError, SurefootError) as error:  # Redis is full, say
            log.warning("a model's answer is not kept for others", error=str(error))
