"""The leases of this process: renewed together, and ended together with the jobs they belong to.

A thread of its own keeps them, so that code which blocks the event loop does not lose its step to another worker.
"""

import asyncio
import threading
import time
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass

import structlog

from orchestrator.errors import SurefootError
from orchestrator.state import keys
from orchestrator.state.client import ReplyError, SyncClient, without_loop
from orchestrator.state.steps import Lease, StepStore

log = structlog.get_logger(__name__)
MOST_AT_ONCE = 1_000
LOOK_S = 0.02


@dataclass(eq=False)
class Held:
    """A lease and the coroutine that works under it; `lost` says why it must stop."""

    lease: Lease
    task: "asyncio.Task[object]"
    lost: str = ""

    def stop(self, why: str) -> None:
        """Cancel the work; harmless when it has ended."""
        self.lost = why
        self.task.get_loop().call_soon_threadsafe(self.task.cancel)


class Leases:
    """What this process holds."""

    def __init__(self, client: SyncClient, store: StepStore, lease_s: float) -> None:
        """`store` runs on `client`: both belong to the keeper's thread."""
        self._client, self._store, self._every_s = client, store, lease_s / 3
        self._held: dict[str, Held] = {}
        self._closed = threading.Event()
        self._keeper = threading.Thread(target=self._keep, name="surefoot-leases", daemon=True)
        self._keeper.start()

    @contextmanager
    def hold(self, lease: Lease) -> Generator[Held]:
        """Keep a lease while the current task works under it."""
        task = asyncio.current_task()
        assert task is not None
        held = self._held[f"{lease.job_id}.{lease.step}"] = Held(lease, task)
        try:
            yield held
        finally:
            if self._held.get(f"{lease.job_id}.{lease.step}") is held:
                del self._held[f"{lease.job_id}.{lease.step}"]

    def give_back(self, grace_s: float, within_s: float) -> list[str]:
        """At the process's end: stop what runs and hand its steps on.

        A step whose code does not end within `within_s` is handed on nevertheless: from then on that code can commit
        nothing and call no tool. Returns these steps' names.
        """
        for held in list(self._held.values()):
            held.task.get_loop().call_soon_threadsafe(held.task.cancel)
        end = time.monotonic() + within_s
        while self._held and time.monotonic() < end:
            time.sleep(LOOK_S)
        left = dict(self._held)
        for name, held in left.items():
            try:
                without_loop(self._store.give_back(held.lease, grace_s))
            except (SurefootError, ReplyError) as error:
                log.warning("a step is left to the sweeper", step=name, error=str(error))
        return list(left)

    def __len__(self) -> int:
        return len(self._held)

    def close(self) -> None:
        """Stop renewing."""
        self._closed.set()

    def _keep(self) -> None:
        while not self._closed.is_set():
            try:
                for job in self._client.messages(keys.STOPS, self._every_s):
                    self._stop_job(job.decode())
                self._renew()
            except (SurefootError, ReplyError) as error:
                # the leases run out, others take over, and our commits are refused: nothing is doubled
                log.warning("leases not renewed", error=str(error), held=len(self._held))
                self._closed.wait(self._every_s)

    def _renew(self) -> None:
        held = list(self._held.values())
        for start in range(0, len(held), MOST_AT_ONCE):
            leases = [one.lease for one in held[start : start + MOST_AT_ONCE]]
            for member in without_loop(self._store.renew(leases)):
                lost = self._held.get(member)
                if lost is not None and lost.lease in leases:
                    lost.stop("its lease was lost")

    def _stop_job(self, job_id: str) -> None:
        for held in list(self._held.values()):
            if held.lease.job_id == job_id:
                held.stop("its job has ended")
