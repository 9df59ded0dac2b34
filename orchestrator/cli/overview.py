"""The whole fleet at one moment, for `surefoot top`: every figure from an index, each read bounded."""

from collections import Counter, deque
from collections.abc import AsyncIterator
from dataclasses import asdict, dataclass
from typing import Any

from orchestrator import connect
from orchestrator.budget import MICRO
from orchestrator.cli.advice import diagnoses
from orchestrator.settings import Settings
from orchestrator.state.client import SyncClient, without_loop
from orchestrator.state.jobs import JobStore
from orchestrator.state.presence import Glance, PresenceStore, Process
from orchestrator.state.scripts import Scripts
from orchestrator.state.sweeping import SweepStore
from orchestrator.status import JobStatus
from orchestrator.telemetry.redaction import redact_text

MOST_JOBS = 100
"""Of each status so many are looked at, the newest."""
MOST_WAITING = 10
MINUTE_MS = 60_000
OPEN = (JobStatus.RUNNING, JobStatus.WAITING, JobStatus.QUEUED)
PATIENCE_S = 2.0
KINDS = ("tool_calls", "tokens", "usd")


@dataclass(frozen=True)
class _Spent:
    at_ms: int
    tenant: str
    amounts: Counter[str]


class Meter:
    """What tenants spend a minute, from the spend of their jobs at each look."""

    def __init__(self) -> None:
        self._before: dict[str, Glance] = {}
        self._spent = deque[_Spent]()

    def look(self, jobs: list[Glance], at_ms: int) -> dict[str, Counter[str]]:
        """By tenant, what was spent in the last minute: all that a job younger than that has spent, else the growth."""
        for job in jobs:
            before = self._before.get(job.id)
            if before is None and at_ms - job.created > MINUTE_MS:
                continue  # how much of it was lately is not known
            amounts = Counter({kind: getattr(job, kind) - (getattr(before, kind) if before else 0) for kind in KINDS})
            if any(amounts.values()):
                self._spent.append(_Spent(at_ms, job.tenant, amounts))
        self._before = {job.id: job for job in jobs}
        while self._spent and at_ms - self._spent[0].at_ms > MINUTE_MS:
            self._spent.popleft()
        total: dict[str, Counter[str]] = {}
        for spent in self._spent:
            total.setdefault(spent.tenant, Counter()).update(spent.amounts)
        return total


class Overview:
    """Looks at everything, again and again."""

    def __init__(self, settings: Settings) -> None:
        scripts = Scripts(SyncClient(connect.state_url(settings), PATIENCE_S))
        self._presence, self._jobs = PresenceStore(scripts), JobStore(scripts, settings.retention_s)
        self._sweeps = SweepStore(scripts, settings.grace_s, settings.retention_s)
        self._meter = Meter()

    def look(self) -> dict[str, Any]:
        """As `surefoot top --json` prints it.

        Raises:
            StoreUnavailable: Redis does not answer.
        """
        return without_loop(self._look())

    async def _look(self) -> dict[str, Any]:
        census, doubts = await self._sweeps.census(), await self._sweeps.doubts()
        at_ms = await self._presence.clock_ms()
        fleet = await self._presence.fleet()
        glances = [job for status in OPEN for job in await self._presence.jobs(status, MOST_JOBS)]
        ended = [
            job
            for status in JobStatus
            if status.final
            for job in await self._presence.jobs(status, MOST_JOBS, at_ms - MINUTE_MS)
        ]
        waiting = [job async for job in self._waiting()]
        holders = {step: process.name for process in fleet.processes for step in process.facts.get("running", ())}
        return {
            "at_ms": at_ms,
            "jobs": census.jobs,
            "queues": {name: {"depth": depth, "oldest_s": old} for name, (depth, old) in census.queues.items()},
            "workers": [_process(process, at_ms) for process in fleet.processes],
            "workers_known": fleet.known,
            "leases": census.leases,
            "again": census.again,
            "running": [{"step": s, "lease_s": left, "held_by": holders.get(s)} for s, left in fleet.leases.items()],
            "tenants": _tenants(glances, self._meter.look(glances + ended, at_ms)),
            "waiting_for_people": waiting,
            "in_doubt": asdict(doubts),
            "swept": _swept(fleet.processes),
        }

    async def _waiting(self) -> AsyncIterator[dict[str, Any]]:
        for record in await self._jobs.find([JobStatus.WAITING], None, MOST_WAITING):
            asked = diagnoses(record)
            yield {
                "job": record.id,
                "tenant": redact_text(record.fields["tenant"]),
                "since_ms": int(record.fields["since"]),
                "asks": [f"{one.place}: {one.cause}" for one in asked],
                "next": asked[0].remedies[0] if asked else f"surefoot show {record.id}",
            }


def _process(process: Process, at_ms: int) -> dict[str, Any]:
    facts = dict(process.facts)
    up_s = at_ms / 1000 - facts["started"] if "started" in facts else None
    return {"name": process.name, "alive": process.alive, "heard_s": process.heard_s, "up_s": up_s, **facts}


def _tenants(jobs: list[Glance], spent: dict[str, Counter[str]]) -> dict[str, dict[str, Any]]:
    found: dict[str, dict[str, Any]] = {}
    for tenant in sorted({job.tenant for job in jobs} | set(spent)):
        open_jobs = Counter(str(job.status) for job in jobs if job.tenant == tenant)
        rates = spent.get(tenant, Counter[str]())
        minute = {"tool_calls": rates["tool_calls"], "tokens": rates["tokens"], "usd": rates["usd"] / MICRO}
        found[redact_text(tenant)] = {**{str(status): open_jobs[status] for status in OPEN}, "a_minute": minute}
    return found


def _swept(processes: tuple[Process, ...]) -> dict[str, int]:
    """What the processes that are alive have put right since they started."""
    total = Counter[str]()
    for process in processes:
        total.update(process.facts.get("swept", {}))
    return dict(total)
