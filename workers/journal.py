"""The tool calls of one attempt: each numbered, journaled, budgeted, and sent with its deduplication key."""

from collections.abc import Sequence
from typing import Any

from orchestrator.prices import Prices
from orchestrator.state.calls import LOOK_UP, NOTHING, Cost, Pin, Recorded
from orchestrator.telemetry import Span, Spans, names
from orchestrator.telemetry.names import Kind, Outcome
from orchestrator.telemetry.redaction import as_text
from orchestrator.workflow import Profile
from tools.effects import Effect
from tools.outcome import NeedsInput, OutcomeUnknown, Rejected, Unavailable
from tools.servers import Tool, ToolServers, fits
from workers.approval import Approvals
from workers.asking import Asking
from workers.cost import cost_of
from workers.divergence import Divergence
from workers.doubt import Doubt, Known, told
from workers.inquiry import Inquiry
from workers.record import Record
from workers.replay import Call, fingerprint
from workers.sending import as_recorded, sent
from workers.verdict import Failed, Later, Parked, Stop, later


class Journal:
    """Calls tools for one attempt of one step.

    Attributes:
        minds: a tool that is another one now may be refused.
    """

    minds = True

    def __init__(
        self,
        record: Record,
        asking: Asking,
        tools: ToolServers,
        prices: Prices,
        spans: Spans,
        profile: Profile,
        approvals: Approvals,
        *,
        last: bool,
    ) -> None:
        """`last`: no attempt comes after this one."""
        self._record, self._asking = record, asking
        self._tools, self._prices, self._spans = tools, prices, spans
        self._profile, self._last, self._replay, self._approvals = profile, last, record.replay, approvals
        self._divergence = Divergence(record, profile.diverged)

    async def call(self, name: str, arguments: dict[str, Any], timeout_s: float, *, by_model: bool = False) -> Any:
        """One call. Where its tool asks people first, the step waits for them, and another call goes on with it.

        `by_model`: it is asked for by a model that was shown the tool.
        """
        call = await self._replay.ask(name, fingerprint(name, arguments))
        while True:
            try:
                return await self._round(call, name, arguments, timeout_s, by_model=by_model)
            except NeedsInput as asked:
                inquiry = Inquiry.of(self._record, call, asked)
                said = inquiry.said(await self._asking.answers(inquiry.questions()))
                self._approvals.person(said.answers)
                call = self._replay.continuation(call, said)

    async def _round(
        self, call: Call, name: str, arguments: dict[str, Any], timeout_s: float, *, by_model: bool
    ) -> Any:
        """Replay it, or check, reserve, send and settle it.

        Raises:
            NeedsInput: its tool asks people.
        """
        tracing = self._spans.tool(self._record.job_id, name, arguments, key=self._record.key(call.number))
        with tracing as span, self._record.telling(span):
            if call.said is not None:
                span.set(names.ANSWERS, as_text(call.said.answers))
            try:
                if call.row is not None and call.row.finished:
                    return await self._replayed(call.row, span)
                tool = await self._found(name, arguments, call)
                span.set(names.EFFECT, tool.effect.value)
                new = call.row is None or call.row.state == "unsent"
                if new and (row := await self._divergence.otherwise(call, tool, arguments, span)) is not None:
                    return await self._replayed(row, span)
                if not call.followed:
                    await self._approved(tool, arguments, call, span)
                answer = await self._send(tool, arguments, call, timeout_s, span, by_model=by_model)
            except Unavailable as error:
                raise Stop(later(error)) from error
            except NeedsInput as asked:
                span.asks([one["message"] for one in asked.questions])
                raise
            except Rejected as no:
                self._approvals.told(name, str(no))
                raise
            span.answer(answer)
            self._approvals.told(name, answer)
            return answer

    async def shown(self, patterns: Sequence[str]) -> list[Tool]:
        """The tools of this specialist that fit, for a model to read: as the job first saw them.

        Raises:
            Rejected: one is another now, and its server's configuration minds.
            Stop: a server cannot be asked now.
        """
        tools = await self._allowed(patterns)
        for tool in tools:
            tool.verify()
        changed = await self._record.changed({tool.name: tool.digest for tool in tools if tool.known is None})
        for tool in tools:
            if tool.name in changed and tool.pin != "note":
                raise tool.changed(changed[tool.name])
            self._approvals.shown(tool)
        return tools

    async def used(self, patterns: Sequence[str]) -> list[str]:
        """The tools of this specialist that fit and that an earlier attempt has called."""
        return [tool for tool in await self._replay.tools() if fits(tool, self._profile.tools, patterns)]

    async def _allowed(self, patterns: Sequence[str]) -> list[Tool]:
        try:
            return await self._tools.allowed(self._profile.tools, patterns)
        except (Unavailable, OutcomeUnknown) as error:
            raise Stop(later(error)) from error

    async def left_out(self) -> Failed | None:
        """Why a step that thinks it has succeeded has not: an effect is on record that it did not ask for again."""
        return await self._divergence.left_out()

    async def _replayed(self, row: Recorded, span: Span) -> Any:
        """What is on record, without touching tool or budget."""
        value = await self._record.stored(row.number)
        self._record.meter.replayed(row.tool)
        span.set(names.EFFECT, row.effect)
        span.set(names.REPLAYED, True)
        span.answer(as_recorded(row.tool, row.state, value), replayed=True)
        self._approvals.told(row.tool, value)
        return value

    async def _found(self, name: str, arguments: dict[str, Any], call: Call) -> Tool:
        """The tool, if it may be called so; of what may have been sent, nobody but the tool itself says no."""
        try:
            tool = await self._tools.find(name, self._profile.tools)
            if self.minds and not call.followed:
                tool.verify()
            tool.check(arguments)
        except Rejected as no:
            if call.followed:
                raise Stop(later(no)) from no
            raise
        return tool

    async def _approved(self, tool: Tool, arguments: dict[str, Any], call: Call, span: Span) -> None:
        """A call may need a person's yes; a no is kept as the call's answer, so that it is one on every attempt.

        What goes on with a call has the yes of that call.
        """
        if call.said is not None:
            return
        try:
            await self._approvals.ask(tool, arguments, call)
        except Rejected as no:
            await self._record.begin(call, NOTHING, Effect.READ.value, span)  # killed here, it is nothing to undo
            await self._record.settle(call.number, "rejected", str(no), NOTHING)
            raise
        except Stop:
            span.end_as(Outcome.WAITING)
            raise

    async def _send(
        self, tool: Tool, arguments: dict[str, Any], call: Call, timeout_s: float, span: Span, *, by_model: bool
    ) -> Any:
        """Send it, unless it may have been sent before and must not be sent again."""
        unsafe, row = tool.effect is Effect.UNSAFE, call.row
        key = call.known_by(tool, self._record.key(call.number))
        if unsafe and row is not None and row.unsettled:
            doubt = Doubt(self._record.step, row.number, row.sends, row.at_ms, tool, arguments, key)
            if (known := await self._known(doubt, tool.lookup, span)).happened:
                return known.result
        pin = self._pin(tool, by_model=by_model)
        begun = await self._record.begin(call, self._cost(tool), tool.effect.value, span, pin)
        if begun.answer == "CHANGED":
            raise tool.changed(begun.first)
        if begun.answer == "REPLAY":
            self._record.meter.replayed(tool.name)
            return as_recorded(tool.name, begun.before, begun.value)
        try:
            return await sent(self._record, tool, arguments, call, begun, timeout_s)
        except OutcomeUnknown as error:
            self._record.failed(span, Kind.OUTCOME_UNKNOWN, str(error), Outcome.RETRY)
            if unsafe:
                doubt = Doubt(self._record.step, call.number, begun.sends, begun.at_ms, tool, arguments, key)
                if (known := await self._known(doubt, tool.lookup, span)).happened:
                    return known.result
            raise Stop(later(error)) from error

    async def _known(self, doubt: Doubt, lookup: str | None, span: Span) -> Known:
        """What became of a call in doubt; nothing is sent, and where nobody can tell the step waits for a person.

        The call's own cost is charged before: with its outcome unknown, or here, where its attempt died.
        """
        try:
            known = await self._told_of(doubt, lookup, span)
        except Stop as stop:
            if isinstance(stop.verdict, Parked):
                await self._record.settle(doubt.number, "unknown", None, NOTHING)
            raise
        if known.happened:
            await self._record.settle(doubt.number, "done", known.result, NOTHING)
        return known

    async def _told_of(self, doubt: Doubt, lookup: str | None, span: Span) -> Known:
        """What a person or the look-up says of a call in doubt."""
        question = doubt.question()
        known = told(await self._record.answer(question.id))
        if known is None and lookup:
            known = await self._looked_up(lookup, doubt)
        if known is None:
            self._record.failed(span, Kind.IN_DOUBT, question.prompt, Outcome.IN_DOUBT)
            raise Stop(Parked([question]))
        return known

    async def _looked_up(self, lookup: str, doubt: Doubt) -> Known | None:
        """What the look-up says; None where it cannot tell. One that fails is asked again later, at last a person.

        A look-up is a READ call of its own, with its own number, counted and always made anew. That it finds nothing
        says something only when the call can no longer be under way.
        """
        call = Call(lookup, fingerprint(f"{LOOK_UP} {lookup}", {"key": doubt.key}), self._replay.fresh())
        key, about = self._record.key(call.number), {"key": doubt.key}
        try:
            with self._spans.tool(self._record.job_id, lookup, about, key=key) as span, self._record.telling(span):
                span.set(names.EFFECT, LOOK_UP)
                tool = await self._tools.find(lookup, (lookup,))
                tool.verify()
                begun = await self._record.begin(call, self._cost(tool), LOOK_UP, span)
                found = await sent(self._record, tool, {tool.about: doubt.key}, call, begun, tool.timeout_s)
                span.answer(found)
        except (Unavailable, OutcomeUnknown) as error:
            return self._asked(later(error))
        except (Rejected, NeedsInput):
            return None
        known = told(found)
        if known is not None and not known.happened and (wait_s := doubt.under_way_s(begun.at_ms)) > 0:
            return self._asked(Later(f"{lookup}: {doubt.tool.name} may still be under way", wait_s))
        return known

    def _asked(self, again: Later) -> None:
        """Leave a look-up to the next attempt; after the last one a person is asked."""
        if not self._last:
            raise Stop(again)

    def _pin(self, tool: Tool, *, by_model: bool) -> Pin:
        """What an operator has read and wrote down needs no other pin."""
        refuse = self.minds and (tool.pin == "all" or (tool.pin == "agents" and by_model))
        return Pin(tool.digest if tool.known is None else "", refuse)

    def _cost(self, tool: Tool) -> Cost:
        return cost_of(tool, self._record.claim, self._prices)
