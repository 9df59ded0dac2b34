"""What a crash or a lost message leaves behind, found and put right. One method per script."""

from collections.abc import Iterable
from dataclasses import dataclass

from orchestrator.state import keys
from orchestrator.state.scripts import Scripts


@dataclass(frozen=True)
class Redrive:
    """A step to enqueue once more, in the re-drive queue of `queue`."""

    job_id: str
    step: str
    queue: str
    specialist: str


@dataclass(frozen=True)
class Found:
    """A sweep's counted report; `steps` are to be enqueued where the script does not do it itself."""

    lost_leases: int
    lost_messages: int
    still_waiting: int
    expired_jobs: int
    steps: tuple[Redrive, ...]

    def __bool__(self) -> bool:
        return bool(self.lost_leases or self.lost_messages or self.still_waiting or self.expired_jobs)


class SweepStore:
    """Looks for what no longer moves."""

    def __init__(self, scripts: Scripts, grace_s: float, retention_s: int) -> None:
        self._scripts, self._retention_s = scripts, retention_s
        self._grace_ms = round(grace_s * 1000)

    async def waiting_queues(self) -> list[str]:
        """The queues that have unclaimed steps, for who must ask a broker elsewhere whether they are empty."""
        command = self._scripts.client.command
        queues = [queue.decode() for queue in await command("SMEMBERS", keys.INDEXES["queues"])]
        return [queue for queue in queues if await command("ZCARD", keys.FAMILIES["ready"] + queue)]

    async def sweep(self, empty_queues: Iterable[str] = (), limit: int = 500) -> Found:
        """Re-drive at most `limit` steps of each kind, and fail the jobs that are past their deadline."""
        expired = await self._scripts.run("expire", limit, self._retention_s)
        leases, messages, waiting, words = await self._scripts.run(
            "sweep", limit, self._grace_ms, self._retention_s, *empty_queues
        )
        texts = [word.decode() for word in words]
        steps = tuple(
            Redrive(member.rpartition(".")[0], member.rpartition(".")[2], queue, specialist)
            for member, queue, specialist in zip(texts[::3], texts[1::3], texts[2::3], strict=True)
        )
        return Found(leases, messages, waiting, len(expired), steps)
