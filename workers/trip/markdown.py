"""An itinerary as Markdown. Every fact carries its source, every booking its key."""

from collections.abc import Sequence
from datetime import date

from workers.trip import outputs
from workers.trip.request import TripRequest


def itinerary_markdown(
    request: TripRequest,
    chosen: outputs.Itinerary | None,
    booked: Sequence[outputs.Booking],
    outlook: outputs.Weather,
    missing: Sequence[str],
) -> str:
    """The whole itinerary, or what there is of it; `missing` is lines of what there is not."""
    people = f"{request.travellers} {'person' if request.travellers == 1 else 'people'}"
    lines = [
        f"# {_cell(_way(request, chosen))}, {request.start_date} to {request.return_date}, {people}",
        "",
        *([f"For: {', '.join(map(_cell, request.interests))}", ""] if request.interests else []),
        *missing,
        *([*_flights(chosen), *_stay(chosen)] if chosen else []),
        *_weather(outlook),
        *([*_dinners(chosen), *_sums(request, chosen)] if chosen else []),
        *_bookings(booked),
    ]
    return "\n".join(lines)


def not_done(steps: Sequence[str], why: str) -> list[str]:
    """The steps that a trip had to do without."""
    told = ", ".join(step.replace("_", " ") for step in steps)
    return ["## Missing", "", f"{told}{f' ({_cell(why)})' if why else ''}", ""] if steps else []


def _way(request: TripRequest, chosen: outputs.Itinerary | None) -> str:
    if chosen is None:
        return f"{request.origin} to {request.destination}"
    cities = {airport.code: airport.city for airport in chosen.airports}
    return f"{cities[chosen.outbound.origin]} to {cities[chosen.outbound.destination]}"


def _cell(text: str) -> str:
    """Words from elsewhere, as one line that breaks no table and makes no markup."""
    for mark in ("\\", "|", "<", "[", "`", "*", "#"):
        text = text.replace(mark, f"\\{mark}")
    return " ".join(text.split())


def _table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    lines = [head, ["---"] * len(head), *rows]
    return [*(f"| {' | '.join(line)} |" for line in lines), ""]


def _flights(chosen: outputs.Itinerary) -> list[str]:
    rows = [
        [
            way,
            _cell(f"{flight.airline} {flight.flight_number}"),
            f"{flight.origin} {flight.departs.replace('T', ' ')}",
            f"{flight.destination} {flight.arrives.replace('T', ' ')}",
            f"{flight.total_usd:,.2f} USD",
            _cell(f"{flight.source}: {flight.note}"),
        ]
        for way, flight in (("there", chosen.outbound), ("back", chosen.back))
    ]
    airports = [f"{airport.code} is {_cell(airport.name)} ({_cell(airport.city)})" for airport in chosen.airports]
    table = _table(["", "flight", "departs", "arrives", "fare, all", "source"], rows)
    return ["## Flights", "", *table, f"Times are local. {'; '.join(airports)}.", ""]


def _stay(chosen: outputs.Itinerary) -> list[str]:
    hotel = chosen.hotel
    nights, rooms = _counted(hotel.nights, "night"), _counted(hotel.rooms, "room")
    told = f"{hotel.stars} stars, {nights}, {rooms}, {hotel.total_usd:,.2f} USD"
    return ["## Hotel", "", f"{_cell(hotel.name)}: {told} (source: {_cell(hotel.source)})", ""]


def _weather(outlook: outputs.Weather) -> list[str]:
    if not outlook.daily:
        return ["## Weather", "", "No outlook: the weather specialist had no answer.", ""]
    rows = [
        [
            f"{date.fromisoformat(day.date):%a} {day.date}",
            f"{day.high_c:g} °C",
            f"{day.low_c:g} °C",
            f"{day.precipitation_chance:.0%}",
            f"{day.sunrise} - {day.sunset}" if day.sunrise else "",
            _cell(day.source),
        ]
        for day in outlook.daily
    ]
    return ["## Weather", "", *_table(["day", "high", "low", "rain", "sun (UTC)", "source"], rows)]


def _dinners(chosen: outputs.Itinerary) -> list[str]:
    if not chosen.dinners:
        return ["## Dinners", "", "None: no restaurant was found, or no money is left for one.", ""]
    rows = [
        [
            f"{dinner.date} {dinner.time}",
            _cell(dinner.restaurant.name),
            _cell(dinner.restaurant.cuisine),
            f"{dinner.estimate_usd:,.2f} USD",
            _cell(dinner.restaurant.source),
        ]
        for dinner in chosen.dinners
    ]
    return ["## Dinners", "", *_table(["evening", "place", "kitchen", "estimate, all", "source"], rows)]


def _sums(request: TripRequest, chosen: outputs.Itinerary) -> list[str]:
    parts = (("flights", chosen.flights_usd), ("hotel", chosen.hotel_usd), ("dinners", chosen.dinners_usd))
    rows = [[name, f"{usd:,.2f}"] for name, usd in parts]
    rows.append(["**sum**", f"**{chosen.total_usd:,.2f}**"])
    money = chosen.money_usd
    if money is not None:
        said = f" ({_cell(request.money_source)})" if request.money_source and money == request.money_usd else ""
        rows += [[f"traveller's money{said}", f"{money:,.2f}"], ["left", f"{money - chosen.total_usd:,.2f}"]]
    return ["## Money", "", *_table(["", "USD"], rows)]


def _bookings(booked: Sequence[outputs.Booking]) -> list[str]:
    rows = [[one.booking_id, _cell(one.title), f"{one.total_usd:,.2f}", f"`{one.key}`"] for one in booked]
    return ["## Bookings", "", *_table(["booking", "what", "USD", "deduplication key"], rows)]


def _counted(number: int, what: str) -> str:
    return f"{number} {what}{'' if number == 1 else 's'}"
