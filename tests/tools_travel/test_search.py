"""What searches promise for any input: sorted, summed up, the same each time, and bookable by id."""

from datetime import date, timedelta
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.tools_travel.serving import in_days
from tools.travel import facts, flights, hotels, restaurants
from tools.travel.refused import Refused
from tools.travel.settings import TravelSettings

PROPERTY = settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow]
)
days = st.integers(1, 700).map(in_days)
cities = st.text(st.characters(exclude_categories=["Cc", "Cs"]), min_size=1, max_size=100).filter(
    lambda text: any(each.isalnum() for each in text.replace("_", " "))
)
codes = st.sampled_from(["NYC", "LON", "JFK", "EWR", "DEN", "LAX", "SYD", "HND", "ZRH", "HNL"]) | st.deferred(
    lambda: st.sampled_from(sorted(facts.airports()))
)
parties, limits = st.integers(1, 9), st.integers(1, 20)


@pytest.fixture(autouse=True)
def on_the_shared_table(flight_data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(flights, "settings", TravelSettings.model_validate({"data": flight_data}))


@PROPERTY
@given(origin=codes, destination=codes, day=days, party=parties, limit=limits)
def test_flights(origin: str, destination: str, day: date, party: int, limit: int) -> None:
    if set(facts.codes(origin, "o")) & set(facts.codes(destination, "d")):
        with pytest.raises(Refused, match="destination"):
            flights.search(origin, destination, day, party, limit)
        return
    found = flights.search(origin, destination, day, party, limit)
    assert found == flights.search(origin.lower(), destination.lower(), day, party, limit)
    assert 1 <= len(found.offers) <= limit
    totals = [offer.total_usd for offer in found.offers]
    assert totals == sorted(totals)
    assert len({offer.offer_id for offer in found.offers}) == len(found.offers)
    for offer in found.offers:
        assert offer.total_usd == round(offer.price_usd * party, 2)
        assert offer.departs.startswith(day.isoformat())
        assert 15 < offer.duration_minutes < 36 * 60
        assert offer.source in {"schedule 2013", "synthetic"}
        assert flights._offered(offer.offer_id, party) == offer  # pyright: ignore[reportPrivateUsage]
        assert len(offer.offer_id) <= 200
    cheaper = flights.search(origin, destination, day, party, limit, max_total_usd=totals[0])
    assert {offer.total_usd for offer in cheaper.offers} == {totals[0]}


@PROPERTY
@given(city=cities, first=days, nights=st.integers(1, 30), party=parties, limit=limits)
def test_hotels(city: str, first: date, nights: int, party: int, limit: int) -> None:
    last = first + timedelta(days=nights)
    found = hotels.search(city, first, last, party, limit).offers
    assert found == hotels.search(city, first, last, party, limit).offers
    assert 1 <= len(found) <= min(limit, 6)
    assert [offer.total_usd for offer in found] == sorted(offer.total_usd for offer in found)
    for offer in found:
        assert (offer.nights, offer.source, offer.rooms) == (nights, "synthetic", (party + 1) // 2)
        assert offer.total_usd == round(offer.price_usd_per_night * nights * offer.rooms, 2)
        assert hotels._offered(offer.offer_id.strip(), party) == offer  # pyright: ignore[reportPrivateUsage]
        assert len(offer.offer_id) <= 200


@PROPERTY
@given(city=cities, cuisine=st.none() | st.sampled_from(restaurants.CUISINES), limit=limits)
def test_restaurants(city: str, cuisine: str | None, limit: int) -> None:
    found = restaurants.search(city, cuisine, limit).restaurants
    assert found == restaurants.search(city, cuisine and cuisine.upper(), limit).restaurants
    assert 1 <= len(found) <= limit
    assert [one.price_usd_per_person for one in found] == sorted(one.price_usd_per_person for one in found)
    for one in found:
        assert one.source == "synthetic"
        assert cuisine in {None, one.cuisine}
        assert restaurants._known(one.restaurant_id.strip()) == one  # pyright: ignore[reportPrivateUsage]
        assert len(one.restaurant_id) <= 200


def test_the_same_city_in_other_words_has_the_same_hotels() -> None:
    names = [
        [offer.name for offer in hotels.search(city, in_days(9), in_days(11), 2, 6).offers]
        for city in ("Salt Lake City", "salt lake city", " Salt  Lake_City ")
    ]
    assert names[0] == names[1] == names[2]
