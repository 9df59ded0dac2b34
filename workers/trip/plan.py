"""The plan of a trip: look side by side, choose, book side by side, sum up."""

from orchestrator import Budget, Plan, Step, Workflow
from workers.trip.booking import BOOKERS
from workers.trip.request import TripRequest
from workers.trip.understanding import understand

LOOKERS = ("flights", "weather", "hotels", "restaurants")
BUDGET = Budget(steps=20, tool_calls=60, tokens=50_000, seconds=600, usd=2.0)


def whole() -> Plan:
    """Nine steps; the same for every trip."""
    return Plan(
        [
            *(Step(name) for name in LOOKERS),
            Step("itinerary", after=LOOKERS),
            *(Step(name, after=["itinerary"]) for name in BOOKERS),
            Step("summary", after=["itinerary", "weather", *BOOKERS]),
        ]
    )


def plan(request: TripRequest) -> Plan:
    """The whole trip, or only the looks that are wanted."""
    return Plan(Step(name) for name in request.wanted) if request.wanted else whole()


workflow = Workflow("trip", request=TripRequest, plan=plan, understand=understand, budget=BUDGET)
