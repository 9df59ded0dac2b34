"""The leases of this process: renewed together, and ended together with the jobs they belong to.

A thread of its own keeps them, so that code which blocks the event loop does not lose its step to another worker.
"""

import asyncio
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field

import structlog

from orchestrator.errors import SurefootError
from orchestrator.state import keys
from orchestrator.state.client import ReplyError, SyncClient, without_loop
from orchestrator.state.steps import Lease, StepStore
from orchestrator.state.undo import is_work

log = structlog.get_logger(__name__)
MOST_AT_ONCE = 1_000
LOOK_S = 0.02


@dataclass(eq=False)
class Held:
    """What one attempt holds: nothing while its claim is on its way, then a lease; `lost` says why it must stop.

    Attributes:
        committing: how it ended is on its way to the record, whose answer says whether the step was still ours. That
            the lease or the job has ended meanwhile is what a commit that arrived looks like.
    """

    task: "asyncio.Task[object]"
    length_s: float
    lease: Lease | None = None
    lost: str = ""
    committing: bool = False
    _sure_until: float = 0.0
    _ended: set[str] = field(default_factory=set[str])

    def take(self, lease: Lease, asked_at: float) -> Lease:
        """The claim was answered; it was asked at this time, `time.monotonic()`."""
        self.lease = lease
        self.renewed(asked_at)
        for job_id in list(self._ended):
            self.job_ended(job_id)
        return lease

    def job_ended(self, job_id: str) -> None:
        """Stop, if it works for this job; what undoes the job goes on. While the claim is on its way, that is kept."""
        self._ended.add(job_id)  # before the look at the lease: `take` looks in the other order, in another thread
        if self.lease is None:
            return
        self._ended.discard(job_id)
        if self.lease.job_id == job_id and not self.committing and not is_work(self.lease.step):
            self.stop("its job has ended")

    def renewed(self, asked_at: float) -> None:
        """The lease lasts from when this was asked, at least: the record's clock started later."""
        self._sure_until = asked_at + self.length_s

    @property
    def sure(self) -> bool:
        """Whether nobody else can hold the step now: false after a pause of this process, or of its connection."""
        return not self.lost and time.monotonic() < self._sure_until

    def stop(self, why: str = "") -> None:
        """Cancel the work; harmless when it has ended."""
        self.lost = why
        self.task.get_loop().call_soon_threadsafe(self.task.cancel)


class Leases:
    """What this process holds."""

    def __init__(self, client: SyncClient, store: StepStore, lease_s: float, on_lost: Callable[[], None]) -> None:
        """`store` runs on `client`: both belong to the keeper's thread, which calls `on_lost` for each lost lease."""
        self._on_lost = on_lost
        self._client, self._store, self._lease_s = client, store, lease_s
        self._held: set[Held] = set()
        self._closed = threading.Event()
        self._keeper = threading.Thread(target=self._keep, name="surefoot-leases", daemon=True)
        self._keeper.start()

    def hold(self) -> Held:
        """Keep what the current task takes, from before it asks for it; until `let_go`."""
        task = asyncio.current_task()
        assert task is not None
        held = Held(task, self._lease_s)
        self._held.add(held)
        return held

    def let_go(self, held: Held) -> None:
        """The attempt has ended."""
        self._held.remove(held)

    def give_back(self, grace_s: float, within_s: float) -> list[str]:
        """At the process's end: stop what runs and hand its steps on.

        A step whose code does not end within `within_s` is handed on nevertheless: from then on that code can commit
        nothing and call no tool. Returns these steps' names.
        """
        for held in self._now():
            held.stop()
        end = time.monotonic() + within_s
        while self._held and time.monotonic() < end:
            time.sleep(LOOK_S)
        left = [held.lease for held in self._now() if held.lease]
        for lease in left:
            try:
                without_loop(self._store.give_back(lease, grace_s))
            except (SurefootError, ReplyError) as error:
                log.warning("a step is left to the sweeper", step=lease.name, error=str(error))
        return [lease.name for lease in left]

    def __len__(self) -> int:
        return len(self._held)

    def running(self) -> list[str]:
        """The steps held now, `<job>.<step>`."""
        return [held.lease.name for held in self._now() if held.lease]

    def close(self) -> None:
        """Stop renewing."""
        self._closed.set()

    def _now(self) -> list[Held]:
        """What is held, for other threads than the loop's: a copy, which one instruction makes."""
        return list(self._held)

    def _keep(self) -> None:
        while not self._closed.is_set():
            try:
                for job in self._client.messages(keys.STOPS, self._lease_s / 3):
                    self._stop_job(job.decode())
                self._renew()
            except (SurefootError, ReplyError) as error:
                # the leases run out, others take over, and our commits are refused: nothing is doubled
                log.warning("leases not renewed", error=str(error), held=len(self._held))
                self._closed.wait(self._lease_s / 3)

    def _renew(self) -> None:
        held = [(one, one.lease) for one in self._now() if one.lease]
        for start in range(0, len(held), MOST_AT_ONCE):
            batch, asked_at = held[start : start + MOST_AT_ONCE], time.monotonic()
            lost = set(without_loop(self._store.renew([lease for _, lease in batch])))
            for one, lease in batch:
                if lease not in lost:
                    one.renewed(asked_at)
                elif not one.committing:
                    one.stop("its lease was lost")
                    self._on_lost()

    def _stop_job(self, job_id: str) -> None:
        for held in self._now():
            held.job_ended(job_id)
