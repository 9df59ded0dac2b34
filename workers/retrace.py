"""A specialist run again over what is on record, only to learn how to undo what it did: it starts nothing new.

A step that did not succeed has no checkpoint with its `on_rollback` calls. But each of its calls was recorded before it
was sent; so its code is run once more, every finished call is answered from the record, and what it asks to be
remembered is noted. A call that was under way at the end is cleared up first. Whoever asks for anything else waits for
ever. The specialist is ended when nobody is left who does not; when somebody does, or nothing is missing of what can be
said, and for a while nobody moves; else at half of its time. An effect of which nothing was said by then is listed:
none is passed over in silence.
"""

import asyncio
import dataclasses
from collections.abc import Generator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Self

from pydantic import ValidationError

from orchestrator.state.calls import Recorded
from orchestrator.state.records import Claim, Question
from orchestrator.state.steps import Lease
from orchestrator.state.undo import Entry, unsaid
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
from workers.model_calls import MODEL, Fits
from workers.prompt import Prompt, Reply
from workers.replay import Call, fingerprint
from workers.specialist import Specialist
from workers.verdict import Failed, Later, Lost, Parked, Stop, Verdict, problems

if TYPE_CHECKING:
    from workers.undo import UndoJournal
    from workers.workshop import Workshop

STILL_S = 0.2
"""When nobody has moved for so long, nobody will: all wait for something new."""
PATIENCE_S = 5.0
"""The same where somebody waits, or all was said, and others may be at something slow of their own."""


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
        effects: those on record that happened, and that the specialist has asked for again.
        moves: how often somebody was answered.
        busy: how many are being answered.
        seen: the tasks that have asked for something; `waiting`: those that wait for something new.
    """

    present: "UndoJournal"

    def __init__(self, *shared: Any, last: bool) -> None:
        super().__init__(*shared, last=last)
        self.left = list[Entry]()
        self.effects = list[Recorded]()
        self.moves = self.busy = 0
        self.seen, self.waiting = set["asyncio.Task[Any] | None"](), set["asyncio.Task[Any] | None"]()

    async def call(self, name: str, arguments: dict[str, Any], timeout_s: float, *, by_model: bool = False) -> Any:
        """Answer a call that is on record."""
        del by_model
        with self._answering():
            call = await self._last_round(await self._replay.ask(name, fingerprint(name, arguments)))
            row = call.row
            if row is not None and (known := await self._past(row, arguments, timeout_s, call.said)).happened:
                if row.changed_something:
                    self.effects.append(row)
                return known.result
        return await self.nothing_new()

    async def _past(self, row: Recorded, arguments: dict[str, Any], timeout_s: float, said: Said | None) -> Known:
        if row.finished:
            return Known(happened=True, result=await self._replayed(row, NOTHING))
        known = await self._cleared_up(row, arguments, timeout_s, said) if row.changed_something else None
        return known or Known(happened=False)

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
        with self._answering():
            row = (await self._replay.ask(MODEL, prompt.asked)).row
            if row is not None and row.finished:
                return Reply.recorded(await self._record.stored(row.number))
        return await self.nothing_new()

    @contextmanager
    def _answering(self) -> Generator[None]:
        self.seen.add(asyncio.current_task())
        self.busy += 1
        try:
            yield
        finally:
            self.busy -= 1
            self.moves += 1

    async def nothing_new(self) -> Any:
        """Wait for ever."""
        self._asking.stand_aside()
        task = asyncio.current_task()
        self.waiting.add(task)
        try:
            await asyncio.Event().wait()
        finally:  # its own code had it wait for so long at most
            self.waiting.discard(task)

    @property
    def ahead(self) -> bool:
        """Whether an effect is on record that the specialist has not asked for again."""
        return self._replay.ahead

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
        return cls(shop, past, dataclasses.replace(claim, before=claim.fence), specialist.profile, float("inf"))

    async def entries(
        self, specialist: Specialist, present: "UndoJournal", left_s: float
    ) -> tuple[list[Entry], list[Entry]]:
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
        task, more = asyncio.ensure_future(specialist.perform(StepContext(self), request)), ""
        try:
            if not await self._until_still(task, left_s / 2):
                more = "; its code was left where it came no further"
        finally:
            task.cancel()
            await asyncio.wait([task], timeout=STILL_S)
        if self.stop:
            raise self.stop
        past, entries = self._journal, list[Entry](self.rollback)
        return entries, [*past.left, *await past.unasked(), *unsaid(entries, past.effects, more)]

    async def _until_still(self, task: "asyncio.Task[Any]", longest_s: float) -> bool:
        """Until it has ended or nobody moves; answers whether nobody can move any more."""
        past, moves, still_s = self._journal, -1, 0.0
        end = asyncio.get_running_loop().time() + longest_s
        while not task.done() and not self.stop:
            moved = past.busy or moves != past.moves + len(self.rollback)
            moves, still_s = past.moves + len(self.rollback), 0.0 if moved else still_s + STILL_S
            if still_s and (self._all_wait(task) or (past.waiting and self._all_said)):
                return True
            if still_s >= PATIENCE_S and (past.waiting or self._all_said):
                return False
            if not past.busy and asyncio.get_running_loop().time() > end:
                return False
            await asyncio.wait([task], timeout=STILL_S)
        return True

    def _all_wait(self, task: "asyncio.Task[Any]") -> bool:
        """All tasks wait for something new."""
        past = self._journal
        return all(each in past.waiting or each.done() for each in (task, *past.seen) if each)

    @property
    def _all_said(self) -> bool:
        """Nothing is missing of what it can say: it has come to all its effects, and said as much of them."""
        past = self._journal
        return bool(past.seen) and len(self.rollback) >= len(past.effects) and not past.ahead

    async def model(self, prompt: Prompt, fits: Fits | None = None) -> Reply:
        """What is on record; nothing is asked again."""
        del fits
        return await self._journal.replied(prompt)

    async def lack(self, questions: Sequence[Question]) -> Any:
        """Nobody is asked any more."""
        del questions
        return await self._journal.nothing_new()

    async def emit(self, message: str) -> None:
        """It was told before."""
