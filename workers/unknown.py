"""Steps that came to a worker which does not know their specialist, as while new code is rolled out."""

import structlog

from orchestrator import connect
from orchestrator.errors import SurefootError
from orchestrator.settings import Settings
from orchestrator.state import keys
from orchestrator.state.calls import CallStore
from orchestrator.state.client import ReplyError, SyncClient, without_loop
from orchestrator.state.scripts import Scripts
from orchestrator.state.steps import Lease, StepStore
from orchestrator.state.undo import Undone, UndoStore, not_undone

log = structlog.get_logger(__name__)
PATIENCE_S = 2.0
"""For Redis: this runs where messages are received."""


class Unknown:
    """Leaves such steps to other workers, and fails their jobs when none came for them in time."""

    def __init__(self, settings: Settings) -> None:
        self._patience_s = settings.unknown_s
        scripts = Scripts(SyncClient(connect.state_url(settings), PATIENCE_S))
        self._steps = StepStore(scripts, settings.lease_s, settings.retention_s)
        self._undos = UndoStore(scripts, settings.lease_s, settings.retention_s)
        self._calls = CallStore(scripts)

    def refuse(self, task_id: str, task: str) -> None:
        """A message that this worker cannot act on: `<job>.<step>`, and the task's name."""
        job_id, _, step = task_id.rpartition(".")
        specialist = task.removeprefix("step.")
        why = f"no worker that this step came to knows the specialist {specialist!r}: start one that does, then resume"
        try:
            became = without_loop(self._refuse(job_id, step, why))
        except (SurefootError, ReplyError) as error:
            log.warning("a step of an unknown specialist is left to the sweeper", step=task_id, error=str(error))
            return
        log.warning("unknown specialist", specialist=specialist, step=task_id, became=became)

    async def _refuse(self, job_id: str, step: str, why: str) -> str:
        answer = await self._steps.refuse(job_id, step, why, self._patience_s)
        if answer == "GIVE_UP":
            await self._give_up(job_id, step, why)
        return {"FAILED": "its job failed", "GIVE_UP": "not undone"}.get(answer, "left to others")

    async def _give_up(self, job_id: str, undo: str, why: str) -> None:
        """List what nobody can undo; older steps are undone nevertheless."""
        undoing = await self._undos.claim(job_id, undo)
        if undoing.claim.answer == "CLAIMED":
            calls = await self._calls.recall(Lease(job_id, undo.removeprefix(keys.UNDO), ""))
            left = not_undone(undoing.entries, calls, why)
            await self._undos.commit(Lease(job_id, undo, undoing.claim.fence), Undone(left=left))
