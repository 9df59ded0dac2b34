"""The same trip in the other patterns: routed, planned by a planner, and supervised. Same specialists, same tools."""

from typing import Self

from pydantic import model_validator
from pydantic_core import PydanticCustomError

from orchestrator import Workflow
from orchestrator.patterns import (
    Draft,
    Next,
    PlanExecuteSolve,
    PlannedStep,
    Router,
    Situation,
    Supervisor,
    by_rules,
)
from workers.trip import choosing, searching
from workers.trip.booking import BOOKERS
from workers.trip.plan import BUDGET, LOOKERS, whole
from workers.trip.request import TripRequest
from workers.trip.understanding import understand

_ = choosing, searching  # from here on their specialists are known
TEAM = (*LOOKERS, "itinerary", *BOOKERS)


class WholeTrip(TripRequest):
    """A trip of which nothing is left out."""

    @model_validator(mode="after")
    def _is_whole(self) -> Self:
        if self.wanted:
            raise PydanticCustomError(
                "whole_trip", "this workflow plans whole trips; use trip or trip-router for parts"
            )
        return self


def draft(_: Situation) -> Draft:
    """Who needs whose output comes after it."""
    looks = [PlannedStep(specialist=name) for name in LOOKERS]
    books = [PlannedStep(specialist=name, after=["itinerary"]) for name in BOOKERS]
    steps = [*looks, PlannedStep(specialist="itinerary", after=list(LOOKERS)), *books]
    return Draft(steps=steps, why="look at all there is, choose, book")


def next_of_trip(situation: Situation) -> Next:
    """Look, choose, book; each only once what it needs is done."""
    if not situation.called:
        return Next.to(*LOOKERS, why="nothing is known yet")
    if "itinerary" not in situation.called:
        return Next.to("itinerary", why=f"known: {', '.join(sorted(situation.done))}")
    if not situation.called.intersection(BOOKERS):
        return Next.to(*BOOKERS, why="it is chosen what to book")
    return Next.finish(why="all is booked")


Workflow(
    "trip-router",
    request=TripRequest,
    understand=understand,
    budget=BUDGET,
    plan=Router(
        {"whole": whole(), **{name: name for name in LOOKERS}},
        decide=by_rules({name: lambda request, name=name: name in request.wanted for name in LOOKERS}),
        fallback="whole",
    ),
)
Workflow(
    "trip-plan",
    request=WholeTrip,
    understand=understand,
    budget=BUDGET,
    plan=PlanExecuteSolve(TEAM, planner=draft, solve="summary"),
)
Workflow(
    "trip-supervisor",
    request=WholeTrip,
    understand=understand,
    budget=BUDGET,
    plan=Supervisor(TEAM, decide=next_of_trip, join="summary"),
)
