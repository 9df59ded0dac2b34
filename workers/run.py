"""One attempt of one step: claim -> perform -> commit. Failure is a value until the last line."""

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

import structlog
from pydantic import BaseModel, TypeAdapter, ValidationError
from pydantic_core import PydanticSerializationError

from orchestrator.errors import InvalidRequest
from orchestrator.plan import Step
from orchestrator.state.keys import FORMAT
from orchestrator.state.records import Claim, Question, encode
from orchestrator.state.steps import Ending, Lease, growth
from orchestrator.telemetry import Span
from orchestrator.telemetry.names import Happening, Kind, Outcome
from orchestrator.workflow import Profile
from workers.ceiling import stopped
from workers.context import StepContext
from workers.journal import Journal, fingerprint
from workers.leases import Held
from workers.specialist import Specialist, specialists
from workers.verdict import Failed, Later, Lost, Parked, Stop, Succeeded, Verdict, backoff_s, classify, misfit, problems

if TYPE_CHECKING:
    from workers.workshop import Workshop

log = structlog.get_logger(__name__)
LONGEST_MESSAGE = 2_000


@dataclass(frozen=True)
class Ended:
    """What the Celery task says of the attempt; `ready` are the steps that the commit freed, with their specialists."""

    how: Literal["succeeded", "failed", "retry", "waiting", "nothing"]
    message: str
    ready: Mapping[str, str] = field(default_factory=dict[str, str])
    delay_s: float = 0.0


class StepRun:
    """Runs one attempt. `execute` reads top to bottom; each stage is one method below it, in order."""

    def __init__(self, workshop: "Workshop", job_id: str, step: str) -> None:
        self.job_id, self.step = job_id, step
        self.claim = Claim("")
        self._workshop = workshop
        self._added: list[tuple[Step, str | None]] = []
        self._rollback: list[dict[str, Any]] = []
        self._stop: Stop | None = None

    async def execute(self) -> Ended:
        """Claim, perform, commit."""
        self.claim = await self._workshop.steps.claim(self.job_id, self.step)
        if self.claim.answer == "OVER":
            return Ended("failed", f"{self.step}: budget: {self.claim.why}")
        if self.claim.answer == "FOREIGN":
            log.warning("left to a worker of another version", job=self.job_id, format=self.claim.why, ours=FORMAT)
        if self.claim.answer != "CLAIMED":
            return Ended("nothing", f"nothing to do: {self.claim.answer.lower()} {self.claim.why}")
        lease = Lease(self.job_id, self.step, self.claim.fence)
        with self._workshop.leases.hold(lease) as held, self._span() as span:
            try:
                verdict = await self._perform(lease)
                if isinstance(verdict, Failed | Later) and _told_to_end():
                    raise asyncio.CancelledError  # noqa: TRY301 - a failure that is only the stop, seen by a library
                return await self._commit(lease, verdict, span)
            except asyncio.CancelledError:
                return await self._cancelled(lease, held)

    def _span(self) -> Span:
        claim, spans = self.claim, self._workshop.telemetry.spans
        place = {
            "number": claim.number,
            "total": claim.total,
            "attempt": claim.attempt,
            "queue_wait_ms": claim.waited_ms,
        }
        return spans.step(self.job_id, self.step, claim.specialist, **place)

    async def _perform(self, lease: Lease) -> Verdict:
        """Run the specialist under its time limit and the job's deadline."""
        specialist, left = specialists.get(self.claim.specialist), self.claim.seconds_left
        if specialist is None:
            return Failed("unhandled", f"no specialist {self.claim.specialist!r} here: check SUREFOOT_WORKFLOWS")
        if (refusal := self._refusal()) is not None:
            return refusal
        profile = specialist.profile
        by_deadline = left is not None and left < profile.timeout_s
        limit_s = max(left, 0.0) if left is not None and by_deadline else profile.timeout_s
        self._until = asyncio.get_running_loop().time() + limit_s
        shop, last = self._workshop, self.claim.attempt >= self._workshop.settings.attempts
        self._journal = Journal(shop.calls, shop.tools, shop.telemetry.spans, lease, self.claim, profile, last=last)
        try:
            async with asyncio.timeout(limit_s):
                return await self._specialist_verdict(specialist)
        except TimeoutError:
            if by_deadline:
                return Failed("deadline", "the deadline has passed", reason="deadline")
            return Failed("timeout", f"no answer within {limit_s:g} s")

    def _refusal(self) -> Verdict | None:
        """Why the specialist is not even asked."""
        claim = self.claim
        if claim.over:
            return stopped(claim, self.step, claim.over)
        if claim.finishing and not claim.last:
            return Failed("budget", f"left out: {claim.finishing}", reason="finish")
        if claim.attempt > self._workshop.settings.attempts:
            return Failed("unavailable", f"gave up after {claim.attempt - 1} attempts that never ended")
        return None

    async def _specialist_verdict(self, specialist: Specialist) -> Verdict:
        """What the specialist's own code comes to; its input and output are validated."""
        profile = specialist.profile
        try:
            request = specialist.parse(self.claim.request)
        except ValidationError as error:
            return await self._misfit(profile, error)
        try:
            output = await specialist.perform(StepContext(self), request)
            verdict = await self._journal.left_out() or self._checked(profile, output)
        except Stop as stop:
            verdict = stop.verdict
        except TimeoutError as error:
            if asyncio.get_running_loop().time() >= self._until:
                raise
            verdict = classify(error)
        except Exception as error:
            verdict = classify(error)
            if isinstance(verdict, Failed) and verdict.kind == "unhandled":
                log.exception("specialist failed", job=self.job_id, step=self.step)
        return self._stop.verdict if self._stop else verdict

    async def _misfit(self, profile: Profile, error: ValidationError) -> Verdict:
        """The request was accepted at submission, so the code has changed since: say between which versions."""
        then = (await self._workshop.jobs.read(self.job_id)).fields.get("version") or "without a label"
        now = self._workshop.settings.version or "without a label"
        return misfit(profile.name, problems(error), then, now)

    def _checked(self, profile: Profile, output: Any) -> Verdict:
        try:
            if profile.output is not None:
                output = TypeAdapter(profile.output).validate_python(output)
            size = len(encode(output))
        except ValidationError as error:
            return Failed(
                "invalid data", f"the output is no {profile.output and profile.output.__name__}: {problems(error)}"
            )
        except (PydanticSerializationError, UnicodeEncodeError) as error:
            return Failed("invalid data", f"the output is not JSON: {error}")
        most = self._workshop.settings.request_bytes
        if size > most:
            return Failed("invalid data", f"the output has {size:,} bytes; at most {most:,} (SUREFOOT_REQUEST_BYTES)")
        return Succeeded(output)

    async def _commit(self, lease: Lease, verdict: Verdict, span: Span) -> Ended:
        """Store how it ended; what is not ours any more changes nothing."""
        place = f"step {self.claim.number} of {self.claim.total}"
        if isinstance(verdict, Later):
            span.end_as(Outcome.RETRY)
            return await self._retry(lease, verdict, place)
        if isinstance(verdict, Parked):
            span.end_as(Outcome.WAITING)
            return await self._park(lease, verdict, place)
        if isinstance(verdict, Lost):
            return Ended("nothing", f"nothing to do: {verdict.why}")
        committed = await self._workshop.steps.commit(lease, await self._ending(verdict))
        if committed.answer == "REFUSED":
            verdict = Failed("invalid data", f"the plan cannot grow: {committed.why}")
            committed = await self._workshop.steps.commit(lease, await self._ending(verdict))
        if committed.answer != "OK":
            return Ended("nothing", f"nothing to do: {committed.answer.lower()} {committed.why}")
        span.event(Happening.CHECKPOINT, freed=len(committed.ready))
        if isinstance(verdict, Failed):
            if verdict.kind == "budget":
                span.event(Happening.BUDGET_REFUSED, ceiling=verdict.message)
            span.fail(_kind(verdict.kind), f"{place} ({self.step}): {verdict.message}")
            return Ended("failed", f"{place} ({self.step}) failed: {verdict.kind}: {verdict.message}", committed.ready)
        span.end_as(Outcome.SUCCEEDED)
        return Ended("succeeded", f"{place} done; surefoot show {self.job_id}", committed.ready)

    async def _ending(self, verdict: Succeeded | Failed) -> Ending:
        if isinstance(verdict, Failed):
            error = {"kind": verdict.kind, "message": verdict.message}
            return Ending("failed", error, f"{verdict.kind}: {verdict.message}"[:LONGEST_MESSAGE], verdict.reason)
        grown = ""
        if self._added:
            try:
                grown = growth(await self._workshop.jobs.read(self.job_id), self.step, self._added)
            except InvalidRequest as error:
                return await self._ending(Failed("invalid data", f"the plan cannot grow: {error}"))
        return Ending("succeeded", verdict.output, growth=grown, rollback=self._rollback)

    async def _retry(self, lease: Lease, later: Later, place: str) -> Ended:
        settings, attempt = self._workshop.settings, self.claim.attempt
        if attempt >= settings.attempts:
            failed = Failed("unavailable", f"{later.message} (attempt {attempt} of {settings.attempts})")
            return await self._commit(lease, failed, self._span())
        wanted_s = backoff_s(attempt, settings.backoff_s, settings.backoff_max_s, later.at_least_s)
        delay_s = self._workshop.canvas.delay_s(wanted_s)
        why = {"kind": "unavailable", "message": later.message, "attempt": attempt, "delay_s": round(delay_s, 3)}
        answer = await self._workshop.steps.release(lease, delay_s=delay_s, grace_s=settings.grace_s, why=why)
        if answer != "OK":
            return Ended("nothing", f"nothing to do: {answer.lower()}")
        return Ended("retry", f"{place}: {later.message}", delay_s=delay_s)

    async def _park(self, lease: Lease, parked: Parked, place: str) -> Ended:
        answer = await self._workshop.steps.park(lease, parked.questions)
        if answer == "ANSWERED":  # between our look and the park
            return await self._retry(lease, Later("answered meanwhile"), place)
        if answer != "OK":
            return Ended("nothing", f"nothing to do: {answer.lower()}")
        return Ended("waiting", f"{place} waits: {'; '.join(question.prompt for question in parked.questions)}")

    async def _cancelled(self, lease: Lease, held: Held) -> Ended:
        """Stopped from outside: by the job's end or a lost lease; else the worker stops, and gives the step back."""
        if held.lost:
            return Ended("nothing", f"nothing to do: {held.lost}")
        await asyncio.shield(self._workshop.steps.give_back(lease, self._workshop.settings.grace_s))
        raise asyncio.CancelledError

    # What StepContext offers.

    def _stopping(self, stop: Stop) -> Stop:
        """Remember the first stop: a specialist that swallows it does not go on."""
        self._stop = self._stop or stop
        return self._stop

    async def call(self, tool: str, arguments: dict[str, Any]) -> Any:
        """Call a tool."""
        if self._stop:
            raise self._stop
        try:
            return await self._journal.call(tool, arguments, self._until - asyncio.get_running_loop().time())
        except Stop as stop:
            raise self._stopping(stop) from stop

    async def ask(self, what: str | type[BaseModel], prompt: str, example: Any) -> Any:
        """Ask a person, or return what was answered before."""
        name = what if isinstance(what, str) else what.__name__.lower()
        schema = {} if isinstance(what, str) else what.model_json_schema()
        question = Question(f"{self.step}/{name}", name, prompt or name, "input", self.step, schema, example)
        answer = await self._answer_to([question])
        return answer if isinstance(what, str) else what.model_validate(answer)

    async def approve(self, prompt: str, details: Any) -> bool:
        """Ask for a yes to exactly these details."""
        name = f"approve-{fingerprint(prompt, {'details': details})}"
        schema = {"type": "boolean"}
        return bool(
            await self._answer_to(
                [Question(f"{self.step}/{name}", name, prompt, "approval", self.step, schema, details=details)]
            )
        )

    async def _answer_to(self, questions: Sequence[Question]) -> Any:
        lease = Lease(self.job_id, self.step, self.claim.fence)
        answer = await self._workshop.calls.answer(lease, questions[0].id)
        if answer is None:
            raise self._stopping(Stop(Parked(questions)))
        return answer

    async def emit(self, message: str) -> None:
        """Append an event."""
        lease = Lease(self.job_id, self.step, self.claim.fence)
        await self._workshop.calls.emit(lease, message[:LONGEST_MESSAGE])

    def grow(self, steps: Sequence[Step], before: str | None) -> None:
        """Add steps at the commit."""
        self._added += [(step, before) for step in steps]

    def on_rollback(self, tool: str, arguments: dict[str, Any]) -> None:
        """Keep a compensation with the checkpoint."""
        self._rollback.append({"tool": tool, "arguments": arguments})

    async def left(self) -> dict[str, int | None]:
        """What is left of the budget."""
        spend = (await self._workshop.jobs.read(self.job_id)).spend
        return {kind: line.free for kind, line in spend.lines.items()}


def _told_to_end() -> bool:
    """Whether this attempt was cancelled and its code made something else of it."""
    task = asyncio.current_task()
    return task is not None and task.cancelling() > 0


def _kind(kind: str) -> Kind:
    return Kind.TIMEOUT if kind == "deadline" else Kind(kind) if kind in set(Kind) else Kind.UNHANDLED
