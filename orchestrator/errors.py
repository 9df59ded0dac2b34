"""Everything Surefoot raises to its users. A class's docstring is its message when none is given.

SurefootError
  InvalidRequest      the request, plan, budget or answer is wrong; nothing was enqueued
  JobNotFound         no job has this id
  Overloaded          the system is full; try again in `retry_after_s`
  StoreUnavailable    Redis does not answer; nothing is lost, the call may be repeated
    StoreRefused      Redis wants another password or permission, or takes no writes
  BrokerUnavailable   RabbitMQ does not answer; to sweepers only, submitting goes on without it
  WaitingForInput     the job waits; `questions` says for what
  JobFailed           the job ended as failed; `reason`, `step`
    BudgetExhausted   a ceiling of the job's budget was reached
  JobCancelled        the job was cancelled
"""

from collections.abc import Mapping, Sequence
from typing import Any


class SurefootError(Exception):
    """Something went wrong in Surefoot."""

    def __init__(self, message: str = "") -> None:
        super().__init__(message or (type(self).__doc__ or "").strip().splitlines()[0])


class InvalidRequest(SurefootError):
    """The request is not valid; nothing was enqueued."""

    def __init__(self, message: str = "", errors: Sequence[Mapping[str, Any]] = ()) -> None:
        """`errors` names each wrong field: `{"field": ..., "message": ...}`."""
        super().__init__(message)
        self.errors = [dict(error) for error in errors]


class JobNotFound(SurefootError):
    """No job has this id; it may have been removed after its retention."""


class Overloaded(SurefootError):
    """The system is full; try again later."""

    def __init__(self, message: str = "", retry_after_s: float = 1.0) -> None:
        super().__init__(message)
        self.retry_after_s = retry_after_s


class StoreUnavailable(SurefootError):
    """Redis does not answer; nothing is lost and the call may be repeated."""


class StoreRefused(StoreUnavailable):
    """Redis refuses our password or commands, or is a replica that takes no writes; waiting alone does not help."""


class BrokerUnavailable(SurefootError):
    """The broker does not answer; what is in the record is sent when it does."""


class WaitingForInput(SurefootError):
    """The job waits for an answer: see `questions`."""

    def __init__(self, message: str = "", questions: Sequence[Any] = ()) -> None:
        super().__init__(message)
        self.questions = list(questions)


class JobFailed(SurefootError):
    """The job failed; what it had finished is kept, and it can be resumed."""

    def __init__(self, message: str = "", *, reason: str = "step", step: str | None = None) -> None:
        """`reason` is step, budget, deadline or invalid; `step` the step it stopped at."""
        super().__init__(message)
        self.reason = reason
        self.step = step


class BudgetExhausted(JobFailed):
    """The job reached a ceiling of its budget; resume it with a larger one."""


class JobCancelled(SurefootError):
    """The job was cancelled."""
