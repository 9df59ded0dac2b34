"""The jobs of several statuses as one list, those that changed last first."""

from collections.abc import Awaitable, Callable, Iterable
from operator import itemgetter
from typing import Any

from orchestrator.errors import InvalidRequest
from orchestrator.state import keys
from orchestrator.status import JobStatus

PAGE = 500


def at_most(limit: int) -> int:
    """How many jobs are asked for.

    Raises:
        InvalidRequest: it is not a number from 1.
    """
    if type(limit) is not int or limit < 1:  # True is not
        raise InvalidRequest(f"limit must be a number of jobs from 1, not {limit!r}")
    return limit


class Listing:
    """Ids of jobs, page by page. The index of each status is read as far as it is needed."""

    def __init__(self, command: Callable[..., Awaitable[Any]], statuses: Iterable[JobStatus]) -> None:
        """`command` sends one command to Redis."""
        self._command = command
        self._held: dict[JobStatus, list[tuple[float, str]]] = {status: [] for status in statuses}  # newest last
        self._more = dict.fromkeys(self._held, 0)  # where each index goes on
        self._told = set[str]()  # a job that moves meanwhile may stand in two

    async def page(self) -> list[str]:
        """The next ones, at most `PAGE`; empty at the end."""
        page: list[str] = []
        while len(page) < PAGE and (job_id := await self._next()):
            if job_id not in self._told:
                self._told.add(job_id)
                page.append(job_id)
        return page

    async def _next(self) -> str | None:
        for status, held in self._held.items():
            if not held and status in self._more:
                held.extend(await self._fetched(status))
        newest = max(filter(None, self._held.values()), key=itemgetter(-1), default=None)
        return newest.pop()[1] if newest else None

    async def _fetched(self, status: JobStatus) -> list[tuple[float, str]]:
        first = self._more[status]
        words = await self._command("ZREVRANGE", keys.jobs(status), first, first + PAGE - 1, "WITHSCORES")
        self._more[status] += PAGE
        if len(words) < 2 * PAGE:
            del self._more[status]
        return [(float(words[i + 1]), words[i].decode()) for i in range(0, len(words), 2)][::-1]
