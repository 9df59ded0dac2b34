"""The specialist that chooses: the best combination of flights, hotel and dinners that the traveller's money allows."""

from collections.abc import Iterable, Sequence
from datetime import timedelta
from itertools import product

from pydantic import TypeAdapter, ValidationError

from tools.outcome import Rejected
from workers import StepContext, specialist
from workers.trip import outputs
from workers.trip.request import TripRequest
from workers.trip.understanding import gazetteer

DINNER_AT, MOST_USD = "19:00", 1_000_000
ENOUGH_STARS = 3
"""Where no money is said: the cheapest hotel with so many stars, not the most expensive one there is."""


@specialist("itinerary", needs=["flights", "hotels"])
async def itinerary(step: StepContext, request: TripRequest) -> outputs.Itinerary:
    """Choose; where nothing fits the money, ask for more rather than spend it."""
    found = outputs.FlightOffers.model_validate(step.inputs["flights"])
    rooms = outputs.HotelOffers.model_validate(step.inputs["hotels"]).offers
    trips = [(there, home) for there, home in product(found.outbound, found.back) if there.arrives < home.departs]
    if not trips or not rooms:
        missing = "hotel" if trips else "flights there and back"
        raise Rejected("itinerary", f"no {missing} for {request.origin} to {request.destination}, {request.start_date}")
    there, home = min(trips, key=lambda pair: (_sum(*pair), pair[0].arrives))
    flown = _sum(there, home)
    money = await _money(step, request, flown + min(room.total_usd for room in rooms))
    tables = outputs.RestaurantsFound.model_validate(step.inputs.get("restaurants", {"restaurants": []})).restaurants
    evenings = _evenings(request, there)
    room, dinners = _stay(request, rooms, tables, evenings, None if money is None else money - flown)
    eaten = _sum_of(dinner.estimate_usd for dinner in dinners)
    total = round(flown + room.total_usd + eaten, 2)
    await step.emit(f"chosen: {there.flight_number} and {home.flight_number}, {room.name}: {total:,.2f} USD")
    return outputs.Itinerary(
        airports=_airports(there, home),
        outbound=there,
        back=home,
        hotel=room,
        dinners=dinners,
        flights_usd=flown,
        hotel_usd=room.total_usd,
        dinners_usd=eaten,
        total_usd=total,
        money_usd=money,
    )


async def _money(step: StepContext, request: TripRequest, least: float) -> float | None:
    """What may be spent; more than the request said only if a person says so."""
    money = request.money_usd
    if money is None or least <= money:
        return money
    told = f"the cheapest flights and hotel cost {least:,.2f} USD, more than the {money:,.2f} USD there are"
    prompt = f"{told}. How much may the trip cost, in US dollars?"
    answer = await step.ask("money_usd", prompt=prompt, example=round(least + 100))
    try:
        more = TypeAdapter(float).validate_python(answer)
    except ValidationError:
        raise Rejected("itinerary", f"{told}; the answer is no amount: {str(answer)[:40]!r}") from None
    if not least <= more <= MOST_USD:
        raise Rejected("itinerary", f"{told}, and the {more:,.2f} USD of the answer do not change that")
    return more


def _evenings(request: TripRequest, there: outputs.Flight) -> list[str]:
    """The days whose dinner the travellers are there for."""
    days = [str(request.start_date + timedelta(days=n)) for n in range(request.nights)]
    return [day for day in days if there.arrives < f"{day}T{DINNER_AT}"]


def _stay(
    request: TripRequest,
    rooms: Sequence[outputs.Hotel],
    tables: Sequence[outputs.Restaurant],
    evenings: Sequence[str],
    money: float | None,
) -> tuple[outputs.Hotel, list[outputs.Dinner]]:
    """A dinner for every evening comes before a better hotel; without either, the cheapest room."""
    cheapest = min(rooms, key=lambda room: room.total_usd)
    if money is None:
        good = [room for room in rooms if room.stars >= ENOUGH_STARS] or rooms
        return min(good, key=lambda room: room.total_usd), _dinners(request, tables, evenings, None)
    dinners = _dinners(request, tables, evenings, money - cheapest.total_usd)
    left = round(money - _sum_of(dinner.estimate_usd for dinner in dinners), 2)
    affordable = [room for room in rooms if room.total_usd <= left] or [cheapest]
    return max(affordable, key=lambda room: (room.stars, -room.total_usd)), dinners


def _dinners(
    request: TripRequest, tables: Sequence[outputs.Restaurant], evenings: Sequence[str], money: float | None
) -> list[outputs.Dinner]:
    """A table for each evening, the kitchens asked for first, while the money lasts."""
    liked = sorted(tables, key=lambda table: (table.cuisine not in request.interests, table.price_usd_per_person))
    dinners: list[outputs.Dinner] = []
    for number, day in enumerate(evenings if liked else ()):
        place = liked[number % len(liked)]
        estimate = round(place.price_usd_per_person * request.travellers, 2)
        if money is not None:
            if estimate > money:
                break
            money = round(money - estimate, 2)
        dinners.append(outputs.Dinner(date=day, time=DINNER_AT, restaurant=place, estimate_usd=estimate))
    return dinners


def _airports(there: outputs.Flight, home: outputs.Flight) -> list[outputs.Airport]:
    codes = dict.fromkeys((there.origin, there.destination, home.origin, home.destination))
    known = {code: gazetteer.airport(code) for code in codes}
    return [outputs.Airport(code=code, name=one.name, city=one.city) for code, one in known.items()]


def _sum(there: outputs.Flight, home: outputs.Flight) -> float:
    return round(there.total_usd + home.total_usd, 2)


def _sum_of(amounts: Iterable[float]) -> float:
    return round(sum(amounts), 2)
