"""Supervisor: decides again and again who goes on, from what is done, until it finishes or a guard stops it."""

import hashlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Any, Literal, Self, get_args

from pydantic import BaseModel, Field, ValidationError

from orchestrator.errors import InvalidRequest
from orchestrator.patterns.pattern import LAST, Decided, Here, Pattern, Placed, free, unfold
from orchestrator.patterns.situation import Call, Called, Decider, Situation, decision
from orchestrator.plan import MOST_STEPS, Plan

OnGuard = Literal["fail", "partial"]


class Handoff(BaseModel):
    """What a specialist's output says in a field `handoff`: which part of its supervisor goes on.

    It counts only of parts that the supervisor lets hand off; of any other it is data, as a tool may have answered it.
    The supervisor's decider is not asked then; its guards hold nevertheless.
    """

    to: str
    arguments: dict[str, Any] = Field(default_factory=dict[str, Any])
    why: str = ""


class Next(BaseModel):
    """What a supervisor's decider says: who goes on, side by side; nobody: it is finished.

    Attributes:
        calls: the parts that go on.
        why: for the record and the trace.
        result: what the finished supervision comes to; None: all that is done, by step. A join is given what is done.
    """

    calls: list[Call] = Field(default_factory=list[Call])
    why: str = ""
    result: Any = None

    @property
    def chosen(self) -> list[str]:
        """The parts that it names."""
        return [call.to for call in self.calls]

    @classmethod
    def to(cls, *parts: str, why: str = "", **arguments: Any) -> Self:
        """These parts go on, with these arguments."""
        return cls(calls=[Call(to=part, arguments=arguments) for part in parts], why=why)

    @classmethod
    def finish(cls, result: Any = None, *, why: str = "") -> Self:
        """It is finished."""
        return cls(result=result, why=why)


class Supervised(BaseModel):
    """The output of a supervisor's step: what was decided in this round.

    Attributes:
        round: from 1.
        by: who decided: the decider, the handoffs of specialists, or a guard.
        calls: who goes on, and the steps that this becomes; empty: it is over.
        why: what was said.
        stopped: which guard ended it and why; empty: none.
        result: once it is over without a join, what it came to.
    """

    round: int
    by: Literal["decider", "handoff", "guard"]
    calls: list[Called] = Field(default_factory=list[Called])
    why: str = ""
    stopped: str = ""
    result: Any = None


class Memory(BaseModel):
    """What a supervisor remembers from round to round, kept in its next step's arguments.

    Attributes:
        base: the name of its first step; the next are `<base>-2` and so on.
        round: this one, from 1.
        calls: those of all rounds before.
        own: its deciding step before, whose output is no work.
        seen: the steps whose outputs the round before saw.
        known: how many different outputs there were in each round before.
    """

    base: str
    round: int = 1
    calls: list[Called] = Field(default_factory=list[Called])
    own: str = ""
    seen: list[str] = Field(default_factory=list[str])
    known: list[int] = Field(default_factory=list[int])


class Supervisor(Pattern):
    """Hands out work round by round. Its steps are named `supervisor`, `supervisor-2` and so on.

    Each round's commit adds the steps of the parts that go on and, behind them, the next round; every step gets the
    outputs of all that was done before it.
    """

    kind = "supervisor"

    def __init__(
        self,
        team: Mapping[str, str | Plan | Pattern] | Iterable[str],
        *,
        decide: Decider[Next],
        join: str = "",
        rounds: int = 10,
        idle_rounds: int = 2,
        on_guard: OnGuard = "fail",
        handoffs: Iterable[str] = (),
    ) -> None:
        """Define a supervisor.

        Args:
            team: name -> a specialist's name, a plan, or another pattern; or names of specialists alone.
            decide: who goes on, from what is done: your function, plain or async, or a model behind it.
            join: a specialist that gets all that is done when it is finished; its output is the result then.
            rounds: how many times work is handed out at most.
            idle_rounds: after so many rounds in a row that brought no output that was not there before, it is stopped.
            on_guard: what a guard's stop comes to: `fail` fails the step; `partial` finishes with what is done.
            handoffs: the members of the team whose outputs may say, in a field `handoff`, who goes on.

        Raises:
            InvalidRequest: a specialist is unknown, or a guard is out of range.
        """
        super().__init__(team, [join] if join else ())
        for name, value in (("rounds", rounds), ("idle_rounds", idle_rounds)):
            if not 1 <= value <= 1_000:  # noqa: PLR2004 - a plan has at most 2,000 steps
                raise InvalidRequest(f"{name}={value!r}: use 1 to 1000")
        if on_guard not in get_args(OnGuard):
            raise InvalidRequest(f"on_guard={on_guard!r}: use 'fail' or 'partial'")
        self.decider, self.join, self.on_guard = decide, join, on_guard
        self.rounds, self.idle_rounds, self.handoffs = rounds, idle_rounds, frozenset(handoffs)
        if unknown := sorted(self.handoffs - set(self.parts)):
            raise InvalidRequest(f"handoffs: {unknown[0]!r} is not one of the team: {', '.join(self.parts)}")

    @property
    def counts(self) -> bool:
        """A step must be left for the join."""
        return bool(self.join)

    async def decide(self, here: Here, situation: Situation) -> Decided:
        """One round: handoffs first, else the decider; then the guards."""
        memory = Memory.model_validate({"base": here.step, **here.state})
        work = {name: output for name, output in situation.done.items() if name != memory.own}
        view = replace(situation, done=work, calls=tuple(memory.calls), round=memory.round)
        output = await self._next(view, memory)
        if len(output.calls) + len(here.taken) >= MOST_STEPS:
            many = f"{len(output.calls):,} parts to go on in round {memory.round}, behind {len(here.taken):,} steps"
            raise InvalidRequest(f"the decider names {many}; a plan has at most {MOST_STEPS:,} steps")
        known = {_digest(value) for value in work.values()}
        for call in output.calls:
            call.fingerprint = _digest([call.to, call.arguments, sorted(known)])
        guarded = self._guard(output, memory, len(known))
        if guarded and self.on_guard == "fail":
            raise InvalidRequest(f"the supervisor was stopped in round {memory.round}: {guarded}")
        if guarded:
            output.by, output.calls, output.stopped = "guard", [], guarded
        if not output.calls:
            return self._over(here, view, output)
        decided = self._round(here, view, output, memory, len(known))
        if self.join and view.finishes and view.steps_left is not None and len(decided.grown) >= view.steps_left:
            output.by, output.calls = "guard", []
            output.stopped = f"no new work: the budget has {view.steps_left} steps left, one of them for {self.join}"
            return self._over(here, view, output)
        return decided

    async def _next(self, view: Situation, memory: Memory) -> Supervised:
        """Who goes on: whom the last specialists handed off to, else whom the decider names; nobody, if it must end."""
        if view.finishing:
            return Supervised(round=view.round, by="guard", stopped=f"no new work: {view.finishing}")
        may = {step for call in memory.calls if call.to in self.handoffs for step in call.steps}
        handed = [_handoff(name, view.done[name]) for name in view.done if name in may and name not in memory.seen]
        calls = [Called(to=one.to, arguments=one.arguments) for one in handed if one]
        if calls:
            why = "; ".join(one.why for one in handed if one and one.why)
            return Supervised(round=view.round, by="handoff", calls=calls, why=why)
        said = await decision(self.decider, view, Next)
        calls = [Called(to=call.to, arguments=call.arguments) for call in said.calls]
        return Supervised(round=view.round, by="decider", calls=calls, why=said.why, result=said.result)

    def _guard(self, output: Supervised, memory: Memory, known: int) -> str:
        """Why it must not go on; empty where it may."""
        if not output.calls:
            return ""
        made = {call.fingerprint for call in memory.calls}
        again = next((call for call in output.calls if call.fingerprint in made), None)
        if again:
            return f"{again.to} was called before with the same arguments, and nothing new is known since"
        if memory.known[-self.idle_rounds :] == [known] * self.idle_rounds:
            return f"the last {self.idle_rounds} rounds brought nothing new"
        if memory.round > self.rounds:
            return f"it wants to go on with {output.calls[0].to} after {self.rounds} rounds; rounds=... allows more"
        return ""

    def _over(self, here: Here, view: Situation, output: Supervised) -> Decided:
        """It is finished, or was stopped with what there is."""
        spent = view.finishes and view.steps_left == 0
        if self.join and spent:
            output.stopped = f"{output.stopped or 'finished'}; no step is left for {self.join}"
        if not self.join or spent:
            output.result = dict(view.done) if output.result is None else output.result
            return Decided(output)
        return Decided(output, unfold(here, [Placed(self.join, self.join, ended=(*view.done, *view.missing))]))

    def _round(self, here: Here, view: Situation, output: Supervised, memory: Memory, known: int) -> Decided:
        """The steps of those who go on, and behind them the next round."""
        ended = (*view.done, *view.missing)
        names = dict[str, None]()
        for call in output.calls:
            names[free(call.to, names)] = None
        placed = [
            self.place(here, call.to, name=name, ended=ended, arguments={**view.arguments, **call.arguments})
            for call, name in zip(output.calls, names, strict=True)
        ]
        grown = unfold(here, placed)
        for call, name in zip(output.calls, names, strict=True):
            call.steps = [one.step.name for one in grown if one.of == name]
        told = Memory(
            base=memory.base,
            round=memory.round + 1,
            calls=[*memory.calls, *output.calls],
            own=here.step,
            seen=list(ended),
            known=[*memory.known, known],
        )
        state = told.model_dump(mode="json")
        own = Placed(memory.base, self, here.path, tuple(names), ended, view.arguments, state, LAST)
        return Decided(output, unfold(here, [*placed, own]))


def _digest(value: Any) -> str:
    return hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()[:16]


def _handoff(step: str, output: Any) -> Handoff | None:
    """Whom this output hands off to, if it does."""
    said = output.get("handoff") if isinstance(output, Mapping) else None
    if said is None:
        return None
    try:
        return Handoff.model_validate(said)
    except ValidationError as error:
        told = f"{'.'.join(map(str, error.errors()[0]['loc'])) or 'handoff'}: {error.errors()[0]['msg']}"
        raise InvalidRequest(f"step {step!r} hands off in a way that is not understood: {told}") from None
