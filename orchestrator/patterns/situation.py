"""What a decider sees, and what every decider may be."""

import inspect
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol, TypeVar

from pydantic import BaseModel, Field, ValidationError

from orchestrator.errors import InvalidRequest

Decision = TypeVar("Decision", bound=BaseModel)
Decider = Callable[["Situation"], Decision | Awaitable[Decision]]
"""A function, plain or async, that decides from a situation."""


class Choice(BaseModel):
    """One of the parts that a decider may choose.

    Attributes:
        about: what it does, in a line: the specialist's docstring.
        needs: steps whose outputs it cannot do without.
        tools: what it may call.
        optional: its failure does not fail the job.
        least: what it takes at least, by the kinds of a budget, money in micro-USD: its steps, and what its specialists
            say (`@specialist(least=...)`).
    """

    about: str = ""
    needs: tuple[str, ...] = ()
    tools: tuple[str, ...] = ()
    optional: bool = False
    least: dict[str, int] = Field(default_factory=dict[str, int])


class Call(BaseModel):
    """A part that shall go on.

    Attributes:
        to: which part.
        arguments: what it gets as `step.arguments`.
    """

    to: str
    arguments: dict[str, Any] = Field(default_factory=dict[str, Any])


class Called(Call):
    """A call as a supervisor remembers it.

    Attributes:
        steps: the steps that it became.
        fingerprint: of part, arguments and all that was known.
    """

    steps: list[str] = Field(default_factory=list[str])
    fingerprint: str = ""


class Asking(Protocol):
    """What of its step a decider may use."""

    async def generate(self, prompt: str, *, output: type[Decision], system: str = "") -> Decision:
        """Ask a language model, as `StepContext.generate` does."""
        ...


@dataclass(frozen=True)
class Situation:
    """What a decider decides from. All of it is in the job's record.

    Attributes:
        request: the job's request, as the workflow's model.
        choices: the parts that may be chosen, by name.
        done: step name -> output of each step that has ended before this decision.
        missing: steps that ended before it without an output: they failed and were optional, or were left out.
        calls: a supervisor's calls so far, oldest first.
        round: a supervisor's round, from 1.
        problems: what was wrong with the plan that this planner made before; it is asked once more.
        finishing: why the job does no new work (a ceiling was reached, `at_ceiling="finish"`); empty: it goes on.
        finishes: whether the job is one that finishes with what there is when a ceiling is reached.
        left: what is left of each ceiling of the job's budget, as `step.budget()` says it, for who must know.
        most: how many parts may be named at most, where there is a bound.
        arguments: what the plan gave the deciding step.
        step: the deciding step, to ask a model: `await situation.step.generate(...)`; None outside of a job.
    """

    request: Any
    choices: Mapping[str, Choice]
    done: Mapping[str, Any] = field(default_factory=dict[str, Any])
    missing: tuple[str, ...] = ()
    calls: tuple[Called, ...] = ()
    round: int = 1
    problems: tuple[str, ...] = ()
    finishing: str = ""
    finishes: bool = False
    left: Mapping[str, int | None] = field(default_factory=dict[str, int | None])
    most: int | None = None
    arguments: Mapping[str, Any] = field(default_factory=dict[str, Any])
    step: Asking | None = None

    @property
    def steps_left(self) -> int | None:
        """How many steps the job's budget has left; None: no ceiling, or nobody has asked."""
        return self.left.get("steps")

    @property
    def called(self) -> set[str]:
        """The parts that were called so far."""
        return {call.to for call in self.calls}


async def decision(decider: Decider[Decision], situation: Situation, kind: type[Decision]) -> Decision:
    """What the decider says, as the type it must be.

    Raises:
        InvalidRequest: it says something else.
    """
    said = decider(situation)
    if inspect.isawaitable(said):
        said = await said
    try:
        return kind.model_validate(said)
    except ValidationError as error:
        told = "; ".join(f"{'.'.join(map(str, e['loc'])) or 'value'}: {e['msg']}" for e in error.errors()[:3])
        raise InvalidRequest(f"the decider must return a {kind.__name__}: {told}") from None
