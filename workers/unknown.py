"""Steps that came to a worker which does not know their specialist, as while new code is rolled out."""

import structlog

from orchestrator import connect
from orchestrator.errors import SurefootError
from orchestrator.settings import Settings
from orchestrator.state.client import ReplyError, SyncClient, without_loop
from orchestrator.state.scripts import Scripts
from orchestrator.state.steps import StepStore

log = structlog.get_logger(__name__)
PATIENCE_S = 2.0
"""For Redis: this runs where messages are received."""


class Unknown:
    """Leaves such steps to other workers, and fails their jobs when none came for them in time."""

    def __init__(self, settings: Settings) -> None:
        self._patience_s = settings.unknown_s
        scripts = Scripts(SyncClient(connect.state_url(settings), PATIENCE_S))
        self._store = StepStore(scripts, settings.lease_s, settings.retention_s)

    def refuse(self, task_id: str, task: str) -> None:
        """A message that this worker cannot act on: `<job>.<step>`, and the task's name."""
        job_id, _, step = task_id.rpartition(".")
        specialist = task.removeprefix("step.")
        why = f"no worker that this step came to knows the specialist {specialist!r}: start one that does, then resume"
        try:
            failed = without_loop(self._store.refuse(job_id, step, why, self._patience_s))
        except (SurefootError, ReplyError) as error:
            log.warning("a step of an unknown specialist is left to the sweeper", step=task_id, error=str(error))
            return
        log.warning(
            "unknown specialist", specialist=specialist, step=task_id, job="failed" if failed else "left to others"
        )
