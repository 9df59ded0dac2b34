"""Wrong input gets a tool error that names the field, and the tools say of themselves what is true."""

from typing import Any

import pytest

from tests.tools_travel.serving import DAY, LATER, Said, Travel, ask, call, connected, in_days
from tools.config import ToolConfig
from tools.effects import Effect
from tools.servers import ToolServers
from tools.travel.ledger import Ledger

pytestmark = pytest.mark.xdist_group("travel")
HUGE = "x" * 100_000
FLIGHT = {"origin": "NYC", "destination": "DEN", "date": DAY}
STAY = {"city": "Denver", "check_in": DAY, "check_out": LATER}
TABLE = {"restaurant_id": "R0_Denver", "date": DAY, "time": "19:00", "party": 2}
PLACE = {"latitude": 39.8, "longitude": -104.6, "start": DAY, "days": 1}
PAST, FAR = in_days(-2).isoformat(), in_days(1000).isoformat()


@pytest.mark.parametrize(
    ("tool", "arguments", "field"),
    [
        ("flights.search", {**FLIGHT, "origin": "QQQ"}, "origin"),
        ("flights.search", {**FLIGHT, "origin": "New York"}, "origin"),
        ("flights.search", {**FLIGHT, "origin": ""}, "origin"),
        ("flights.search", {**FLIGHT, "origin": HUGE}, "origin"),
        ("flights.search", {**FLIGHT, "destination": "JFK"}, "destination"),
        ("flights.search", {**FLIGHT, "date": "2013-03-12"}, "date"),
        ("flights.search", {**FLIGHT, "date": PAST}, "date"),
        ("flights.search", {**FLIGHT, "date": FAR}, "date"),
        ("flights.search", {**FLIGHT, "date": "2027-02-30"}, "date"),
        ("flights.search", {**FLIGHT, "date": "soon"}, "date"),
        ("flights.search", {**FLIGHT, "date": HUGE}, "date"),
        ("flights.search", {**FLIGHT, "date": None}, "date"),
        ("flights.search", {**FLIGHT, "passengers": -1}, "passengers"),
        ("flights.search", {**FLIGHT, "passengers": 0}, "passengers"),
        ("flights.search", {**FLIGHT, "passengers": 10}, "passengers"),
        ("flights.search", {**FLIGHT, "passengers": "two"}, "passengers"),
        ("flights.search", {**FLIGHT, "max_total_usd": -100}, "max_total_usd"),
        ("flights.search", {**FLIGHT, "max_total_usd": 0}, "max_total_usd"),
        ("flights.search", {**FLIGHT, "limit": 1000}, "limit"),
        ("flights.search", {**FLIGHT, "passenger": 2}, "passenger: no such argument"),
        ("flights.search", {**FLIGHT, HUGE: 2}, "no such argument"),
        ("flights.search", {"origin": "NYC", "destination": "DEN"}, "date"),
        ("flights.find_airports", {"query": HUGE}, "query"),
        ("flights.find_airports", {"query": "   "}, "query"),
        ("flights.find_airports", {"query": "a\x00b"}, "query"),
        ("flights.book", {"offer_id": "nonsense", "passengers": 1}, "offer_id"),
        ("flights.book", {"offer_id": f"UA9999_EWR_DEN_{DAY}", "passengers": 1}, "offer_id"),
        ("flights.book", {"offer_id": f"UA1_NYC_DEN_{DAY}", "passengers": 1}, "offer_id"),
        ("flights.book", {"offer_id": f"UA1_QQQ_DEN_{DAY}", "passengers": 1}, "offer_id"),
        ("flights.book", {"offer_id": f"UA1_DEN_DEN_{DAY}", "passengers": 1}, "offer_id"),
        ("flights.book", {"offer_id": f"UA1545_EWR_IAH_{PAST}", "passengers": 1}, "offer_id"),
        ("flights.book", {"offer_id": HUGE, "passengers": 1}, "offer_id"),
        ("flights.cancel", {"booking_id": "F-NOTHING"}, "booking_id"),
        ("flights.cancel", {"booking_id": HUGE}, "booking_id"),
        ("flights.lookup", {"key": HUGE}, "key"),
        ("flights.lookup", {"key": ""}, "key"),
        ("hotels.search", {**STAY, "check_in": LATER, "check_out": DAY}, "check_out"),
        ("hotels.search", {**STAY, "check_out": DAY}, "check_out"),
        ("hotels.search", {**STAY, "check_in": PAST}, "check_in"),
        ("hotels.search", {**STAY, "check_out": in_days(200).isoformat()}, "check_out"),
        ("hotels.search", {**STAY, "city": HUGE}, "city"),
        ("hotels.search", {**STAY, "city": "___"}, "city"),
        ("hotels.search", {**STAY, "guests": -2}, "guests"),
        ("hotels.search", {**STAY, "max_total_usd": -0.01}, "max_total_usd"),
        ("hotels.book", {"offer_id": f"H9_Denver_{DAY}_{LATER}", "guests": 1}, "offer_id"),
        ("hotels.book", {"offer_id": f"H0_Denver_{PAST}_{LATER}", "guests": 1}, "offer_id"),
        ("restaurants.search", {"city": "Denver", "cuisine": "martian"}, "cuisine"),
        ("restaurants.search", {"city": "Denver", "cuisine": HUGE}, "cuisine"),
        ("restaurants.search", {"city": "Denver", "max_price_usd": -5}, "max_price_usd"),
        ("restaurants.reserve", {**TABLE, "restaurant_id": "nonsense"}, "restaurant_id"),
        ("restaurants.reserve", {**TABLE, "restaurant_id": "R99_Denver"}, "restaurant_id"),
        ("restaurants.reserve", {**TABLE, "time": "25:00"}, "time"),
        ("restaurants.reserve", {**TABLE, "time": "7pm"}, "time"),
        ("restaurants.reserve", {**TABLE, "date": PAST}, "date"),
        ("restaurants.reserve", {**TABLE, "party": 0}, "party"),
        ("weather.outlook", {**PLACE, "latitude": 91}, "latitude"),
        ("weather.outlook", {**PLACE, "longitude": "west"}, "longitude"),
        ("weather.outlook", {**PLACE, "days": 32}, "days"),
        ("weather.outlook", {**PLACE, "start": PAST}, "start"),
        ("database.query", {"sql": HUGE}, "sql"),
        ("database.query", {"sql": "SELECT 1", "limit": -1}, "limit"),
    ],
)
async def test_wrong_input_is_refused_by_the_field_s_name(
    travel: Travel, tool: str, arguments: dict[str, Any], field: str
) -> None:
    server, _, name = tool.partition(".")
    before = Ledger(travel.ledger).count()
    with pytest.raises(Said, match=field) as said:
        await ask(travel.urls[server], name, **arguments)
    assert len(str(said.value)) < 2_000, "what was wrong is not sent back whole"
    assert Ledger(travel.ledger).count() == before


async def test_the_same_question_has_the_same_answer_from_every_process(travel: Travel) -> None:
    asked: list[tuple[str, str, dict[str, Any]]] = [
        ("flights", "search", {"origin": "DEN", "destination": "SEA", "date": DAY}),
        ("flights", "search", FLIGHT),
        ("flights", "find_airports", {"query": "Denver"}),
        ("hotels", "search", STAY),
        ("restaurants", "search", {"city": "Denver"}),
        ("weather", "outlook", {**PLACE, "days": 4}),
        ("database", "query", {"sql": "SELECT * FROM flights ORDER BY number, month, day LIMIT 5"}),
    ]
    from tools.travel import hotels

    for server, tool, arguments in asked:
        async with connected(travel.urls[server]) as client:
            assert await call(client, tool, **arguments) == await call(client, tool, **arguments)
    from datetime import date

    here = hotels.search("Denver", date.fromisoformat(DAY), date.fromisoformat(LATER))
    assert await ask(travel.urls["hotels"], "search", **STAY) == here.model_dump(mode="json")


async def test_answers_say_what_they_are(travel: Travel) -> None:
    out = await ask(travel.urls["flights"], "search", **FLIGHT, passengers=2, limit=20)
    assert {offer["source"] for offer in out["offers"]} == {"schedule 2013"}
    assert {offer["origin"] for offer in out["offers"]} <= {"JFK", "LGA", "EWR"}
    assert "2013" in out["note"]
    one = out["offers"][0]
    carrier, number = one["flight_number"].split()
    sql = "SELECT count(*) FROM flights WHERE carrier = ? AND number = ? AND origin = ? AND destination = 'DEN'"
    counted = await ask(travel.urls["database"], "query", sql=sql, parameters=[carrier, int(number), one["origin"]])
    assert counted["rows"][0][0] >= 1
    back = await ask(travel.urls["flights"], "search", origin="DEN", destination="NYC", date=LATER)
    assert {offer["source"] for offer in back["offers"]} == {"synthetic"}
    hotels = await ask(travel.urls["hotels"], "search", **STAY)
    assert {offer["source"] for offer in hotels["offers"]} == {"synthetic"}
    denver = await ask(travel.urls["weather"], "outlook", **PLACE)
    assert {day["source"] for day in denver["daily"]} == {"estimate"}
    new_york = await ask(
        travel.urls["weather"], "outlook", latitude=40.64, longitude=-73.78, start=in_days(9).isoformat(), days=1
    )
    assert new_york["daily"][0]["source"] in {"measured 2013 (JFK)", "estimate"}


async def test_annotations_are_true_and_every_answer_has_a_schema(travel: Travel) -> None:
    extras = {"trust": True, "protocol": "2026-07-28", "effects": {"book": "keyed", "reserve": "keyed"}}
    servers = {name: {"url": url, "surefoot": extras} for name, url in travel.urls.items()}
    opened = ToolServers(ToolConfig.model_validate({"mcpServers": servers}))
    try:
        tools = {tool.name: tool for tool in await opened.tools()}
    finally:
        await opened.close()
    effects = {name: tool.effect for name, tool in tools.items()}
    booking = {"flights.book", "hotels.book", "restaurants.reserve"}
    cancelling = {"flights.cancel", "hotels.cancel", "restaurants.cancel"}
    assert {name for name, effect in effects.items() if effect is Effect.KEYED} == booking
    assert {name for name, effect in effects.items() if effect is Effect.IDEMPOTENT} == cancelling
    assert all(effects[name] is Effect.READ for name in effects.keys() - booking - cancelling)
    assert all(tool.output_schema for tool in tools.values())
    assert all(tool.input_schema["additionalProperties"] is False for tool in tools.values())
