"""What a specialist asks for while it runs, and what of it is kept until the commit."""

import asyncio
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from pydantic import BaseModel
from pydantic_core import to_jsonable_python

from orchestrator.plan import Step
from orchestrator.state.records import Claim, Question
from orchestrator.workflow import Profile
from workers.agent import Agent
from workers.approval import Approvals
from workers.asking import Asking, Patience
from workers.journal import Journal
from workers.leases import Held
from workers.model_calls import Fits, ModelCalls
from workers.prompt import Prompt, Reply
from workers.record import Record
from workers.verdict import Failed, Parked, Stop

if TYPE_CHECKING:
    from workers.workshop import Workshop

LONGEST_MESSAGE = 2_000


class Attempt:
    """One attempt of one step, from the claim to the commit.

    Attributes:
        claim: what was claimed.
        added: the steps that the plan grows by, each with the steps that wait for it too.
        asking: what it asks people.
        rollback: the calls that undo what it did, newest last.
        stop: why it must not go on, once there is such a reason: a specialist that swallows it does not go on either.
    """

    journals: type[Journal] = Journal

    def __init__(self, workshop: "Workshop", held: Held, claim: Claim, profile: Profile, limit_s: float) -> None:
        assert held.lease is not None
        self.claim, self.job_id, self.step = claim, held.lease.job_id, held.lease.step
        self.added: list[tuple[Step, Sequence[str]]] = []
        self.rollback: list[dict[str, Any]] = []
        self.stop: Stop | None = None
        self._shop, self._held, self._lease, self._until = workshop, held, held.lease, _now() + limit_s
        self._ends = None if claim.seconds_left is None else _now() + claim.seconds_left
        self.asking = Asking(workshop.calls, held.lease, self.lack)
        last = claim.attempt >= workshop.settings.attempts
        self._approvals = Approvals(profile, claim, self.asking, configured=workshop.tools.approvals)
        record, spans = Record(workshop.calls, held, claim, workshop.meter), workshop.telemetry.spans
        self._journal = self.journals(
            record, self.asking, workshop.tools, workshop.prices, spans, profile, self._approvals, last=last
        )
        self._models = ModelCalls(record, workshop.models, workshop.prices, spans, workshop.jobs, workshop.cache)

    @property
    def left_s(self) -> float:
        """The time it has left, seconds."""
        return self._until - _now()

    async def left_out(self) -> Failed | None:
        """Why it has not succeeded although it ended: an effect of an earlier attempt that it did not ask for again."""
        return await self._journal.left_out()

    async def call(self, tool: str, arguments: dict[str, Any], *, by_model: bool = False) -> Any:
        """Call a tool. `by_model`: a model that was shown it asks."""
        if self.stop:
            raise self.stop
        try:
            with self.asking.beside():
                return await self._journal.call(tool, arguments, self.left_s, by_model=by_model)
        except Stop as stop:
            raise self._stopping(stop) from stop

    async def agent(self, tools: Sequence[str], output: type[BaseModel] | None) -> Agent:
        """A model with these of the specialist's tools."""
        try:
            return Agent(self, tools, await self._journal.shown(tools), await self._journal.used(tools), output)
        except Stop as stop:
            raise self._stopping(stop) from stop

    async def model(self, prompt: Prompt, fits: Fits | None = None) -> Reply:
        """Ask a language model; an answer that `fits` may be one that was given before."""
        if self.stop:
            raise self.stop
        try:
            with self.asking.beside():
                return await self._models.ask(prompt, self.left_s, fits)
        except Stop as stop:
            raise self._stopping(stop) from stop

    async def ask(self, what: str | type[BaseModel], prompt: str, example: Any, patience: Patience) -> Any:
        """Ask a person."""
        answer = await self.asking.ask(what, prompt, example, patience)
        self._approvals.person(to_jsonable_python(answer))
        return answer

    async def lack(self, questions: Sequence[Question]) -> Any:
        """Wait for people: the attempt ends, and the step is parked with these questions."""
        raise self._stopping(Stop(Parked(questions)))

    async def emit(self, message: str) -> None:
        """Append an event."""
        await self._shop.calls.emit(self._lease, message[:LONGEST_MESSAGE])

    def grow(self, steps: Sequence[Step], before: Sequence[str]) -> None:
        """Add steps at the commit."""
        self.added += [(step, before) for step in steps]

    async def steps(self) -> tuple[str, ...]:
        """The names of the plan's steps."""
        return tuple((await self._shop.jobs.read(self.job_id)).step_names())

    def on_rollback(self, tool: str, arguments: dict[str, Any]) -> None:
        """Keep a compensation with the checkpoint."""
        self.rollback.append({"tool": tool, "arguments": arguments})

    async def left(self) -> dict[str, int | None]:
        """What is left of the budget."""
        spend = (await self._shop.jobs.read(self.job_id)).spend
        seconds = None if self._ends is None else max(0, int(self._ends - _now()))
        return {kind: line.free for kind, line in spend.lines.items()} | {"seconds": seconds}

    def _stopping(self, stop: Stop) -> Stop:
        """Remember the first stop."""
        self.stop = self.stop or stop
        return self.stop


def _now() -> float:
    return asyncio.get_running_loop().time()
