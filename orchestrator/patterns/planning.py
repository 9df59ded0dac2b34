"""PlanExecuteSolve: a planner writes a plan, it is checked and carried out, one specialist solves from all of it."""

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import replace
from fnmatch import fnmatchcase
from typing import Any

from pydantic import BaseModel, Field

from orchestrator.budget import TOOLS, figure, named
from orchestrator.errors import InvalidRequest
from orchestrator.patterns.pattern import LAST, Decided, Here, Pattern, Placed, least_of, said, unfold
from orchestrator.patterns.situation import Decider, Situation, decision
from orchestrator.plan import Plan, Step
from orchestrator.workflow import catalogue

MOST, LONGEST = 10, 400
"""Of what is wrong with a plan: so many problems are told, and so many characters of each."""


class PlannedStep(BaseModel):
    """One step of a planner's plan.

    Attributes:
        specialist: which of the parts.
        name: unique in the plan; the part's name unless given.
        after: names of the steps whose outputs it gets.
        arguments: what it gets as `step.arguments`.
    """

    specialist: str
    name: str = ""
    after: list[str] = Field(default_factory=list[str])
    arguments: dict[str, Any] = Field(default_factory=dict[str, Any])


class Draft(BaseModel):
    """What a planner says: the steps, and why."""

    steps: list[PlannedStep] = Field(default_factory=list[PlannedStep])
    why: str = ""

    @property
    def chosen(self) -> list[str]:
        """The parts that it names."""
        return [step.specialist for step in self.steps]


class Planned(BaseModel):
    """The output of a planner's step: the plan that is carried out.

    Attributes:
        steps: the plan, every name filled in.
        why: what the planner said.
        repaired: what was wrong with its first plan; empty: nothing.
    """

    steps: list[PlannedStep]
    why: str
    repaired: list[str] = Field(default_factory=list[str])


class PlanExecuteSolve(Pattern):
    """A planner writes the whole plan at once; its steps run; `solve` gets every output.

    The deciding step is named `planner`; its commit adds the steps of the plan, and the solving step behind them all.
    """

    kind = "planner"
    counts = True

    def __init__(
        self,
        specialists: Mapping[str, str | Plan | Pattern] | Iterable[str],
        *,
        planner: Decider[Draft],
        solve: str,
        most_steps: int = 50,
    ) -> None:
        """Define it.

        Args:
            specialists: what a plan may consist of: names of specialists, or name -> specialist, plan or pattern.
            planner: writes the plan: your function, plain or async, or a model behind it. Asked a second time with
                `situation.problems` if its plan is not valid; what is wrong then fails the step.
            solve: the specialist that gets the outputs of all steps and makes the result.
            most_steps: the longest plan that is taken, without the solving step.

        Raises:
            InvalidRequest: a specialist is unknown, or `most_steps` is out of range.
        """
        if not solve:
            raise InvalidRequest("a planner needs solve=...: the specialist that makes the result of all outputs")
        super().__init__(specialists, [solve])
        if not 1 <= most_steps <= 1_000:  # noqa: PLR2004 - a plan has at most 2,000 steps
            raise InvalidRequest(f"most_steps={most_steps!r}: use 1 to 1000")
        self.planner, self.solve, self.most_steps = planner, solve, most_steps

    async def decide(self, here: Here, situation: Situation) -> Decided:
        """Ask for a plan; if it is not valid, ask once more with what is wrong."""
        situation = replace(situation, most=self.most_steps)
        draft = await self._draft(situation)
        repaired = self.problems(draft, situation)
        if repaired:
            draft = await self._draft(replace(situation, problems=tuple(repaired)))
            if self.problems(draft, situation):
                told = "; ".join(self.problems(draft, situation, exact=True))
                raise InvalidRequest(f"the planner made no valid plan, asked twice; what is wrong with it: {told}")
        names = [step.name for step in draft.steps]
        placed = [
            self.place(here, s.specialist, name=s.name, after=tuple(s.after), arguments=s.arguments)
            for s in draft.steps
        ]
        grown = unfold(here, [*placed, Placed(self.solve, self.solve, after=tuple(names), key=LAST)])
        return Decided(Planned(steps=draft.steps, why=draft.why, repaired=repaired), grown)

    async def _draft(self, situation: Situation) -> Draft:
        draft = await decision(self.planner, situation, Draft)
        if len(draft.steps) > self.most_steps:
            return draft  # which is wrong with it, however many there are
        steps = [step.model_copy(update={"name": step.name or step.specialist}) for step in draft.steps]
        return draft.model_copy(update={"steps": steps})

    def problems(self, draft: Draft, situation: Situation, *, exact: bool = False) -> list[str]:
        """What is wrong with a plan: unknown specialists, missing inputs, too many steps, cycles, names, the budget.

        `exact`: also how much the budget has left. That may be another number when the step runs again, and a model
        that is told of it would be asked, and paid, anew.
        """
        size = len(draft.steps)
        if size > self.most_steps:
            return [f"the plan has {size} steps, more than the {self.most_steps} it may have"]
        return _few(self._problems(draft, situation, exact=exact))

    def _problems(self, draft: Draft, situation: Situation, *, exact: bool) -> list[str]:
        """All of them."""
        found = [
            f"{step.name!r}: there is no specialist {step.specialist!r}; choose from {', '.join(self.parts)}"
            for step in draft.steps
            if step.specialist not in self.parts
        ]
        found += self._missing_inputs(draft)
        try:
            plan = Plan([Step("any", step.name, step.after, step.arguments) for step in draft.steps])
        except InvalidRequest as error:  # a cycle, a name twice, a step that is not there, none
            return [*found, str(error)]
        return found + self._over_budget(draft, plan, situation, exact=exact)

    def _over_budget(self, draft: Draft, plan: Plan, situation: Situation, *, exact: bool) -> list[str]:
        """The ceilings under which it cannot come to its end, by what its specialists take at least."""
        part, choices = {step.name: step.specialist for step in draft.steps}, self.choices()
        planned = least_of(plan, lambda step: choices[part[step.name]].least if part[step.name] in choices else {})
        taken = Counter(planned) + Counter(said(self.solve))
        found: list[str] = []
        for kind, left in situation.left.items():
            amount = _matching(kind, taken)
            if left is None or amount <= left:
                continue
            takes = f"over budget: the plan and its solving step take at least {figure(kind, amount)} {named(kind)}"
            few = f"the budget has {figure(kind, left)} left, {figure(kind, amount - left)} too few"
            found.append(f"{takes}, {few if exact else 'more than the budget has left'}")
        return found

    def _missing_inputs(self, draft: Draft) -> list[str]:
        """Steps that do not come after what they cannot do without."""
        choices = self.choices()
        found = [
            f"{step.name!r} cannot do without the output of {need!r}: let it come after a step of that name"
            for step in draft.steps
            if step.specialist in choices
            for need in choices[step.specialist].needs
            if need not in step.after
        ]
        names = {step.name for step in draft.steps}
        return found + [
            f"the solving step {self.solve!r} cannot do without the output of {need!r}: plan such a step"
            for need in catalogue.profile(self.solve).needs
            if need not in names
        ]


def _few(problems: list[str]) -> list[str]:
    """The first of them, each cut: a planner is told of them, and a model pays for what it is told."""
    few = [told if len(told) <= LONGEST else f"{told[:LONGEST]}…" for told in problems[:MOST]]
    return few if len(problems) <= MOST else [*few, f"and {len(problems) - MOST} more"]


def _matching(kind: str, taken: Mapping[str, int]) -> int:
    """How much of a kind is taken; of a glob of tools, the calls of all that fit it."""
    if not kind.startswith(TOOLS):
        return taken.get(kind, 0)
    return sum(calls for named, calls in taken.items() if named.startswith(TOOLS) and fnmatchcase(named, kind))
