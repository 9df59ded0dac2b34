"""Who is there: which processes run and what each does, by their own word; and jobs at a glance. For people only."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from orchestrator.state import keys
from orchestrator.state.records import decode, encode
from orchestrator.state.scripts import Scripts
from orchestrator.status import JobStatus

BEAT_S = 2.0
BELIEVED_S = 3 * BEAT_S
"""How often a process says that it is alive, and for how long that is believed."""


@dataclass(frozen=True)
class Process:
    """One process of the fleet.

    Attributes:
        name: as in Flower, e.g. `w1@host`; behind a `/`, the pid of a child of prefork.
        heard_s: how long ago it was last heard of, seconds, by the server's clock.
        facts: what it said then: kind, pid, version, started, busy, running, swept; empty where it fell silent.
    """

    name: str
    heard_s: float
    facts: Mapping[str, Any] = field(default_factory=dict[str, Any])

    @property
    def alive(self) -> bool:
        """Whether it was heard of lately. One that ended in order is not known any more."""
        return bool(self.facts)


@dataclass(frozen=True)
class Fleet:
    """The processes heard of within a day, the last heard first, and the steps that are held.

    Attributes:
        leases: `<job>.<step>` -> for how long its lease still lasts, seconds.
        known: how many processes there are, also beyond those listed.
    """

    processes: tuple[Process, ...]
    leases: Mapping[str, float]
    known: int


@dataclass(frozen=True)
class Glance:
    """The little of a job that a look at many needs: milliseconds since 1970, whole amounts, money in micro-USD."""

    id: str
    status: JobStatus
    tenant: str
    created: int
    tool_calls: int
    tokens: int
    usd: int


_GLANCED = ("tenant", "created", "spent:tool_calls", "spent:tokens", "spent:usd")


class PresenceStore:
    """Says and reads who is there."""

    def __init__(self, scripts: Scripts) -> None:
        self._scripts = scripts

    async def beat(self, name: str, facts: Mapping[str, Any]) -> None:
        """Say that this process is alive and what it does."""
        await self._scripts.run("beat", name, encode(facts), round(BELIEVED_S * 1000))

    async def leave(self, name: str) -> None:
        """Say that it ends in order."""
        await self._scripts.client.command("ZREM", keys.INDEXES["workers"], name)
        await self._scripts.client.command("DEL", keys.worker(name))

    async def jobs(self, status: JobStatus, most: int, since_ms: int = 0) -> list[Glance]:
        """The jobs that have this status since then or later, the newest first, at most so many."""
        command = self._scripts.client.command
        ids = await command("ZREVRANGEBYSCORE", keys.jobs(status), "+inf", since_ms, "LIMIT", 0, most)
        glances: list[Glance] = []
        for job_id in map(bytes.decode, ids):
            row = await command("HMGET", keys.job(job_id), *_GLANCED)
            if row[0] is not None:  # else its record has expired meanwhile
                tenant, *numbers = row
                glances.append(Glance(job_id, status, tenant.decode(), *(int(number or 0) for number in numbers)))
        return glances

    async def fleet(self, most: int = 200) -> Fleet:
        """Who is there, at most so many processes and leases."""
        rows, held, known = await self._scripts.run("fleet", most)
        processes = [
            Process(rows[i].decode(), rows[i + 1] / 1000, decode(rows[i + 2]) if rows[i + 2] else {})
            for i in range(0, len(rows), 3)
        ]
        leases = {held[i].decode(): float(held[i + 1]) / 1000 for i in range(0, len(held), 2)}
        return Fleet(tuple(processes), leases, known)

    async def clock_ms(self) -> int:
        """The server's time, milliseconds since 1970."""
        seconds, micros = map(int, await self._scripts.client.command("TIME"))
        return seconds * 1000 + micros // 1000
