"""What one attempt of a step writes down of its calls, to tools and to models, before and after each is sent."""

import asyncio
from collections.abc import Mapping, Sequence
from typing import Any

import structlog

from orchestrator.budget import named
from orchestrator.state.calls import NOTHING, UNPINNED, Begun, CallStore, Cost, Pin, State
from orchestrator.state.records import Claim
from orchestrator.telemetry import Span, names
from orchestrator.telemetry.names import Happening, Kind, Outcome
from tools.outcome import OutcomeUnknown, Rejected, Unavailable
from workers.ceiling import stopped
from workers.leases import Held
from workers.meter import Meter
from workers.replay import Call, Replay
from workers.verdict import Failed, Later, Lost, Parked, Stop, Verdict, kind_of

log = structlog.get_logger(__name__)
BUSY_S, LONGEST_BUSY_S = 0.05, 1.0
"""When a call asks again for the bytes that others may not use: twice as late each time, up to the longest."""
LEAVING_S = 2.0
"""How long a call that may have been sent, and is cancelled, waits for its settlement, which goes on all the same."""


class Record:
    """The calls of one attempt in the job's record.

    Attributes:
        claim: what was claimed: may an earlier attempt have left calls, and which tools have their own ceiling?
        meter: counts what happens to them.
        job_id: the job.
        step: the step.
        replay: numbers the calls, and finds what is on record of them.
    """

    def __init__(self, store: CallStore, held: Held, claim: Claim, meter: Meter) -> None:
        assert held.lease is not None
        self.claim, self.meter, self._store, self._held, self._lease = claim, meter, store, held, held.lease
        self.job_id, self.step = held.lease.job_id, held.lease.step
        self._leaving = set[asyncio.Task[None]]()
        lease = self._lease
        self.replay = Replay((lambda: store.recall(lease)) if claim.before else None)

    @property
    def sure(self) -> bool:
        """Whether the step is certainly still ours; nothing is sent when it may not be."""
        return self._held.sure

    def key(self, number: int) -> str:
        """The deduplication key of a call."""
        return f"{self.job_id}.{self.step}:{number}"

    async def stored(self, number: int) -> Any:
        """The answer that is kept of a finished call."""
        return await self._store.stored(self._lease, number)

    async def answer(self, question_id: str) -> object:
        """What a person answered to this question, or None."""
        return await self._store.answer(self._lease, question_id)

    async def answers(self, question_ids: Sequence[str]) -> Mapping[str, Any]:
        """What people answered to these questions, by id; what is open is missing."""
        return await self._store.answers(self._lease, question_ids)

    async def begin(self, call: Call, cost: Cost, effect: str, span: Span, pin: Pin = UNPINNED) -> Begun:
        """Reserve what a call may cost, and record that it is going to be sent; wait while others hold what it needs.

        A tool that is another one now is told, or answered as CHANGED.

        Raises:
            Stop: a ceiling is reached, the step is not ours any more, or the number is another call's.
        """
        try:
            begun = await self._begun(call, cost, effect, span, pin)
        except asyncio.CancelledError:  # perhaps it was, and nobody will send it
            await self.leave(call.number, NOTHING, "unsent")
            raise
        if begun.first:
            span.event(Happening.TOOL_CHANGED, tool=call.tool, first=begun.first, now=pin.digest)
        if begun.unpriced:
            span.event(Happening.TOOL_UNPRICED, tool=call.tool)
        if begun.over:
            self.meter.refused(begun.over.kind, self.claim.tenant)
            raise Stop(stopped(self.claim, self.step, begun.over))
        if begun.answer in {"STALE", "DEAD"}:
            raise Stop(Lost(f"{begun.answer} {begun.before}"))
        if begun.answer == "DIVERGED":
            raise Stop(Failed("diverged", f"call {call.number} is on record as another one: {begun.before}"))
        for kind in begun.low:
            span.event(Happening.BUDGET_LOW, ceiling=named(kind))
            self.meter.low(kind)
        return begun

    async def _begun(self, call: Call, cost: Cost, effect: str, span: Span, pin: Pin) -> Begun:
        words = (self._lease, call.number, call.asked, call.tool, cost, effect, pin)
        wait_s = BUSY_S
        while (begun := await self._store.begin(*words)).answer == "BUSY":
            if wait_s == BUSY_S:
                span.event(Happening.BUDGET_BUSY, ceiling=named("answer_bytes"))
            await asyncio.sleep(wait_s)
            wait_s = min(2 * wait_s, LONGEST_BUSY_S)
        return begun

    async def changed(self, digests: Mapping[str, str]) -> dict[str, str]:
        """Which of these tools are others than when the job first saw them, and what they were.

        Raises:
            Stop: the step is not ours any more.
        """
        found = await self._store.pin(self._lease, digests)
        if isinstance(found, str):
            raise Stop(Lost(found))
        return found

    async def settle(self, number: int, state: State, value: object, cost: Cost) -> None:
        """Keep what came of a call, and what it cost.

        Raises:
            Stop: the step is not ours any more, or the call cost more than could be reserved for it.
        """
        answer, _, what = (await self._store.settle(self._lease, number, state, value, cost)).partition(" ")
        if answer == "OVERRUN":
            raise Stop(Failed("budget", f"overrun: call {number} cost {what}", reason="budget"))
        if answer != "OK":
            raise Stop(Lost(f"call settled too late: {answer}"))

    async def leave(self, number: int, cost: Cost, state: State = "unknown") -> None:
        """Settle a call whose caller is cancelled, which may have been sent: others may need what it holds.

        Where the step is not ours any more there is nothing to do: whoever ended that settles it.
        """
        if not self.sure:
            return
        settling = asyncio.ensure_future(self.settle(number, state, None, cost))
        self._leaving.add(settling)
        settling.add_done_callback(self._left)
        await asyncio.wait([settling], timeout=0 if state == "unsent" else LEAVING_S)

    def _left(self, settling: asyncio.Task[None]) -> None:
        self._leaving.discard(settling)
        if not settling.cancelled() and (error := settling.exception()) and not isinstance(error, Stop):
            log.warning("a cancelled call is left to the sweeper", step=self._lease.name, error=str(error))

    def telling(self, span: Span) -> "Telling":
        """Say in a call's span what goes wrong inside."""
        return Telling(self, span)

    def tell(self, span: Span, error: BaseException) -> None:
        """Say in a call's span that it ended with this."""
        if isinstance(error, Rejected):
            self.failed(span, Kind.REJECTED, str(error))
        elif isinstance(error, Unavailable | OutcomeUnknown):
            kind = Kind.UNAVAILABLE if isinstance(error, Unavailable) else Kind.OUTCOME_UNKNOWN
            self.failed(span, kind, str(error), Outcome.RETRY)
        elif isinstance(error, Stop):
            self._stopped(span, error.verdict)

    def failed(self, span: Span, kind: Kind, message: str, outcome: Outcome = Outcome.FAILED) -> None:
        """Say in a call's span that it failed, and at which step of how many."""
        span.set(names.STEP_NUMBER, self.claim.number)
        span.set(names.STEP_TOTAL, self.claim.total)
        span.fail(kind, message, outcome)

    def _stopped(self, span: Span, verdict: Verdict) -> None:
        """What ended the attempt in this call, unless the call has said more."""
        if span.judged:
            return
        if isinstance(verdict, Failed):
            self.failed(span, kind_of(verdict.kind), verdict.message)
        elif isinstance(verdict, Later):
            self.failed(span, Kind.UNAVAILABLE, verdict.message, Outcome.RETRY)
        elif isinstance(verdict, Parked) and verdict.questions[0].kind == "budget":
            self.failed(span, Kind.BUDGET, verdict.questions[0].prompt, Outcome.WAITING)
        else:
            span.end_as(Outcome.WAITING if isinstance(verdict, Parked) else Outcome.CANCELLED)


class Telling:
    """Tells a call's span of what passes by. Each call has one: a class costs a fifth of a generator."""

    __slots__ = ("_record", "_span")

    def __init__(self, record: Record, span: Span) -> None:
        self._record, self._span = record, span

    def __enter__(self) -> None:
        pass

    def __exit__(self, kind: object, error: BaseException | None, traceback: object) -> None:
        if error is not None:
            self._record.tell(self._span, error)
