"""The same work on Surefoot: a router that is a step, three specialists side by side, a join."""

from typing import Any

from pydantic import BaseModel

from benchmarks import trip
from orchestrator import Budget, Plan, Step, Workflow
from workers import StepContext, specialist


class TripRequest(BaseModel):
    """What one job is asked."""

    job: str
    destination: str
    nights: int
    budget_usd: int


class Part(BaseModel):
    """What one specialist found and booked."""

    what: str
    found: dict[str, Any]
    booked: dict[str, Any]


class Itinerary(BaseModel):
    """The result."""

    total_usd: int
    itinerary: list[Part]


@specialist("route")
async def route(step: StepContext, request: TripRequest) -> list[str]:
    """The first step."""
    del step
    return trip.route(request.nights)


async def _part(step: StepContext, request: TripRequest) -> Part:
    found = await step.call("bench.search", what=step.name, destination=request.destination)
    offer = found["offers"][0]["id"]
    booked = await step.call("bench.book", job=request.job, what=step.name, offer=offer)
    return Part(what=step.name, found=found, booked=booked)


for _name in trip.SPECIALISTS:
    specialist(_name, tools=["bench.*"])(_part)


@specialist("solve")
async def solve(step: StepContext, request: TripRequest) -> Itinerary:
    """The join."""
    del request
    return Itinerary.model_validate(trip.solve([step.inputs[name] for name in trip.SPECIALISTS]))


def plan(request: TripRequest) -> Plan:
    """route -> (flights | hotels | weather) -> solve."""
    del request
    parts = [Step(name, after=["route"]) for name in trip.SPECIALISTS]
    return Plan([Step("route"), *parts, Step("solve", after=trip.SPECIALISTS)])


bench = Workflow("bench", request=TripRequest, plan=plan, budget=Budget(steps=20, tool_calls=20, seconds=3_600))
