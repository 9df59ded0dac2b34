"""Router: one decision says which parts a request needs; they run side by side."""

from collections.abc import Iterable, Mapping
from typing import Self

from pydantic import BaseModel, Field

from orchestrator.errors import InvalidRequest
from orchestrator.patterns.pattern import LAST, Decided, Here, Pattern, Placed, unfold
from orchestrator.patterns.situation import Decider, Situation, decision
from orchestrator.plan import Plan


class Label(BaseModel):
    """A route, and how sure the decider is that the request needs it, 0 to 1."""

    route: str
    confidence: float = Field(1.0, ge=0, le=1, allow_inf_nan=False)


class Routing(BaseModel):
    """What a router's decider says: the routes that it considered, and why."""

    labels: list[Label] = Field(default_factory=list[Label])
    why: str = ""

    @property
    def chosen(self) -> list[str]:
        """The routes that it names."""
        return [label.route for label in self.labels]

    @classmethod
    def to(cls, *routes: str, confidence: float = 1.0, why: str = "") -> Self:
        """All these routes, equally sure."""
        return cls(labels=[Label(route=route, confidence=confidence) for route in routes], why=why)


class Routed(BaseModel):
    """The output of a router's step: what was decided.

    Attributes:
        routes: those that were taken.
        confidence: route -> how sure the decider was, those not taken included.
        why: what the decider said.
        fallback: whether no route was sure enough.
    """

    routes: list[str]
    confidence: dict[str, float]
    why: str
    fallback: bool


class Router(Pattern):
    """Sends a request to the parts that it needs: one, or several side by side, or the fallback.

    The deciding step is named `router`; its commit adds the steps of the routes, and the join behind them.
    """

    kind = "router"

    def __init__(
        self,
        routes: Mapping[str, str | Plan | Pattern] | Iterable[str],
        *,
        decide: Decider[Routing],
        fallback: str = "",
        threshold: float = 0.5,
        most: int | None = None,
        join: str = "",
    ) -> None:
        """Define a router.

        Args:
            routes: name -> a specialist's name, a plan, or another pattern; or names of specialists alone.
            decide: which routes a request needs: rules, an embedding, a model, or your function, plain or async.
            fallback: the route that is taken where none is sure enough.
            threshold: the least confidence with which a route is taken, 0 to 1.
            most: how many routes are taken at most, the surest first; None: all that are sure enough.
            join: a specialist that gets the outputs of all routes; without it they are the result, by step.

        Raises:
            InvalidRequest: a specialist is unknown, the fallback is no route, or a number is out of range.
        """
        super().__init__(routes, [join] if join else ())
        if fallback not in self.parts:
            said = f"fallback={fallback!r} is none" if fallback else "fallback=... is missing"
            raise InvalidRequest(
                f"a router needs a route for what it is not sure of: {said} of {', '.join(self.parts)}"
            )
        if not 0 <= threshold <= 1:
            raise InvalidRequest(f"threshold={threshold!r}: a confidence is 0 to 1")
        if most is not None and most < 1:
            raise InvalidRequest(f"most={most!r}: at least one route is taken")
        self.decider, self.fallback, self.threshold, self.most, self.join = decide, fallback, threshold, most, join

    async def decide(self, here: Here, situation: Situation) -> Decided:
        """Ask once; take what is sure enough, else the fallback."""
        said = await decision(self.decider, situation, Routing)
        confidence: dict[str, float] = {}
        for label in said.labels:
            confidence[label.route] = max(label.confidence, confidence.get(label.route, 0))
        sure = sorted(
            (route for route in confidence if confidence[route] >= self.threshold), key=lambda r: -confidence[r]
        )
        routes = sure[: self.most] or [self.fallback]
        placed = [self.place(here, route, arguments=situation.arguments) for route in routes]
        for route in confidence:
            self.place(here, route)  # one that does not exist is a mistake, however unsure the decider was
        if self.join:
            placed.append(Placed(self.join, self.join, after=tuple(routes), key=LAST))
        output = Routed(routes=routes, confidence=confidence, why=said.why, fallback=not sure)
        return Decided(output, unfold(here, placed))
