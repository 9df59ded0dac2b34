"""One attempt of undoing one step: claim -> learn what there is to undo -> undo it, newest first -> commit."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from orchestrator.state import keys
from orchestrator.state.calls import Cost, Recorded
from orchestrator.state.records import Claim, Question
from orchestrator.state.steps import Lease
from orchestrator.state.undo import Entry, Undone, not_undone, unsaid
from orchestrator.telemetry import Span, names
from orchestrator.telemetry.names import Outcome
from tools.effects import Effect
from tools.outcome import NeedsInput, OutcomeUnknown, Rejected, Unavailable
from tools.servers import Tool
from tools.way import Said
from workers.attempt import Attempt
from workers.doubt import Doubt, Known
from workers.journal import Journal
from workers.replay import Call, fingerprint
from workers.retrace import Retrace, why
from workers.run import Ended, StepRun
from workers.sending import sent
from workers.specialist import Specialist
from workers.verdict import Failed, Later, Lost, Parked, Stop, Succeeded, Verdict, kind_of, later

if TYPE_CHECKING:
    from workers.workshop import Workshop


class UndoJournal(Journal):
    """Its calls draw on the allowance for undoing, not on the job's budget; a changed tool is noted, not refused."""

    minds = False

    def _cost(self, tool: Tool) -> Cost:
        return Cost(tool_calls=0, undo=1, undo_micro_usd=super()._cost(tool).micro_usd)

    async def _approved(self, tool: Tool, arguments: dict[str, Any], call: Call, span: Span) -> None:
        """Nobody is asked: what undoes a step was decided when the step was allowed."""

    async def again(
        self, past: Recorded, step: str, arguments: dict[str, Any], timeout_s: float, said: Said | None
    ) -> Known:
        """What became of a call that another step left unsettled.

        It is sent once more, with the key it had and what people had `said`, unless its tool is UNSAFE: then the
        look-up is asked. Nobody is asked for more: a tool that asks has not done it. One that asks nothing, and only
        wants to be called again, is.

        Raises:
            Rejected: the tool says no, so it never happened.
            Stop: nobody can tell now (Later), or ever (Parked).
        """
        key = f"{self._record.job_id}.{step}:{past.number}"
        call = await self._replay.ask(past.tool, fingerprint(key, arguments))
        call.said = said
        while True:
            try:
                return await self._once_more(past, step, arguments, timeout_s, call, key)
            except NeedsInput as asked:
                if asked.questions:
                    return Known(happened=False)
                first = call.said.key if call.said else key
                call = self._replay.continuation(call, Said({}, asked.request_state, first))
                key = self._record.key(call.number)

    async def _once_more(
        self, past: Recorded, step: str, arguments: dict[str, Any], timeout_s: float, call: Call, key: str
    ) -> Known:
        """Send it with this key, or look it up.

        Raises:
            NeedsInput: its tool asks, or wants to be called again.
        """
        own = self._record.key(call.number)
        tracing = self._spans.tool(self._record.job_id, past.tool, arguments, key=key, call_id=own)
        with tracing as span, self._record.telling(span):
            if call.row is not None and call.row.finished:
                return Known(happened=True, result=await self._replayed(call.row, span))
            try:
                tool = await self._tools.find(past.tool, self._profile.tools)
                if tool.effect is Effect.UNSAFE:
                    known_by = call.known_by(tool, key)
                    doubt = Doubt(step, past.number, past.sends, past.at_ms, tool, arguments, known_by)
                    return await self._told_of(doubt, tool.lookup, span)
                span.set(names.EFFECT, tool.effect.value)
                # noted: what may have been sent is followed, whatever its tool is
                pin = self._pin(tool, by_model=False)
                begun = await self._record.begin(call, self._cost(tool), tool.effect.value, span, pin)
                answer = await sent(self._record, tool, arguments, call, begun, timeout_s, key)
            except (Unavailable, OutcomeUnknown) as error:
                raise Stop(later(error)) from error
            span.answer(answer)
            return Known(happened=True, result=answer)


class Undoing(Attempt):
    """One attempt of undoing a step."""

    journals = UndoJournal
    _journal: UndoJournal

    async def lack(self, questions: Sequence[Question]) -> Any:
        """Nobody is asked while a job is undone: what asks people is left."""
        raise Stop(Parked(questions[-1:]))

    async def learn(self, specialist: Specialist, step: str) -> tuple[list[Entry], list[Entry]]:
        """How to undo what a step did that did not succeed, and of what that cannot be known.

        Raises:
            Stop: it cannot be known at all, or not now.
        """
        past = Retrace.of(self._shop, self._held, step, self.claim, specialist)
        return await past.entries(specialist, self._journal, self.left_s)

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
            else:
                self._left = unsaid(self._entries, await self._effects())
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
        calls = await self._effects() if self._entries is None else ()
        self._left += not_undone(self._entries, calls, reason)

    async def _effects(self) -> Sequence[Recorded]:
        calls = await self._workshop.calls.recall(Lease(self.job_id, self._of, ""))
        return [call for call in calls if call.changed_something]
