"""Jobs that should move and do not: which step holds each up, why, and what helps."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from orchestrator.errors import JobNotFound
from orchestrator.state import keys
from orchestrator.state.client import Client
from orchestrator.state.jobs import JobStore
from orchestrator.state.listing import at_most
from orchestrator.state.records import JobRecord, decode
from orchestrator.status import JobStatus

MOST = 1_000
"""So many jobs are looked at, those that changed longest ago first."""
MOVING = ("ready", "running", "retrying")
PATIENCE_S = 60.0
"""A step may stand still so long; a worker that restarts, or a backlog, is nothing to worry about."""


@dataclass(frozen=True)
class Standstill:
    """A job that should move and does not.

    Attributes:
        record: the job.
        step: the step that holds it up, `undo~<step>` where that is not undone; empty where none of its steps can run.
        cause: why, one line for people.
        remedy: what helps, with its command.
        for_s: for how long, seconds.
    """

    record: JobRecord
    step: str
    cause: str
    remedy: str
    for_s: float


@dataclass(frozen=True)
class Seen:
    """What else is known of a job, ms: now, when it was heard of last, and since when its steps are offered."""

    now_ms: int
    heard_ms: int
    offered: Mapping[str, int] = field(default_factory=dict[str, int])


def moving(record: JobRecord) -> list[str]:
    """The steps that somebody should take, has, or is to try again."""
    names = [keys.UNDO + step for step in record.undo.steps] if record.status.final else record.step_names()
    return [name for name in names if record.fields[f"{name}.state"] in MOVING]


def standstill(record: JobRecord, seen: Seen, patience_s: float) -> Standstill | None:
    """Why a job stands still, if one of its steps has for so long."""
    found = max(_causes(record, seen), key=lambda one: one.for_s)
    return found if found.for_s >= patience_s else None


def _causes(record: JobRecord, seen: Seen) -> Iterator[Standstill]:
    silent_s = (seen.now_ms - seen.heard_ms) / 1000
    written_as = record.fields.get("format", keys.FORMAT)
    if written_as != keys.FORMAT:
        cause = f"its record has format {written_as}, this version reads {keys.FORMAT}"
        yield Standstill(record, "", cause, "start a worker of the version that it was submitted with", silent_s)
        return
    steps = moving(record)
    if not steps:
        yield Standstill(record, "", "none of its steps can run", f"surefoot show {record.id}", silent_s)
    for step in steps:
        yield _cause(record, step, seen, silent_s)


def _cause(record: JobRecord, step: str, seen: Seen, silent_s: float) -> Standstill:
    f, state = record.fields, record.fields[f"{step}.state"]
    attempt, _, refused_ms = f.get(f"{step}.refused", "").partition(":")
    unknown = attempt == f[f"{step}.try"]  # else somebody knew it meanwhile
    serve = f"start a worker that takes its queue: surefoot worker --queues {f[f'{step}.queue']}"
    since_ms = f[f"{step}.until"] if state == "running" else refused_ms
    if unknown:
        cause = f"no worker that it came to knows the specialist {f[f'{step}.spec']!r}"
        remedy = "start a worker that does, with its module in SUREFOOT_WORKFLOWS: surefoot worker"
        return Standstill(record, step, cause, remedy, (seen.now_ms - int(since_ms)) / 1000)
    if state == "running":
        over_s = (seen.now_ms - int(since_ms)) / 1000
        return Standstill(
            record, step, "its worker is gone, and nobody looks", "start a sweeper: surefoot sweeper", over_s
        )
    if state == "retrying":
        why = decode(f[f"{step}.err"])
        cause = f"attempt {f[f'{step}.try']} is to be followed by another, and no worker takes it: {why['message']}"
        return Standstill(record, step, cause, serve, silent_s - why.get("delay_s", 0.0))
    for_s = (seen.now_ms - seen.offered[step]) / 1000 if step in seen.offered else silent_s
    return Standstill(record, step, "no worker takes it", serve, for_s)


class StandstillStore:
    """Looks for them."""

    def __init__(self, client: Client, jobs: JobStore) -> None:
        self._command, self._jobs = client.command, jobs

    async def find(self, patience_s: float, tenant: str | None, limit: int) -> list[Standstill]:
        """Those of a tenant, or of all, the longest first, at most so many.

        Raises:
            InvalidRequest: `limit` is not a number from 1.
        """
        found, most = list[Standstill](), at_most(limit)
        for job_id in await self._candidates():
            try:
                record = await self._jobs.read(job_id)
            except JobNotFound:  # it expired meanwhile
                continue
            moves = record.status in {JobStatus.RUNNING, JobStatus.QUEUED} or record.undo.pending
            if moves and tenant in {None, record.fields["tenant"]}:
                one = standstill(record, await self._seen(record), patience_s)
                found += [one] if one else []
        return sorted(found, key=lambda one: -one.for_s)[:most]

    async def _candidates(self) -> list[str]:
        """The jobs that run, and those that are undone: these stand in the indexes of steps only."""
        ids: dict[str, None] = {}
        for status in (JobStatus.RUNNING, JobStatus.QUEUED):
            ids |= dict.fromkeys(map(bytes.decode, await self._command("ZRANGE", keys.jobs(status), 0, MOST - 1)))
        queues = map(bytes.decode, await self._command("SMEMBERS", keys.INDEXES["queues"]))
        for index in (
            keys.INDEXES["leases"],
            keys.INDEXES["again"],
            *(keys.FAMILIES["ready"] + name for name in queues),
        ):
            for member in map(bytes.decode, await self._command("ZRANGE", index, 0, MOST - 1)):
                job_id, _, step = member.rpartition(".")
                if step.startswith(keys.UNDO):
                    ids[job_id] = None
        return list(ids)

    async def _seen(self, record: JobRecord) -> Seen:
        seconds, micros = map(int, await self._command("TIME"))
        newest = await self._command("XREVRANGE", keys.events(record.id), "+", "-", "COUNT", 1)
        heard_ms = int(newest[0][0].partition(b"-")[0]) if newest else int(record.fields["since"])
        offered: dict[str, int] = {}
        for step in moving(record):
            ready = keys.FAMILIES["ready"] + record.fields[f"{step}.queue"]
            if since := await self._command("ZSCORE", ready, f"{record.id}.{step}"):
                offered[step] = int(float(since))
        return Seen(seconds * 1000 + micros // 1000, heard_ms, offered)
