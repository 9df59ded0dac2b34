"""A trip planned and booked by the real specialists with the real tools: within the money, each booking once."""

from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import pytest

from tests.trip.stage import Asked, Stage, opened
from tools.outcome import Rejected
from workers.trip import workflow
from workers.trip.outputs import Itinerary, TripResult
from workers.trip.request import TripRequest, today
from workers.trip.understanding import understand

SENTENCE = "Four days of hiking around Denver from New York, 12 to 15 March, two people, under 2,500 USD"
OnStage = Callable[[], AbstractAsyncContextManager[Stage]]
BOOKING_STEPS = ("book_flights", "book_hotel", "book_tables")


@pytest.fixture
def on_stage(tmp_path: Path, flight_data: Path, monkeypatch: pytest.MonkeyPatch) -> OnStage:
    """Opens a stage; it is entered and left by the test itself, as its clients want."""
    return lambda: opened(tmp_path, monkeypatch)


def trip(**changes: Any) -> TripRequest:
    return TripRequest.model_validate({**understand(SENTENCE), **changes})


def money_of(itinerary: Itinerary) -> float:
    parts = (itinerary.outbound.total_usd, itinerary.back.total_usd, itinerary.hotel.total_usd)
    return round(sum(parts) + sum(dinner.estimate_usd for dinner in itinerary.dinners), 2)


async def test_the_demo_s_trip_fits_its_money_and_is_booked(on_stage: OnStage) -> None:
    async with on_stage() as stage:
        result = TripResult.model_validate((await stage.play(trip()))["summary"])
        chosen = result.itinerary
        assert chosen
        assert result.total_usd == money_of(chosen) <= 2_500
        assert chosen.outbound.source == "schedule 2013"
        assert chosen.outbound.origin in {"JFK", "LGA", "EWR"}
        assert (chosen.outbound.destination, chosen.back.origin) == ("DEN", "DEN")
        assert chosen.back.source == "synthetic"
        assert (chosen.hotel.nights, len(chosen.dinners)) == (3, 3)
        assert len({dinner.restaurant.restaurant_id for dinner in chosen.dinners}) == 3
        assert len(result.bookings) == stage.ledger.count() == 2 + 1 + 3
        assert len({booking.key for booking in result.bookings}) == 6
        assert sum(booking.total_usd for booking in result.bookings) == pytest.approx(result.total_usd)


async def test_its_markdown_says_what_each_fact_is(on_stage: OnStage) -> None:
    async with on_stage() as stage:
        result = TripResult.model_validate((await stage.play(trip()))["summary"])
        text, day = result.markdown, trip().start_date
        assert text.startswith(f"# New York to Denver, {day} to {day + timedelta(days=3)}, 2 people\n")
        for said in (
            "schedule 2013",
            "synthetic",
            "estimate",
            "Denver International Airport",
            "For: hiking",
            "2,500.00",
        ):
            assert said in text
        assert all(f"`{booking.key}`" in text for booking in result.bookings)
        assert all(str(day + timedelta(days=n)) in text for n in range(4))
        tables = [line for line in text.splitlines() if line.startswith("|")]
        assert all(line.endswith("|") for line in tables)
        assert [line for line in text.splitlines() if line.startswith("## ")] == [
            "## Flights", "## Hotel", "## Weather", "## Dinners", "## Money", "## Bookings",
        ]  # fmt: skip


@pytest.mark.parametrize("money", [1_300, 1_500, 2_000, 4_000, 20_000])
async def test_no_money_is_overspent_and_more_of_it_buys_no_worse_hotel(money: float, on_stage: OnStage) -> None:
    async with on_stage() as stage:
        done = await stage.play(trip(money_usd=money))
        chosen = Itinerary.model_validate(done["itinerary"])
        assert money_of(chosen) == chosen.total_usd <= money
        stage.job_id = "another"
        less = Itinerary.model_validate((await stage.play(trip(money_usd=1_300)))["itinerary"])
        assert chosen.hotel.stars >= less.hotel.stars
        assert len(chosen.dinners) >= len(less.dinners)


async def test_where_nothing_fits_more_money_is_asked_for_and_nothing_booked(on_stage: OnStage) -> None:
    async with on_stage() as stage:
        with pytest.raises(Asked, match="the cheapest flights and hotel cost") as asked:
            await stage.play(trip(money_usd=300))
        assert asked.value.field == "money_usd"
        assert stage.ledger.count() == 0
        for answer in (310, "plenty", 2e9, float("nan")):
            stage.answers = {"money_usd": answer}
            with pytest.raises(Rejected, match="itinerary"):
                await stage.play(trip(money_usd=300))
        stage.answers = {"money_usd": 3_000}
        result = TripResult.model_validate((await stage.play(trip(money_usd=300)))["summary"])
        assert result.money_usd == 3_000 >= result.total_usd
        assert "3,000.00" in result.markdown


async def test_without_weather_or_restaurants_the_trip_goes_on_and_says_so(on_stage: OnStage) -> None:
    async with on_stage() as stage:
        stage.spoil = refuse("weather.outlook", "restaurants.search")
        done = await stage.play(trip())
        assert "weather" not in done
        assert "restaurants" not in done
        assert "No outlook" in done["summary"]["markdown"]
        assert "None: no restaurant was found" in done["summary"]["markdown"]
        assert stage.ledger.count() == 3


async def test_what_a_budget_left_out_is_named_and_the_rest_is_there(on_stage: OnStage) -> None:
    async with on_stage() as stage:
        done = await stage.play(trip())
        stage.finishing = "budget: tool calls 5 of 5"
        some = {name: done[name] for name in ("itinerary", "weather", "book_hotel")}
        partial = TripResult.model_validate(await stage.step("summary", trip(), some))
        assert partial.missing == ["book_flights", "book_tables"]
        assert "## Missing\n\nbook flights, book tables (budget: tool calls 5 of 5)\n" in partial.markdown
        assert len(partial.bookings) == 1
        assert "## Hotel" in partial.markdown
        least = TripResult.model_validate(await stage.step("summary", trip(), {"weather": done["weather"]}))
        assert (least.itinerary, least.bookings, least.total_usd) == (None, [], 0)
        assert least.missing == ["itinerary", "book_flights", "book_hotel", "book_tables"]
        assert "## Weather" in least.markdown
        assert "## Missing" not in done["summary"]["markdown"]


async def test_without_flights_or_a_hotel_there_is_no_trip(on_stage: OnStage) -> None:
    for tool in ("flights.search", "hotels.search", "flights.book", "hotels.book"):
        async with on_stage() as stage:
            stage.spoil = refuse(tool)
            with pytest.raises(Rejected, match=tool):
                await stage.play(trip())


async def test_a_table_that_is_refused_does_not_lose_the_others(on_stage: OnStage) -> None:
    async with on_stage() as stage:
        second = str(trip().start_date + timedelta(days=1))

        def spoil(tool: str, arguments: dict[str, Any]) -> None:
            if tool == "restaurants.reserve" and arguments["date"] == second:
                raise Rejected(tool, "full")

        stage.spoil = spoil
        done = await stage.play(trip())
        assert len(done["book_tables"]["bookings"]) == 2
        assert any("no table" in said for said in stage.said)


async def test_booking_again_under_the_same_keys_books_nothing_new(on_stage: OnStage) -> None:
    async with on_stage() as stage:
        first, again = await stage.play(trip()), await stage.play(trip())
        assert first == again
        assert stage.ledger.count() == 6


async def test_nobody_dines_before_they_have_arrived(on_stage: OnStage) -> None:
    async with on_stage() as stage:
        done = await stage.play(trip())
        late = done["flights"]["outbound"][:1]
        late[0]["arrives"] = late[0]["arrives"].partition("T")[0] + "T23:10"
        inputs = {**done, "flights": {**done["flights"], "outbound": late}}
        chosen = Itinerary.model_validate(await stage.step("itinerary", trip(), inputs))
        assert [dinner.date for dinner in chosen.dinners] == [
            str(trip().start_date + timedelta(days=n)) for n in (1, 2)
        ]


async def test_each_booking_can_be_taken_back(on_stage: OnStage) -> None:
    async with on_stage() as stage:
        await stage.play(trip())
        assert len(stage.rollback) == 6
        for tool, arguments in reversed(stage.rollback):
            await stage.call(tool, arguments, "undo")
        assert stage.ledger.count() == 0


async def test_a_fare_that_rose_since_it_was_chosen_is_not_paid(on_stage: OnStage) -> None:
    async with on_stage() as stage:
        done = await stage.play(trip())
        done["itinerary"]["outbound"]["total_usd"] -= 50
        with pytest.raises(Rejected, match="were agreed"):
            await stage.step("book_flights", trip(), {"itinerary": done["itinerary"]})


@pytest.mark.parametrize(
    ("origin", "destination"),
    [("SEA", "NYC"), ("LON", "PAR"), ("Zürich", "Bozeman"), ("JFK", "Paris, TX"), ("SYD", "LON")],
)
async def test_trips_between_other_places_are_planned_too(origin: str, destination: str, on_stage: OnStage) -> None:
    async with on_stage() as stage:
        request = trip(origin=origin, destination=destination, money_usd=None, travellers=9, nights=30)
        result = TripResult.model_validate((await stage.play(request))["summary"])
        assert result.itinerary
        assert result.total_usd == money_of(result.itinerary)
        assert result.itinerary.outbound.arrives < result.itinerary.back.departs
        assert "traveller's money" not in result.markdown


async def test_money_in_euros_is_shown_with_its_rate(on_stage: OnStage) -> None:
    async with on_stage() as stage:
        request = TripRequest.model_validate(understand(SENTENCE.replace("2,500 USD", "€2.500")))
        text = (await stage.play(request))["summary"]["markdown"]
        assert "2,500.00 EUR at the European Central Bank's rate of 20" in text


async def test_hostile_interests_cannot_break_the_markdown(on_stage: OnStage) -> None:
    async with on_stage() as stage:
        request = trip(interests=["<img src=x>", "a|b\n## Owned", "[x](http://y)", "italian"])
        done = await stage.play(request)
        heading = next(line for line in done["summary"]["markdown"].splitlines() if line.startswith("For:"))
        assert heading == "For: \\<img src=x>, a\\|b \\#\\# Owned, \\[x](http://y), italian"
        assert done["itinerary"]["dinners"][0]["restaurant"]["cuisine"] == "italian"


async def test_the_plan_looks_side_by_side_books_side_by_side_and_sums_up() -> None:
    assert workflow.plan(trip()).waves == (
        ("flights", "weather", "hotels", "restaurants"),
        ("itinerary",),
        BOOKING_STEPS,
        ("summary",),
    )
    assert today() <= trip().start_date < date(9999, 1, 1)


def refuse(*tools: str) -> Any:
    def spoil(tool: str, arguments: dict[str, Any]) -> None:
        if tool in tools:
            raise Rejected(tool, "refused by the test")

    return spoil
