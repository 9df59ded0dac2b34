"""A job as its submitter sees it, on an event loop."""

import math
import re
import time
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from orchestrator.answers import budget_answers, only_more
from orchestrator.budget import Budget, Spend, figure, named
from orchestrator.errors import InvalidRequest
from orchestrator.outcome import outcome
from orchestrator.replies import reply
from orchestrator.state.client import LONGEST_BLOCK_S
from orchestrator.state.records import Event, JobRecord, Question, StepRecord, Undo
from orchestrator.state.undo import work
from orchestrator.status import JobStatus, StepState
from orchestrator.telemetry.names import Stage
from orchestrator.telemetry.redaction import redact

if TYPE_CHECKING:
    from orchestrator.app import Desk

LONGEST_S = 1e10
EVENT_ID = re.compile(r"[0-9]{1,19}(-[0-9]{1,19})?")
FINAL_EVENTS = frozenset({*(status.value for status in JobStatus if status.final), "undo_ended"})
"""After these there is no other; what undoes a job that has ended is told at once behind its end."""
LONGEST_LOOK_S = 5.0
"""Who waits for a result is woken by it, and looks so often nevertheless: a worker of another version may bring it."""


class AsyncJob:
    """One job; every attribute of `Job` is here as a coroutine method."""

    def __init__(self, desk: "Desk", job_id: str) -> None:
        self._desk, self.id = desk, job_id

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.id}>"

    async def record(self) -> JobRecord:
        """Everything that is stored of the job, read at once."""
        return await self._desk.jobs.read(self.id)

    async def status(self) -> JobStatus:
        """Where the job is."""
        return await self._desk.jobs.status(self.id)

    async def spend(self) -> Spend:
        """What it has spent and reserved."""
        return (await self.record()).spend

    async def steps(self) -> list[StepRecord]:
        """Its steps: step 1 of n first."""
        return (await self.record()).steps()

    async def questions(self) -> list[Question]:
        """What it asks."""
        return (await self.record()).questions

    async def undo(self) -> Undo:
        """What became of what it had done, after its end."""
        return (await self.record()).undo

    async def answered(self) -> list[Question]:
        """As `Job.answered`."""
        return (await self.record()).answered

    async def calls(self) -> list[dict[str, Any]]:
        """Its journal of tool calls; what only a tool's server may read is left out."""
        calls = await self._desk.jobs.calls(self.id)
        for call in calls:
            if call["state"] == "asked":
                del call["out"]["request_state"]
        return calls

    async def spans(self) -> list[bytes]:
        """Its trace: spans as JSON objects."""
        self._desk.telemetry.flush()
        return await self._desk.jobs.spans(self.id)

    async def events(self, after: str = "0") -> AsyncIterator[Event]:
        """As `Job.events`."""
        if not isinstance(after, str) or not EVENT_ID.fullmatch(after):  # pyright: ignore[reportUnnecessaryIsInstance]
            raise InvalidRequest(f"after must be the id of an event, as 1796042944123-0, not {after!r:.40}")
        ended = False
        while not ended:
            page = await self.next_events(after)
            for event in page:
                yield event
                after = event.id
            ended = await self._ended(page, after)

    async def next_events(self, after: str, patience_s: float = LONGEST_BLOCK_S) -> list[Event]:
        """The events behind `after`; waits for the first, at most `patience_s`."""
        page = await self._desk.jobs.events(self.id, after, block_s=min(patience_s, LONGEST_BLOCK_S))
        return [replace(event, data=redact(event.data)) for event in page]

    async def _ended(self, page: Sequence[Event], after: str) -> bool:
        """Whether the events end here: the last one seen is a final one and nothing came behind it."""
        if page and page[-1].type not in FINAL_EVENTS:
            return False
        return (await self.status()).final and not await self._desk.jobs.events(self.id, after)

    async def result(self, timeout: float | None = None) -> Any:  # noqa: ASYNC109 - as Celery's result.get(timeout)
        """As `Job.result`."""
        if timeout is not None and not (isinstance(timeout, int | float) and timeout <= math.inf):  # pyright: ignore[reportUnnecessaryIsInstance]
            raise InvalidRequest(f"timeout must be a number of seconds, not {timeout!r:.40}")
        end = None if timeout is None else time.monotonic() + min(timeout, LONGEST_S)
        while True:
            record = await self.record()
            if (record.status.final and not record.undo.pending) or record.status is JobStatus.WAITING:
                return outcome(record)
            patience_s = LONGEST_LOOK_S if end is None else min(end - time.monotonic(), LONGEST_LOOK_S)
            if patience_s <= 0:
                if record.status.final:
                    return outcome(record)
                done = sum(step.state is StepState.SUCCEEDED for step in record.steps())
                total = len(record.step_names())
                raise TimeoutError(
                    f"job {self.id} is {record.status} after {timeout:g} s: {done} of {total} steps done"
                )
            await self._desk.jobs.wait(self.id, record.fields.get("ends", "0"), patience_s)

    async def answer(self, answers: Mapping[str, Any] | None = None, /, *, by: str | None = None, **named: Any) -> None:
        """As `Job.answer`."""
        if answers is not None and not isinstance(answers, Mapping):  # pyright: ignore[reportUnnecessaryIsInstance]
            raise InvalidRequest(f"answers must be a dict of question or field -> answer, not {answers!r:.40}")
        await reply(self._desk, self.id, {**(answers or {}), **named}, by)

    async def approve(self, question_id: str, *, by: str | None = None) -> None:
        """As `Job.approve`."""
        await self._decide(question_id, by, yes=True)

    async def decline(self, question_id: str, *, by: str | None = None) -> None:
        """As `Job.decline`."""
        await self._decide(question_id, by, yes=False)

    async def _decide(self, question_id: str, by: str | None, *, yes: bool) -> None:
        if not isinstance(question_id, str):  # pyright: ignore[reportUnnecessaryIsInstance]
            raise InvalidRequest(f"a question's id is a text, not {question_id!r:.40}")
        await reply(self._desk, self.id, {question_id: yes}, by, "approval")

    async def cancel(self) -> JobStatus:
        """As `Job.cancel`."""
        with self._desk.telemetry.spans.stage(Stage.CANCEL, self.id):
            status = await self._desk.jobs.cancel(self.id)
            await self._start_undoing()
        return status

    async def _start_undoing(self) -> None:
        """Send the first step to undo, where the scripts do not; each sends the next."""
        if not self._desk.settings.outbox and (undo := await self.undo()).steps:
            record = await self.record()
            await self._desk.send_steps(self.id, {work(undo.steps[0]): record.step(undo.steps[0]).specialist})

    async def fork(
        self,
        after: str | Sequence[str],
        request: Mapping[str, Any] | None = None,
        budget: Budget | Mapping[str, Any] | None = None,
        key: str | None = None,
    ) -> "AsyncJob":
        """As `Job.fork`."""
        return await self._desk.fork(await self.record(), after, {} if request is None else request, budget, key)

    async def resume(self, budget: Budget | Mapping[str, Any] | None = None) -> None:
        """As `Job.resume`."""
        raised, record = Budget.of(budget), await self.record()
        if raised.at_ceiling:
            raise InvalidRequest("at_ceiling is said when a job is submitted")
        self._desk.tenants.of(record.fields["tenant"]).check(raised)
        given = {kind: top for kind, top in raised.ceilings().items() if top >= 0}
        for kind, top in given.items():
            if top < (spent := record.spend.of(kind).spent):
                told = f"{figure(kind, top)} is below what is already spent: {figure(kind, spent)}"
                raise InvalidRequest(f"budget {named(kind)} {told}")
        asked = budget_answers(record, raised)
        if asked and record.status is not JobStatus.FAILED:
            only_more(record.spend, raised)
            await reply(self._desk, self.id, asked, None, more=given)
            return
        with self._desk.telemetry.spans.stage(Stage.RESUME, self.id) as span:
            for step in _stopped(record):
                span.follow(self.id, step, record.fields.get(f"{step}.fence", ""))
            offered = await self._desk.jobs.resume(self.id, given, raised.seconds)
            await self._desk.send_offered(self.id, offered)


def _stopped(record: JobRecord) -> list[str]:
    """The steps at which a job stopped: the one that failed, or all that the deadline stopped."""
    if record.fields.get("reason") != "deadline":
        failed = record.fields.get("failing")
        return [failed] if failed else []
    ended = {StepState.SUCCEEDED, StepState.FAILED}
    return [step.name for step in record.steps() if step.state not in ended and f"{step.name}.fence" in record.fields]
