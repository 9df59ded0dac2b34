"""A job as its submitter sees it, without an event loop."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from orchestrator.budget import Budget, Spend
from orchestrator.job import AsyncJob
from orchestrator.state.client import without_loop
from orchestrator.state.records import Event, JobRecord, Question, StepRecord, Undo
from orchestrator.status import JobStatus


class Job:
    """One job, as `Orchestrator.submit` and `Orchestrator.job` return it."""

    def __init__(self, job: AsyncJob) -> None:
        self._job, self.id = job, job.id

    def __repr__(self) -> str:
        return f"<Job {self.id}>"

    @property
    def record(self) -> JobRecord:
        """Everything that is stored of the job, read at once."""
        return without_loop(self._job.record())

    @property
    def status(self) -> JobStatus:
        """Where the job is: queued, running, waiting, succeeded, failed or cancelled."""
        return without_loop(self._job.status())

    @property
    def spend(self) -> Spend:
        """What it has spent and reserved of each ceiling."""
        return without_loop(self._job.spend())

    @property
    def steps(self) -> list[StepRecord]:
        """Its steps with their states, step 1 of n first."""
        return without_loop(self._job.steps())

    @property
    def questions(self) -> list[Question]:
        """What it asks; answer with `answer`, `approve` or `decline`."""
        return without_loop(self._job.questions())

    @property
    def answered(self) -> list[Question]:
        """What was answered: each question with its `answer`, `answered_at` and `by`."""
        return without_loop(self._job.answered())

    @property
    def undo(self) -> Undo:
        """What became of what it had done, after it was cancelled, or failed and is to be undone."""
        return without_loop(self._job.undo())

    @property
    def calls(self) -> list[dict[str, Any]]:
        """Its journal: each tool call with step, number, tool, state and answer."""
        return without_loop(self._job.calls())

    @property
    def spans(self) -> list[bytes]:
        """Its trace: spans as JSON objects; `orchestrator.telemetry.tree` reads them."""
        return without_loop(self._job.spans())

    def events(self, after: str = "0") -> Iterator[Event]:
        """What happens in the job, from the start or behind the event `after`, live, until the job ends."""
        stream = self._job.events(after)
        while True:
            try:
                yield without_loop(anext(stream))  # pyright: ignore[reportArgumentType] - its awaitable is a coroutine
            except StopAsyncIteration:
                return

    def result(self, timeout: float | None = None) -> Any:
        """Wait for the workflow's result.

        Args:
            timeout: seconds to wait; None waits until the job ends.

        Raises:
            WaitingForInput: at once, when the job waits for an answer; `questions` says which.
            BudgetExhausted: it reached a ceiling. It keeps what it finished; `resume(budget=...)` goes on.
            JobFailed: a step failed for good, or the deadline passed.
            JobCancelled: it was cancelled. This, and a failure that is undone, is raised when all is undone, at the
                latest after `timeout`; the message lists what could not be.
            TimeoutError: it is not done yet.
        """
        return without_loop(self._job.result(timeout))

    def answer(self, answers: Mapping[str, Any] | None = None, /, *, by: str | None = None, **named: Any) -> None:
        """Answer questions, by field or by question id. What waited only for them goes on where it was.

        The fields of a form come together in one call; None for a form says that nobody chose.

        Args:
            answers: question id or field -> answer.
            by: who answers, kept with the answer.
            named: field=answer; the answer to a field that is called `by` goes into `answers`.

        Raises:
            InvalidRequest: an answer has the wrong type, is to no question of this job, or differs from an earlier one.
        """
        without_loop(self._job.answer(answers, by=by, **named))

    def approve(self, question_id: str, *, by: str | None = None) -> None:
        """Say yes to a question of kind approval; `by` says who."""
        without_loop(self._job.approve(question_id, by=by))

    def decline(self, question_id: str, *, by: str | None = None) -> None:
        """Say no to a question of kind approval, or to a form; `by` says who."""
        without_loop(self._job.decline(question_id, by=by))

    def cancel(self) -> JobStatus:
        """End the job now: no tool call starts any more, running ones are cancelled. Returns its final status.

        What it did is undone from now on, newest first, as its steps remembered with `on_rollback`: see `undo`.
        """
        return without_loop(self._job.cancel())

    def fork(
        self,
        after: str | Sequence[str],
        request: Mapping[str, Any] | None = None,
        budget: Budget | Mapping[str, Any] | None = None,
        key: str | None = None,
    ) -> "Job":
        """A new job that goes on behind finished steps of this one, with keys and a budget of its own.

        Args:
            after: the step, or steps, that are taken over with all they come after; each must have succeeded.
            request: the fields of the request that are to be others.
            budget: its ceilings; what it leaves open is as the workflow says.
            key: as of `submit`: the same tenant and key is the same job, never a second one.

        Raises:
            InvalidRequest: a step has not succeeded, is not there, or was undone; or request or budget is not valid.
        """
        return Job(without_loop(self._job.fork(after, request, budget, key)))

    def resume(self, budget: Budget | Mapping[str, Any] | None = None) -> None:
        """Go on with a failed job from where it stopped, or with one that asks for a larger budget, under this one.

        `budget.seconds` counts from now. Finished steps are not run again.

        Raises:
            InvalidRequest: the job has not failed and asks for none of it, what it did was undone, or a ceiling is
                below what is spent.
        """
        without_loop(self._job.resume(budget))
