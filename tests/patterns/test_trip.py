"""The trip in all four patterns: the same specialists and tools, the same itinerary; and parts of a trip."""

from pathlib import Path
from typing import Any

import pytest

from orchestrator import InvalidRequest, Plan, Step
from orchestrator.intake import take
from orchestrator.patterns import Called, Situation
from orchestrator.workflow import catalogue
from tests.trip.stage import opened
from workers.trip import patterns
from workers.trip.booking import BOOKERS
from workers.trip.plan import LOOKERS, plan, whole
from workers.trip.request import TripRequest
from workers.trip.understanding import understand

TRIP = "Flights and hotels around Denver from New York, 12 to 15 March, two people, under 2,500 USD"
PARTS = "Only flights and the weather: Denver from New York, 12 to 15 March, two people"


def request(text: str) -> TripRequest:
    return TripRequest.model_validate(understand(text))


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        (TRIP, []),
        (PARTS, ["flights", "weather"]),
        ("just the hotel in Boston", ["hotels"]),
        ("I only need restaurants, a hotel and the forecast", ["restaurants"]),
        ("only flights, hotels & restaurants", ["flights", "hotels", "restaurants"]),
        ("only two people, flights from Rome", []),
    ],
)
def test_what_alone_is_wanted_is_understood(text: str, wanted: list[str]) -> None:
    assert understand(text).get("wanted", []) == wanted


def test_parts_of_a_trip_are_looked_up_and_nothing_is_booked() -> None:
    assert plan(request(PARTS)) == Plan([Step("flights"), Step("weather")])
    assert plan(request(TRIP)) == whole()
    for workflow in ("trip-plan", "trip-supervisor"):
        with pytest.raises(InvalidRequest, match="plans whole trips; use trip or trip-router for parts"):
            take(catalogue.workflow(workflow), PARTS, 10_000)


async def test_the_supervised_trip_comes_to_the_planned_one(
    tmp_path: Path, flight_data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Round by round, in memory; the jobs themselves are compared by `surefoot bench patterns`."""
    async with opened(tmp_path, monkeypatch) as stage:
        planned, done = await stage.play(request(TRIP)), dict[str, Any]()
        situation = Situation(request(TRIP), {})
        rounds: list[list[str]] = []
        while calls := patterns.next_of_trip(situation).calls:
            rounds.append([call.to for call in calls])
            for call in calls:
                done[call.to] = await stage.step(call.to, situation.request, done)
            situation = Situation(
                situation.request, {}, done, calls=(*situation.calls, *(Called(to=call.to) for call in calls))
            )
        assert rounds == [list(LOOKERS), ["itinerary"], list(BOOKERS)]
        assert await stage.step("summary", situation.request, done) == planned["summary"]
