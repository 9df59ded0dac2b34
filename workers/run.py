"""One attempt of one step: claim -> perform -> commit. Failure is a value until the last line."""

import asyncio
import logging
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

import structlog
from pydantic import ValidationError

from orchestrator.errors import InvalidRequest
from orchestrator.intake import readable
from orchestrator.state.keys import FORMAT
from orchestrator.state.records import Claim, encode
from orchestrator.state.steps import Ending, Lease, growth
from orchestrator.telemetry import Span
from orchestrator.telemetry.logging import bind
from orchestrator.telemetry.names import Happening, Kind, Outcome
from orchestrator.workflow import Profile
from workers.attempt import Attempt
from workers.ceiling import stopped
from workers.context import StepContext
from workers.leases import Held
from workers.specialist import Specialist, specialists
from workers.verdict import (
    Failed,
    Later,
    Lost,
    Parked,
    Stop,
    Succeeded,
    Verdict,
    backoff_s,
    classify,
    kind_of,
    misfit,
    problems,
)

if TYPE_CHECKING:
    from workers.workshop import Workshop

log, lines = structlog.get_logger(__name__), logging.getLogger(__name__)
LONGEST_MESSAGE = 2_000


@dataclass(frozen=True)
class Ended:
    """What the Celery task says of the attempt.

    Attributes:
        ready: the steps that the commit freed, with their specialists.
        delay_s: when it is tried again.
    """

    how: Literal["succeeded", "failed", "skipped", "retry", "waiting", "nothing"]
    message: str
    ready: Mapping[str, str] = field(default_factory=dict[str, str])
    delay_s: float = 0.0


class StepRun:
    """Runs one attempt. `execute` reads top to bottom; each stage is one method below it, in order."""

    attempts = Attempt

    def __init__(self, workshop: "Workshop", job_id: str, step: str) -> None:
        self.job_id, self.step = job_id, step
        self.claim = Claim("")
        self._workshop = workshop

    async def execute(self) -> Ended:
        """Claim, perform, commit."""
        held, asked_at = self._workshop.leases.hold(), time.monotonic()
        claiming = asyncio.ensure_future(self._take())
        try:
            # shielded: a claim that is on its way takes the step, whatever happens to this attempt
            self.claim = await asyncio.shield(claiming)
            if self.claim.answer != "CLAIMED":
                return await self._not_claimed()
            lease = held.take(Lease(self.job_id, self.step, self.claim.fence), asked_at)
            self._starts()
            with self._span() as span:
                self._warn(span)
                verdict = await self._perform(held)
                if isinstance(verdict, Failed | Later) and _told_to_end():
                    raise asyncio.CancelledError  # noqa: TRY301 - a failure that is only the stop, seen by a library
                held.committing = True
                return await self._commit(lease, verdict, span)
        except asyncio.CancelledError:
            return await self._cancelled(held, claiming)
        finally:
            self._workshop.leases.let_go(held)

    async def _take(self) -> Claim:
        return await self._workshop.steps.claim(self.job_id, self.step)

    async def _not_claimed(self) -> Ended:
        claim = self.claim
        if claim.answer == "FOREIGN":
            log.warning("left to a worker of another version", job=self.job_id, format=claim.why, ours=FORMAT)
        place = f"step {claim.number} of {claim.total} ({self.step})"
        if claim.answer == "OVER":
            return await self._over(place)
        if claim.number:  # it was still to be done, and its job has ended or is failing
            return Ended("skipped", f"{place} skipped: {claim.why}")
        return Ended("nothing", f"nothing to do: {claim.answer.lower()} {claim.why}")

    async def _over(self, place: str) -> Ended:
        """The ceiling of steps is reached: there is no attempt, but a span that says so."""
        claim, shop = self.claim, self._workshop
        shop.meter.refused("steps", claim.tenant)
        if shop.telemetry.spans.on:
            of = (await shop.jobs.read(self.job_id)).step(self.step)
            numbers: dict[str, Any] = {"number": claim.number, "total": claim.total, "attempt": of.attempts + 1}
            with shop.telemetry.spans.step(self.job_id, self.step, of.specialist, **numbers) as span:
                span.event(Happening.BUDGET_REFUSED, ceiling=claim.why)
                span.fail(Kind.BUDGET, f"{place}: {claim.why}")
        return Ended("failed", f"{place} failed: budget: {claim.why}")

    def _starts(self) -> None:
        """One line, and this attempt's place on all that follow: it has a task, and so a context, of its own."""
        bind(job=self.job_id, step=self.step, attempt=self.claim.attempt)
        if lines.isEnabledFor(logging.INFO):
            log.info("step starts", number=self.claim.number, of=self.claim.total)

    def _span(self) -> Span:
        claim, spans = self.claim, self._workshop.telemetry.spans
        place: dict[str, Any] = {
            "fence": claim.fence,
            "before": claim.before,
            "number": claim.number,
            "total": claim.total,
            "attempt": claim.attempt,
            "queue_wait_ms": claim.waited_ms,
        }
        return spans.step(self.job_id, self.step, claim.specialist, **place)

    def _warn(self, span: Span) -> None:
        if self.claim.low:
            span.event(Happening.BUDGET_LOW, ceiling="steps")
            self._workshop.meter.low("steps")

    async def _perform(self, held: Held) -> Verdict:
        """Run the specialist under its time limit and the job's deadline."""
        specialist, left = specialists.get(self.claim.specialist), self.claim.seconds_left
        if specialist is None:
            return Failed("unhandled", f"no specialist {self.claim.specialist!r} here: check SUREFOOT_WORKFLOWS")
        if (refusal := self._refusal()) is not None:
            return refusal
        profile = specialist.profile
        by_deadline = left is not None and left < profile.timeout_s
        limit_s = max(left, 0.0) if left is not None and by_deadline else profile.timeout_s
        self._attempt = self.attempts(self._workshop, held, self.claim, profile, limit_s)
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
            self._workshop.meter.refused(claim.over.kind, claim.tenant)
            return stopped(claim, self.step, claim.over)
        if claim.finishing and not claim.last and not claim.paid:  # what has started goes on until it needs more
            return Failed("budget", f"left out: {claim.finishing}", reason="finish")
        if claim.attempt > self._workshop.settings.attempts:
            why = "its worker died each time, or was cut off"
            return Failed("unavailable", f"gave up after {claim.attempt - 1} attempts that never ended: {why}")
        return None

    async def _specialist_verdict(self, specialist: Specialist) -> Verdict:
        """What the specialist's own code comes to; its input and output are validated."""
        profile = specialist.profile
        try:
            request = specialist.parse(self.claim.request)
        except ValidationError as error:
            return await self._misfit(profile, error)
        try:
            output = await specialist.perform(StepContext(self._attempt), request)
            verdict = await self._attempt.left_out() or self._checked(specialist, output)
        except Stop as stop:
            verdict = stop.verdict
        except TimeoutError as error:
            if self._attempt.left_s <= 0:
                raise
            verdict = classify(error)
        except Exception as error:
            verdict = classify(error)
            if isinstance(verdict, Failed) and verdict.kind == "unhandled":
                log.exception("specialist failed")
        return self._attempt.stop.verdict if self._attempt.stop else verdict

    async def _misfit(self, profile: Profile, error: ValidationError) -> Verdict:
        """The request was accepted at submission, so the code has changed since: say between which versions."""
        then = (await self._workshop.jobs.read(self.job_id)).fields.get("version") or "without a label"
        now = self._workshop.settings.version or "without a label"
        return misfit(profile.name, problems(error), then, now)

    def _checked(self, specialist: Specialist, output: Any) -> Verdict:
        try:
            if specialist.output is not None:
                output = specialist.output.validate_python(output)
            size = len(readable(encode(output)))
        except ValidationError as error:
            wanted = specialist.profile.output
            return Failed("invalid data", f"the output is no {wanted and wanted.__name__}: {problems(error)}")
        except ValueError as error:
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
            return await self._retry(lease, verdict, place, span)
        if isinstance(verdict, Parked):
            span.end_as(Outcome.WAITING)
            return await self._park(lease, verdict, place, span)
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
            span.fail(kind_of(verdict.kind), f"{place} ({self.step}): {verdict.message}")
            told = f"{place} ({self.step}) failed: {verdict.kind}: {verdict.message}"
            return Ended("failed", told, committed.ready)
        span.end_as(Outcome.SUCCEEDED)
        return Ended("succeeded", f"{place} done; surefoot show {self.job_id}", committed.ready)

    async def _ending(self, verdict: Succeeded | Failed) -> Ending:
        if isinstance(verdict, Failed):
            error = {"kind": verdict.kind, "message": verdict.message}
            return Ending("failed", error, f"{verdict.kind}: {verdict.message}"[:LONGEST_MESSAGE], verdict.reason)
        grown = ""
        if self._attempt.added:
            try:
                grown = growth(await self._workshop.jobs.read(self.job_id), self.step, self._attempt.added)
            except InvalidRequest as error:
                return await self._ending(Failed("invalid data", f"the plan cannot grow: {error}"))
        return Ending("succeeded", verdict.output, growth=grown, rollback=self._attempt.rollback)

    async def _retry(self, lease: Lease, later: Later, place: str, span: Span) -> Ended:
        settings, attempt = self._workshop.settings, self.claim.attempt
        if attempt >= settings.attempts:
            failed = Failed("unavailable", f"{later.message} (attempt {attempt} of {settings.attempts})")
            return await self._commit(lease, failed, span)
        wanted_s = backoff_s(attempt, settings.backoff_s, settings.backoff_max_s, later.at_least_s)
        delay_s = self._workshop.canvas.delay_s(wanted_s)
        why = {"kind": "unavailable", "message": later.message, "attempt": attempt, "delay_s": round(delay_s, 3)}
        span.event(Happening.AGAIN, why=later.message, delay_s=round(delay_s, 3))
        answer = await self._workshop.steps.release(lease, delay_s=delay_s, grace_s=settings.grace_s, why=why)
        if answer != "OK":
            return Ended("nothing", f"nothing to do: {answer.lower()}")
        return Ended("retry", f"{place}: {later.message}", delay_s=delay_s)

    async def _park(self, lease: Lease, parked: Parked, place: str, span: Span) -> Ended:
        span.asks([question.prompt for question in parked.questions])
        answer = await self._workshop.steps.park(lease, parked.questions)
        if answer == "ANSWERED":  # between our look and the park
            return await self._retry(lease, Later("answered meanwhile"), place, span)
        if answer != "OK":
            return Ended("nothing", f"nothing to do: {answer.lower()}")
        return Ended("waiting", f"{place} waits: {'; '.join(question.prompt for question in parked.questions)}")

    async def _cancelled(self, held: Held, claiming: asyncio.Future[Claim]) -> Ended:
        """Stopped from outside: by the job's end or a lost lease; else the worker stops, and gives the step back."""
        if held.lost:
            return Ended("nothing", f"nothing to do: {held.lost}")
        claim = await claiming
        if claim.answer == "CLAIMED":
            lease = held.lease or Lease(self.job_id, self.step, claim.fence)
            await asyncio.shield(self._workshop.steps.give_back(lease, self._workshop.settings.grace_s))
        raise asyncio.CancelledError


def _told_to_end() -> bool:
    """Whether this attempt was cancelled and its code made something else of it."""
    task = asyncio.current_task()
    return task is not None and task.cancelling() > 0
