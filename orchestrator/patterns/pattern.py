"""What all patterns are: parts, one deciding step, and steps that the plan grows by when that step commits."""

from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, ClassVar

from pydantic import BaseModel

from orchestrator.errors import InvalidRequest
from orchestrator.patterns.situation import Choice, Situation
from orchestrator.plan import NAME, Plan, Step
from orchestrator.workflow import Bound, Profile, catalogue

QUEUE = "deciding"
"""All deciding steps travel in one queue: a worker listens to one more, whatever patterns there are."""

LAST = "/last"
"""The key of what comes after all placed parts; no part can have this name."""


@dataclass(frozen=True)
class Placed:
    """A part in its place.

    Attributes:
        name: of its step, or of its deciding step; a plan's own steps keep theirs.
        part: a specialist's name, a plan or a pattern.
        path: of a pattern, its name in the catalogue.
        after: the other placed parts that it comes after.
        ended: the steps that have ended before and whose outputs it gets.
        arguments: for its steps.
        state: what a deciding step has to remember.
        key: what others come after it by; the name unless given.
    """

    name: str
    part: "str | Plan | Pattern"
    path: str = ""
    after: tuple[str, ...] = ()
    ended: tuple[str, ...] = ()
    arguments: Mapping[str, Any] = field(default_factory=dict[str, Any])
    state: Mapping[str, Any] = field(default_factory=dict[str, Any])
    key: str = ""

    def __post_init__(self) -> None:
        """Fill in the key."""
        object.__setattr__(self, "key", self.key or self.name)


@dataclass(frozen=True)
class Grown:
    """A step that the plan grows by, the steps that wait for it, and the key of the placed part that it comes from."""

    step: Step
    before: tuple[str, ...]
    of: str


@dataclass(frozen=True)
class Here:
    """Where a deciding step stands: its own name, its pattern's, what waits for the pattern, and what names are taken.

    Attributes:
        step: the deciding step's name.
        path: the pattern's name in the catalogue.
        then: the steps that wait for all that this pattern adds.
        taken: the names of the plan's steps.
        state: what the pattern remembers from its deciding step before.
    """

    step: str
    path: str
    then: tuple[str, ...] = ()
    taken: frozenset[str] = frozenset()
    state: Mapping[str, Any] = field(default_factory=dict[str, Any])


@dataclass(frozen=True)
class Decided:
    """What a deciding step comes to: its output, and what the plan grows by."""

    output: BaseModel
    grown: Sequence[Grown] = ()


class Pattern(ABC):
    """A way to write a plan, used as `Workflow(plan=...)` or as a part of another pattern. Data and functions only.

    Attributes:
        kind: the specialist whose step decides.
        parts: what it may choose, by name: a specialist's name, a plan, or another pattern.
    """

    kind: ClassVar[str]
    counts = False
    """Whether it wants to know what the job's budget has left."""

    def __init__(self, parts: "Mapping[str, str | Plan | Pattern] | Iterable[str]", joins: Iterable[str] = ()) -> None:
        """Take the parts; every specialist in them must be known.

        Raises:
            InvalidRequest: there is no part, or one is no specialist, plan or pattern.
        """
        named: Mapping[str, str | Plan | Pattern]
        named = dict(parts) if isinstance(parts, Mapping) else {name: name for name in parts}
        if not named:
            raise InvalidRequest(f"a {self.kind} needs at least one part to choose from")
        for name, part in named.items():
            if not NAME.fullmatch(name):
                raise InvalidRequest(f"part name {name!r}: use 1 to 64 of a-z, 0-9, _ and -")
            self._known(name, part)
        for name in joins:
            self._known(name, name)
        self.parts = named

    def _known(self, name: str, part: "str | Plan | Pattern") -> None:
        if isinstance(part, Pattern):
            return
        if not isinstance(part, str | Plan):  # pyright: ignore[reportUnnecessaryIsInstance] - users' code
            raise InvalidRequest(
                f"{self.kind}: part {name!r} is a {type(part).__name__}; use a specialist's name, a Plan or a pattern"
            )
        for specialist in [part] if isinstance(part, str) else [step.specialist for step in part.steps]:
            try:
                catalogue.profile(specialist)
            except InvalidRequest as error:
                raise InvalidRequest(f"{self.kind}: {error}; define or import it before the pattern") from None

    def bind(self, path: str, request: type[BaseModel]) -> Callable[[Any], Plan]:
        """Enter this pattern and those within it into the catalogue; answers what makes a request's first plan."""
        catalogue.profiles[self.kind] = Profile(self.kind, queue=QUEUE)
        catalogue.patterns[path] = Bound(self, request)
        for name, part in self.parts.items():
            if isinstance(part, Pattern):
                part.bind(f"{path}/{name}", request)
        first = Plan([grown.step for grown in unfold(Here("", path), [Placed(self.kind, self, path)])])
        return lambda _: first

    @abstractmethod
    async def decide(self, here: Here, situation: Situation) -> Decided:
        """What this deciding step comes to.

        Raises:
            InvalidRequest: the decider says what cannot be; the message says what to do.
        """

    def choices(self) -> dict[str, Choice]:
        """The parts as a decider sees them."""
        return {name: _choice(part) for name, part in self.parts.items()}

    def place(self, here: Here, part: str, **more: Any) -> Placed:
        """One of the parts, by its name, in its place.

        Raises:
            InvalidRequest: there is none; a decider chose it.
        """
        if part not in self.parts:
            known = ", ".join(self.parts)
            raise InvalidRequest(f"{part!r} is not one of the parts of this {self.kind}: {known}")
        return Placed(more.pop("name", part), self.parts[part], f"{here.path}/{part}", **more)


def _choice(part: "str | Plan | Pattern") -> Choice:
    if isinstance(part, Pattern):
        return Choice(about=f"a {part.kind} over {', '.join(part.parts)}", least={"steps": 1})
    if isinstance(part, Plan):
        return Choice(about=f"a plan: {part!r}", least=least_of(part, lambda step: said(step.specialist)))
    known = catalogue.profile(part)
    told: dict[str, Any] = {"about": known.about, "needs": known.needs, "tools": known.tools}
    return Choice(**told, optional=known.optional, least=said(part))


def said(specialist: str) -> dict[str, int]:
    """What a step of this specialist takes at least: itself, and what its profile says."""
    least = catalogue.profile(specialist).least.amounts()
    return {**least, "steps": 1 + least.get("steps", 0)}


def least_of(plan: Plan, least: Callable[[Step], Mapping[str, int]]) -> dict[str, int]:
    """What the steps of a plan take at least, each as `least` says of it; of `seconds`, the longest way."""
    taken, ends = Counter[str](), dict[str, int]()
    for name in (name for wave in plan.waves for name in wave):
        step = plan.by_name[name]
        takes = dict(least(step))
        ends[name] = takes.pop("seconds", 0) + max((ends[before] for before in step.after), default=0)
        taken.update(takes)
    return {**taken, **({"seconds": most} if (most := max(ends.values())) else {})}


def unfold(here: Here, placed: Sequence[Placed]) -> list[Grown]:
    """Placed parts as steps, each after the last steps of the parts it comes after.

    A part that comes after nothing follows the deciding step. What waits for the pattern waits for those steps that
    nothing comes after. A name that is taken gets a number: `flights`, then `flights-2`.
    """
    taken = set(here.taken)
    flat: dict[str, list[Step]] = {}
    for one in placed:
        flat[one.key] = _steps(one, taken)
        taken |= {step.name for step in flat[one.key]}
    for one in placed:
        after = [*one.ended, *(name for other in one.after for name in _lasts(flat[other]))]
        inside = {step.name for step in flat[one.key]}
        flat[one.key] = [
            step if inside & set(step.after) else replace(step, after=(*step.after, *after)) for step in flat[one.key]
        ]
    steps = [(one, step) for one in placed for step in flat[one.key]]
    following = dict[str, list[str]]()
    for _, step in steps:
        for name in step.after:
            following.setdefault(name, []).append(step.name)
    return [
        Grown(
            _told(step, following.get(step.name) or here.then) if isinstance(one.part, Pattern) else step,
            () if step.name in following else here.then,
            one.key,
        )
        for one, step in steps
    ]


def _told(step: Step, then: Sequence[str]) -> Step:
    """A deciding step knows what waits for all that it will add."""
    return replace(step, arguments={**step.arguments, "then": list(then)})


def _steps(one: Placed, taken: Collection[str]) -> list[Step]:
    """A part's steps, under names that are free."""
    if isinstance(one.part, str):
        return [Step(one.part, free(one.name, taken), arguments=one.arguments)]
    if isinstance(one.part, Plan):
        names = _renamed(one.part, taken)
        return [
            Step(s.specialist, names[s.name], [names[n] for n in s.after], {**one.arguments, **s.arguments}, s.optional)
            for s in one.part.steps
        ]
    told = {"pattern": one.path, "state": dict(one.state), "arguments": dict(one.arguments)}
    return [Step(one.part.kind, free(one.name, taken), arguments=told)]


def _lasts(steps: Sequence[Step]) -> list[str]:
    followed = {name for step in steps for name in step.after}
    return [step.name for step in steps if step.name not in followed]


def _renamed(plan: Plan, taken: Collection[str]) -> dict[str, str]:
    names, used = dict[str, str](), set(taken)
    for step in plan.steps:
        names[step.name] = free(step.name, used)
        used.add(names[step.name])
    return names


def free(name: str, taken: Collection[str]) -> str:
    """The name, with a number if it is taken."""
    number, found = 1, name
    while found in taken:
        number += 1
        found = f"{name[:58]}-{number}"
    return found
