"""A plan: the steps of a job and what each depends on. Immutable, checked when made."""

import json
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from graphlib import CycleError, TopologicalSorter
from typing import Any, Self

from pydantic_core import to_json

from orchestrator.errors import InvalidRequest

NAME = re.compile(r"[a-z0-9_-]{1,64}")
MOST_STEPS = 2_000


@dataclass(frozen=True)
class Step:
    """One specialist's work in a plan.

    Attributes:
        specialist: who performs it.
        name: unique in the plan, the specialist's name unless given; `[a-z0-9_-]{1,64}`.
        after: names of the steps whose outputs it needs.
        arguments: fixed arguments for the specialist, JSON; seen as `step.arguments`.
        optional: its failure does not fail the job; None means what the specialist's profile says.
    """

    specialist: str
    name: str = ""
    after: Sequence[str] = ()
    arguments: Mapping[str, Any] = field(default_factory=dict[str, Any])
    optional: bool | None = None

    def __post_init__(self) -> None:
        """Fill in the name and refuse what no message could carry."""
        object.__setattr__(self, "name", self.name or self.specialist)
        if isinstance(self.after, str):  # a string is a sequence of names too, to the type checker
            raise InvalidRequest(
                f"step {self.name!r}: after must be a list of step names, not the string {self.after!r}"
            )
        object.__setattr__(self, "after", tuple(dict.fromkeys(self.after)))
        for name in (self.specialist, self.name):
            if not NAME.fullmatch(str(name)):
                raise InvalidRequest(f"step name {name!r}: use 1 to 64 of a-z, 0-9, _ and -")
        try:
            json.dumps(dict(self.arguments), allow_nan=False)
            to_json(dict(self.arguments))  # which is what writes them, and takes 254 levels
        except (TypeError, ValueError, RecursionError) as error:
            raise InvalidRequest(f"step {self.name!r}: its arguments are not JSON: {error}") from None


class Plan:
    """Steps in the order they were declared, without cycles, at most 2,000."""

    def __init__(self, steps: Iterable[Step], known: Iterable[str] = ()) -> None:
        """Check the steps; `known` names steps outside this plan that `after` may refer to (when a plan grows).

        Raises:
            InvalidRequest: no steps, too many, a name used twice, an unknown dependency or a cycle.
        """
        self.steps = tuple(steps)
        if not self.steps:
            raise InvalidRequest("a plan needs at least one step")
        if len(self.steps) > MOST_STEPS:
            raise InvalidRequest(f"a plan has at most {MOST_STEPS} steps, this one has {len(self.steps)}")
        self.by_name: dict[str, Step] = {}
        outside = set(known)
        for step in self.steps:
            if step.name in self.by_name or step.name in outside:
                raise InvalidRequest(f"two steps are named {step.name!r}: give one of them name=...")
            self.by_name[step.name] = step
        for step in self.steps:
            unknown = [name for name in step.after if name not in self.by_name and name not in outside]
            if unknown:
                raise InvalidRequest(f"step {step.name!r} comes after {unknown[0]!r}, which is not in the plan")
        self._outside = outside
        _ = self.waves

    @classmethod
    def chain(cls, *specialists: str) -> Self:
        """One after the other."""
        return cls(Step(name, after=specialists[i - 1 : i]) for i, name in enumerate(specialists))

    @classmethod
    def chord(cls, specialists: Sequence[str], join: str) -> Self:
        """All side by side, then the join with every output."""
        return cls([*(Step(name) for name in specialists), Step(join, after=specialists)])

    @cached_property
    def waves(self) -> tuple[tuple[str, ...], ...]:
        """The steps by depth: each wave depends on earlier ones only; within a wave in the order declared."""
        sorter = TopologicalSorter({s.name: [n for n in s.after if n in self.by_name] for s in self.steps})
        try:
            sorter.prepare()
        except CycleError as error:
            _, cycle = error.args
            raise InvalidRequest(f"the plan has a cycle: {' -> '.join(reversed(cycle))}") from None
        rank = {step.name: i for i, step in enumerate(self.steps)}
        waves: list[tuple[str, ...]] = []
        while sorter.is_active():
            wave = sorted(sorter.get_ready(), key=rank.__getitem__)
            sorter.done(*wave)
            waves.append(tuple(wave))
        return tuple(waves)

    @cached_property
    def numbers(self) -> dict[str, int]:
        """Each step's place, as in "step 7 of 12": its position in topological order, ties by declaration."""
        return {name: i for i, name in enumerate((name for wave in self.waves for name in wave), start=1)}

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Plan) and self.steps == other.steps

    def __hash__(self) -> int:
        return hash(tuple(self.by_name))

    def __repr__(self) -> str:
        shown = [" | ".join(wave) for wave in self.waves]
        return f"Plan({' -> '.join(f'({wave})' if ' ' in wave else wave for wave in shown)})"
