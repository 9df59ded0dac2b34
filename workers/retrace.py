"""A specialist run again over what is on record, only to learn how to undo what it did: it starts nothing new.

A step that did not succeed has no checkpoint with its `on_rollback` calls. But each of its calls was recorded before it
was sent; so its code is run once more, every finished call is answered from the record, and what it asks to be
remembered is noted. A call that was under way at the end is cleared up first. Whoever asks for anything else waits for
ever, and when nobody is left who does not, the specialist is ended.
"""

import asyncio
import dataclasses
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Self

from pydantic import ValidationError

from orchestrator.state.calls import Recorded
from orchestrator.state.records import Claim, Question
from orchestrator.state.steps import Lease
from orchestrator.state.undo import Entry
from orchestrator.telemetry.spans import NOTHING
from tools.outcome import NeedsInput
from tools.servers import Tool
from tools.way import Said
from workers.attempt import Attempt
from workers.context import StepContext
from workers.doubt import Known
from workers.inquiry import Inquiry
from workers.journal import Journal
from workers.leases import Held
from workers.model_calls import MODEL
from workers.prompt import Prompt, Reply
from workers.replay import Call, fingerprint
from workers.specialist import Specialist
from workers.verdict import Failed, Later, Lost, Parked, Stop, Verdict, problems

if TYPE_CHECKING:
    from workers.undo import UndoJournal
    from workers.workshop import Workshop

STILL_S = 0.2
"""When nobody has moved for so long, nobody will: all wait for something new."""


def why(verdict: Verdict) -> str:
    """Why something could not be done, for people."""
    if isinstance(verdict, Parked):
        asked = verdict.questions[0]
        return f"in doubt: {asked.prompt}" if asked.kind == "in_doubt" else f"it asks people first: {asked.prompt}"
    if isinstance(verdict, Failed):
        return f"{verdict.kind}: {verdict.message}"
    return verdict.message if isinstance(verdict, Later) else "it is not ours any more"


class Past(Journal):
    """The journal of the step that is undone: it answers what is on record.

    Attributes:
        left: effects of which nobody can tell whether they happened, each with `why`.
        present: the journal of the work of undoing, in which what was under way is cleared up.
        moves: how often somebody was answered.
        busy: how many are being answered.
        waiting: how many wait for something new.
    """

    present: "UndoJournal"

    def __init__(self, *shared: Any, last: bool) -> None:
        super().__init__(*shared, last=last)
        self.left = list[Entry]()
        self.moves = self.busy = self.waiting = 0

    async def call(self, name: str, arguments: dict[str, Any], timeout_s: float, *, by_model: bool = False) -> Any:
        """Answer a call that is on record."""
        del by_model
        self.busy += 1
        try:
            call = await self._last_round(await self._replay.ask(name, fingerprint(name, arguments)))
            row = call.row
            if row is not None and row.finished:
                return await self._replayed(row, NOTHING)
            if row is not None and row.changed_something:
                known = await self._cleared_up(row, arguments, timeout_s, call.said)
                if known is not None and known.happened:
                    return known.result
        finally:
            self.busy -= 1
            self.moves += 1
        return await self.nothing_new()

    async def shown(self, patterns: Sequence[str]) -> list[Tool]:
        """Whatever they are now: no model is shown them."""
        return await self._allowed(patterns)

    async def _last_round(self, call: Call) -> Call:
        """Of a call whose tool asked people, what went on with it last."""
        while call.row is not None and call.row.state == "asked":
            inquiry = Inquiry.of(self._record, call, NeedsInput(call.tool, **await self._record.stored(call.number)))
            call = self._replay.continuation(call)
            if call.row is not None:
                ids = [question.id for question in inquiry.questions()]
                call.said = inquiry.said(await self._record.answers(ids))
        return call

    async def replied(self, prompt: Prompt) -> Reply:
        """Answer a question to a model that is on record."""
        self.busy += 1
        try:
            row = (await self._replay.ask(MODEL, prompt.asked)).row
            if row is not None and row.finished:
                return Reply.recorded(await self._record.stored(row.number))
        finally:
            self.busy -= 1
            self.moves += 1
        return await self.nothing_new()

    async def nothing_new(self) -> Any:
        """Wait for ever."""
        self.waiting += 1
        await asyncio.Event().wait()

    async def _cleared_up(
        self, row: Recorded, arguments: dict[str, Any], timeout_s: float, said: Said | None
    ) -> Known | None:
        try:
            return await self.present.again(row, self._record.step, arguments, timeout_s, said)
        except Stop as stop:
            if isinstance(stop.verdict, Lost) or (isinstance(stop.verdict, Later) and not self._last):
                raise
            self.left.append({"tool": row.tool, "arguments": arguments, "why": why(stop.verdict)})
            return None

    async def unasked(self) -> list[Entry]:
        """The effects on record that the specialist did not ask for again."""
        message = "the specialist did not ask for it again, so it is not known how to undo it"
        return [{"tool": row.tool, "call": row.number, "why": message} for row in await self._replay.outstanding()]


class Retrace(Attempt):
    """The attempt in which the specialist of a step that is undone runs again."""

    journals = Past
    _journal: Past

    @classmethod
    def of(cls, shop: "Workshop", held: Held, step: str, claim: Claim, specialist: Specialist) -> Self:
        """Of a step, by the claim of the work that undoes it; nobody holds the step itself any more."""
        assert held.lease is not None
        past = Held(held.task, held.length_s, Lease(held.lease.job_id, step, ""))
        return cls(shop, past, dataclasses.replace(claim, again=True), specialist.profile, float("inf"))

    async def entries(self, specialist: Specialist, present: "UndoJournal") -> tuple[list[Entry], list[Entry]]:
        """What it asks to be remembered, and the effects of which nobody can tell how to undo them.

        Raises:
            Stop: it cannot be known, or not now.
        """
        self._journal.present = present
        try:
            request = specialist.parse(self.claim.request)
        except ValidationError as error:
            told = f"the request does not fit {specialist.profile.name} any more: {problems(error)}"
            raise Stop(Failed("invalid data", told)) from error
        task = asyncio.ensure_future(specialist.perform(StepContext(self), request))
        try:
            await self._until_still(task)
        finally:
            task.cancel()
            await asyncio.wait([task], timeout=STILL_S)
        if self.stop:
            raise self.stop
        return list[Entry](self.rollback), [*self._journal.left, *await self._journal.unasked()]

    async def _until_still(self, task: "asyncio.Future[Any]") -> None:
        past, moves = self._journal, -1
        while not task.done() and not self.stop:
            if past.waiting and not past.busy and moves == past.moves:
                return
            moves = past.moves
            await asyncio.wait([task], timeout=STILL_S)

    async def model(self, prompt: Prompt) -> Reply:
        """What is on record; nothing is asked again."""
        return await self._journal.replied(prompt)

    async def lack(self, questions: Sequence[Question]) -> Any:
        """Nobody is asked any more."""
        del questions
        return await self._journal.nothing_new()

    async def emit(self, message: str) -> None:
        """It was told before."""
