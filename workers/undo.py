"""One attempt of undoing one step: claim -> learn what there is to undo -> undo it, newest first -> commit."""

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from orchestrator.state import keys
from orchestrator.state.calls import Cost, Pin
from orchestrator.state.records import Claim, Question
from orchestrator.state.steps import Lease
from orchestrator.state.undo import Entry, Undone, not_undone
from orchestrator.telemetry import Span
from orchestrator.telemetry.names import Outcome
from tools.outcome import Rejected
from tools.servers import Tool
from workers.attempt import Attempt
from workers.journal import Journal
from workers.replay import Call
from workers.retrace import Retrace, why
from workers.run import Ended, StepRun
from workers.specialist import Specialist
from workers.verdict import Failed, Later, Lost, Parked, Stop, Succeeded, Verdict, kind_of

if TYPE_CHECKING:
    from workers.workshop import Workshop


class UndoJournal(Journal):
    """Its calls draw on the allowance for undoing, not on the job's budget; a changed tool is noted, not refused."""

    def _cost(self, tool: Tool) -> Cost:
        return Cost(tool_calls=0, undo=1, undo_micro_usd=super()._cost(tool).micro_usd)

    async def _approved(self, tool: Tool, arguments: dict[str, Any], call: Call, span: Span) -> None:
        """Nobody is asked: what undoes a step was decided when the step was allowed."""

    def _pin(self, tool: Tool, *, by_model: bool) -> Pin:
        """What was done is undone, though the tool is described otherwise by now."""
        return replace(super()._pin(tool, by_model=by_model), refuse=False)


class Undoing(Attempt):
    """One attempt of undoing a step."""

    journals = UndoJournal

    async def lack(self, questions: Sequence[Question]) -> Any:
        """Nobody is asked while a job is undone: what asks people is left."""
        raise Stop(Parked(questions[-1:]))

    async def learn(self, specialist: Specialist, step: str) -> tuple[list[Entry], list[Entry]]:
        """How to undo what a step did that did not succeed, and of what that cannot be known.

        Raises:
            Stop: it cannot be known at all, or not now.
        """
        past = Retrace.of(self._shop, self._held, step, self.claim, specialist)
        return await past.entries(specialist, self._journal)

    async def undo(self, entry: Entry) -> None:
        """One call; what went wrong with another one does not stop it.

        Raises:
            Rejected: the tool says no.
            Stop: it cannot be done, or not now.
        """
        await self._journal.call(entry["tool"], dict(entry["arguments"]), self.left_s)


class UndoRun(StepRun):
    """Runs one attempt. It is one of a step like any other, with another claim, other work and another commit."""

    attempts = Undoing
    _attempt: Undoing

    def __init__(self, workshop: "Workshop", job_id: str, step: str) -> None:
        super().__init__(workshop, job_id, step)
        self._of = step.removeprefix(keys.UNDO)
        self._entries: list[Entry] | None = None
        self._done, self._left = list[Entry](), list[Entry]()

    async def _take(self) -> Claim:
        undoing = await self._workshop.undos.claim(self.job_id, self.step)
        self._entries = None if undoing.entries is None else list(undoing.entries)
        return undoing.claim

    async def _specialist_verdict(self, specialist: Specialist) -> Verdict:
        try:
            if self._entries is None:
                self._entries, self._left = await self._attempt.learn(specialist, self._of)
            while self._entries:
                await self._undo(self._entries[-1])
                self._entries.pop()
        except Stop as stop:
            return stop.verdict
        return Succeeded(None)

    @property
    def _last(self) -> bool:
        return self.claim.attempt >= self._workshop.settings.attempts

    async def _undo(self, entry: Entry) -> None:
        """One call. A no is listed, and so is what does not work at the last attempt; older ones are still undone."""
        try:
            await self._attempt.undo(entry)
        except Rejected as error:
            self._left.append({**entry, "why": str(error)})
        except Stop as stop:
            if isinstance(stop.verdict, Lost) or (isinstance(stop.verdict, Later) and not self._last):
                raise
            self._left.append({**entry, "why": why(stop.verdict)})
        else:
            self._done.append(entry)

    async def _commit(self, lease: Lease, verdict: Verdict, span: Span) -> Ended:
        place = f"step {self.claim.number} of {self.claim.total} ({self._of})"
        if isinstance(verdict, Lost):
            return Ended("nothing", f"nothing to do: {verdict.why}")
        if isinstance(verdict, Failed) and verdict.kind == "timeout" and not self._last:
            verdict = Later(verdict.message)
        if isinstance(verdict, Later):
            span.end_as(Outcome.RETRY)
            return await self._retry(lease, verdict, f"undoing {place}", span)
        if not isinstance(verdict, Succeeded):
            await self._give_up(why(verdict))
        committed = await self._workshop.undos.commit(lease, Undone(self._done, self._left))
        if committed.answer != "OK":
            return Ended("nothing", f"nothing to do: {committed.answer.lower()} {committed.why}")
        if self._left:
            message = f"{place}: not undone: {'; '.join(str(one['why']) for one in self._left)}"
            kind = verdict.kind if isinstance(verdict, Failed) else "rejected"
            span.fail(kind_of(kind), message)
            return Ended("failed", message, committed.ready)
        span.end_as(Outcome.SUCCEEDED)
        return Ended("succeeded", f"{place} undone; surefoot show {self.job_id}", committed.ready)

    async def _give_up(self, reason: str) -> None:
        """List what this attempt has not come to."""
        calls = await self._workshop.calls.recall(Lease(self.job_id, self._of, "")) if self._entries is None else ()
        self._left += not_undone(self._entries, calls, reason)
