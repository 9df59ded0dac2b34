"""What a crash or a lost message leaves behind, found and put right. One method per thing and script."""

import dataclasses
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Any

from orchestrator.state import keys
from orchestrator.state.durability import foreseen
from orchestrator.state.jobs import JobStore
from orchestrator.state.presence import BELIEVED_S
from orchestrator.state.scripts import Scripts
from orchestrator.status import JobStatus

BATCH, BATCHES = 50, 20
"""Most things that one script puts right (Redis serves nobody else meanwhile), and most such scripts in a sweep."""


@dataclass(frozen=True)
class Redrive:
    """A step to enqueue once more, in the re-drive queue of `queue`."""

    job_id: str
    step: str
    queue: str
    specialist: str


@dataclass(frozen=True)
class Found:
    """A sweep's counted report.

    Attributes:
        lost_leases: steps whose holder stopped renewing its lease.
        unclaimed_steps: first steps of a plan whose message is gone.
        lost_joins: steps that a commit freed and whose message is gone.
        overdue: steps that were re-driven, or to be tried again, and that nobody has claimed by now.
        orphaned_reservations: calls whose attempt ended before them; what they had reserved counts as spent now.
        expired_jobs: jobs past their deadline, failed now.
        unanswered: questions past their deadline: their default counts now, or their job is cancelled.
        retired_jobs: jobs whose records have expired, now in no list any more.
        steps: what was enqueued once more; where the scripts cannot, what the caller has to enqueue.
    """

    lost_leases: int = 0
    unclaimed_steps: int = 0
    lost_joins: int = 0
    overdue: int = 0
    orphaned_reservations: int = 0
    expired_jobs: int = 0
    unanswered: int = 0
    retired_jobs: int = 0
    steps: tuple[Redrive, ...] = ()

    @property
    def counts(self) -> dict[str, int]:
        """What was found, by name."""
        names = (field.name for field in dataclasses.fields(self) if field.name != "steps")
        return {name: getattr(self, name) for name in names}

    def __bool__(self) -> bool:
        return any(self.counts.values())

    def __add__(self, other: "Found") -> "Found":
        names = (field.name for field in dataclasses.fields(self))
        return Found(**{name: getattr(self, name) + getattr(other, name) for name in names})


@dataclass(frozen=True)
class Doubts:
    """Calls in doubt: how many, how many jobs wait for one, and how long ago the oldest was asked about, seconds."""

    calls: int
    jobs: int
    oldest_s: float


@dataclass(frozen=True)
class Census:
    """How many there are of what.

    Attributes:
        jobs: by status.
        oldest: by status: for how long the job that came to it first has had it, seconds.
        queues: by name: its waiting steps, and for how long the oldest of them has waited, seconds.
        leases: steps that are held.
        again: steps that were re-driven or are to be tried again.
        reached: by status and workflow: how many jobs ever came to it.
        alive: processes that were heard of lately; `silent`: those that were not, and did not end in order.
        memory: bytes that Redis uses; `memory_limit`: that it may use, 0 where it has no limit or does not say.
    """

    jobs: dict[JobStatus, int]
    oldest: dict[JobStatus, float]
    queues: dict[str, tuple[int, float]]
    leases: int
    again: int
    reached: dict[tuple[str, str], int]
    alive: int
    silent: int
    memory: int
    memory_limit: int


class SweepStore:
    """Looks for what no longer moves."""

    def __init__(self, scripts: Scripts, grace_s: float, retention_s: int, batch: int = BATCH) -> None:
        """`batch`: most things that one script puts right."""
        self._scripts, self._retention_s, self._batch = scripts, retention_s, batch
        self._jobs = JobStore(scripts, retention_s)
        self._grace_ms = round(grace_s * 1000)

    async def sweep(self, empty: Sequence[str] | None = (), asked_ms: int = 0) -> Found:
        """All of it once, at most `BATCHES` times `batch` of each kind; the rest next time.

        Where the broker is elsewhere, `empty` are its queues that held no message at `asked_ms`. None: it is away, and
        no step is re-driven, since nothing could be sent and each re-drive makes the wait until the next one longer.
        """
        looks = [self.expired_jobs]
        if empty is not None:
            looks += [
                self.lost_leases,
                lambda: self.unclaimed_steps(empty, asked_ms),
                lambda: self.overdue(empty, asked_ms),
            ]
        found = Found()
        for look in (*looks, self.orphaned_reservations, self.retired_jobs):
            found += await _in_batches(look)
        return found

    async def expired_jobs(self) -> tuple[Found, bool]:
        """Fail the jobs that are past their deadline; like all that follow: whether there may be more.

        A question that is past its own takes its default, or its job is cancelled.
        """
        due, failed, unanswered, defaults, words = await self._scripts.run("expire", self._batch, self._retention_s)
        for job_id in unanswered:
            await self._jobs.cancel(job_id.decode())
        found = Found(expired_jobs=len(failed), unanswered=defaults + len(unanswered), steps=_redrives(words))
        return found, due == self._batch

    async def lost_leases(self) -> tuple[Found, bool]:
        """Re-drive the steps whose lease ran out."""
        lost, words = await self._scripts.run("sweep_leases", self._batch, self._grace_ms)
        return Found(lost_leases=lost, steps=_redrives(words)), lost == self._batch

    async def unclaimed_steps(self, empty: Sequence[str] = (), asked_ms: int = 0) -> tuple[Found, bool]:
        """Re-drive the steps, joins among them, whose message is gone."""
        row = await self._scripts.run("sweep_ready", self._batch, self._grace_ms, asked_ms, *empty)
        first, joins, forgotten, words = row
        more = first + joins + forgotten == self._batch
        return Found(unclaimed_steps=first, lost_joins=joins, steps=_redrives(words)), more

    async def overdue(self, empty: Sequence[str] = (), asked_ms: int = 0) -> tuple[Found, bool]:
        """Re-drive the steps that were to be claimed by now, where the message of their last re-drive is gone."""
        due, words = await self._scripts.run("sweep_again", self._batch, self._grace_ms, asked_ms, *empty)
        steps = _redrives(words)
        return Found(overdue=len(steps), steps=steps), due == self._batch

    async def orphaned_reservations(self) -> tuple[Found, bool]:
        """Settle what calls had reserved whose attempt is over."""
        due, settled = await self._scripts.run("sweep_calls", self._batch)
        return Found(orphaned_reservations=settled), due == self._batch

    async def retired_jobs(self) -> tuple[Found, bool]:
        """Take the jobs whose records have expired out of the lists."""
        retired = await self._scripts.run("retire", self._batch, self._retention_s)
        return Found(retired_jobs=retired), retired >= self._batch

    async def doubts(self, limit: int = 1_000) -> Doubts:
        """The calls in doubt, of at most the oldest `limit`."""
        calls, jobs, oldest_ms = await self._scripts.run("sweep_doubts", limit)
        return Doubts(calls, jobs, oldest_ms / 1000)

    async def census(self) -> Census:
        """Count."""
        row = await self._scripts.run("census", round(BELIEVED_S * 1000), *JobStatus)
        jobs, queues, leases, again, reached, *processes_and_memory = row
        oldest = dict(zip(JobStatus, (ms / 1000 for ms in jobs[1::2]), strict=True))
        waiting = {queues[i].decode(): (queues[i + 1], queues[i + 2] / 1000) for i in range(0, len(queues), 3)}
        came = {_status_and_workflow(reached[i]): int(reached[i + 1]) for i in range(0, len(reached), 2)}
        counts = dict(zip(JobStatus, jobs[::2], strict=True))
        return Census(counts, oldest, waiting, leases, again, came, *processes_and_memory)

    async def waiting_queues(self) -> tuple[list[str], int]:
        """The broker's queues that steps wait in, and the time, ms: for who asks a broker elsewhere which are empty."""
        command = self._scripts.client.command
        seconds, micros = map(int, await command("TIME"))
        names = [queue.decode() for queue in await command("SMEMBERS", keys.INDEXES["queues"])]
        waiting = [keys.queue(name) for name in names if await command("ZCARD", keys.FAMILIES["ready"] + name)]
        if await command("ZCARD", keys.INDEXES["again"]):
            waiting += [keys.redrive_queue(name) for name in names]
        return waiting, seconds * 1000 + micros // 1000

    async def ping(self) -> None:
        """Whether Redis answers.

        Raises:
            StoreUnavailable: it does not.
        """
        await self._scripts.client.command("PING")

    async def dangers(self) -> list[str]:
        """How Redis may lose jobs, as it is set up."""
        return await foreseen(self._scripts.client)

    async def turn(self, seconds: float) -> bool:
        """Whether it is this sweeper's turn: one of all within this time, so that many cost no more than one."""
        milliseconds = max(1, round(1000 * seconds))
        return await self._scripts.client.command("SET", keys.INDEXES["turn"], 1, "NX", "PX", milliseconds) is not None


async def _in_batches(look: Callable[[], Awaitable[tuple[Found, bool]]]) -> Found:
    total = Found()
    for _ in range(BATCHES):
        found, more = await look()
        total += found
        if not more:
            break
    return total


def _status_and_workflow(word: bytes) -> tuple[str, str]:
    status, _, workflow = word.decode().partition(" ")
    return status, workflow


def _redrives(words: Sequence[Any]) -> tuple[Redrive, ...]:
    texts = [word.decode() for word in words]
    return tuple(
        Redrive(member.rpartition(".")[0], member.rpartition(".")[2], queue, specialist)
        for member, queue, specialist in zip(texts[::3], texts[1::3], texts[2::3], strict=True)
    )
