"""The status machine: what a job and a step can be, and the moves between. `docs/guarantees.md` draws it from here."""

from enum import StrEnum


class JobStatus(StrEnum):
    """Where a job is."""

    QUEUED = "queued"
    RUNNING = "running"
    WAITING = "waiting"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    CANCELLED = "cancelled"

    @property
    def final(self) -> bool:
        """Whether nothing moves any more, unless the job is resumed."""
        return self in {JobStatus.SUCCEEDED, JobStatus.FAILED, JobStatus.CANCELLED}


class StepState(StrEnum):
    """Where a step is."""

    PENDING = "pending"
    READY = "ready"
    RUNNING = "running"
    RETRYING = "retrying"
    WAITING = "waiting"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    SKIPPED = "skipped"


class Reason(StrEnum):
    """Why a job failed."""

    STEP = "step"
    BUDGET = "budget"
    DEADLINE = "deadline"
    INVALID = "invalid"


JOB_MOVES: dict[JobStatus, frozenset[JobStatus]] = {
    JobStatus.QUEUED: frozenset({JobStatus.RUNNING, JobStatus.FAILED, JobStatus.CANCELLED}),
    JobStatus.RUNNING: frozenset({JobStatus.WAITING, JobStatus.SUCCEEDED, JobStatus.FAILED, JobStatus.CANCELLED}),
    JobStatus.WAITING: frozenset({JobStatus.RUNNING, JobStatus.CANCELLED}),
    JobStatus.SUCCEEDED: frozenset(),
    JobStatus.FAILED: frozenset({JobStatus.RUNNING}),
    JobStatus.CANCELLED: frozenset(),
}

STEP_MOVES: dict[StepState, frozenset[StepState]] = {
    StepState.PENDING: frozenset({StepState.READY, StepState.SKIPPED}),
    StepState.READY: frozenset({StepState.RUNNING, StepState.SKIPPED}),
    StepState.RUNNING: frozenset(
        {
            StepState.RUNNING,
            StepState.RETRYING,
            StepState.WAITING,
            StepState.SUCCEEDED,
            StepState.FAILED,
            StepState.SKIPPED,
        }
    ),
    StepState.RETRYING: frozenset({StepState.RUNNING, StepState.SKIPPED}),
    StepState.WAITING: frozenset({StepState.READY, StepState.SKIPPED}),
    StepState.SUCCEEDED: frozenset(),
    StepState.FAILED: frozenset({StepState.READY, StepState.PENDING}),
    StepState.SKIPPED: frozenset({StepState.READY, StepState.PENDING}),
}
