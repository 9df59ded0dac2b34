"""MCP server `flights`: finds and books flights. Out of New York the schedule is real (2013); all else is synthetic."""

from datetime import date
from typing import Annotated, Any

from mcp.server.mcpserver import Context
from pydantic import BaseModel, StringConstraints

from tools.travel import facts, timetable
from tools.travel.desk import BOOKS, READ, Booking, Day, Desk, Limit, Money, Party, Text, coming
from tools.travel.ledger import Ledger
from tools.travel.refused import Refused
from tools.travel.schedule import flight_table
from tools.travel.serve import serve
from tools.travel.server import TravelServer
from tools.travel.settings import load
from tools.travel.timetable import REAL, Flight

Code = Annotated[str, StringConstraints(strip_whitespace=True, min_length=3, max_length=3, pattern=r"^[A-Za-z]{3}$")]
settings = load()
server = TravelServer("flights", "Finds and books flights.")
desk = Desk(server, "flight", Ledger(settings.ledger))


class AirportFound(BaseModel):
    """An airport."""

    code: str
    name: str
    city: str
    subdivision: str
    country: str
    latitude: float
    longitude: float


class Airports(BaseModel):
    """What a search for airports found, best first."""

    airports: list[AirportFound]


class FlightOffer(BaseModel):
    """A flight that can be booked; times are local, `price_usd` is for one person."""

    offer_id: str
    airline: str
    flight_number: str
    origin: str
    destination: str
    departs: str
    arrives: str
    duration_minutes: int
    price_usd: float
    total_usd: float
    source: str
    note: str


class Flights(BaseModel):
    """What a search found, cheapest first."""

    offers: list[FlightOffer]
    note: str


@server.tool(annotations=READ)
def find_airports(query: Text, limit: Limit = 5) -> Airports:
    """Airports by code, also one of several airports (NYC), by city or by name; accents do not matter."""
    found = [facts.airports()[code] for code in facts.METROPOLITAN.get(query.upper(), ())] or facts.named(query)
    shown = AirportFound.model_fields
    return Airports(
        airports=[AirportFound(**{name: getattr(airport, name) for name in shown}) for airport in found[:limit]]
    )


@server.tool(annotations=READ)
def search(
    origin: Code,
    destination: Code,
    date: Day,
    passengers: Party = 1,
    limit: Limit = 5,
    max_total_usd: Money | None = None,
) -> Flights:
    """Flights on a day, by IATA codes or NYC, LON, PAR, CHI.

    Out of New York: the real schedule of the same day in 2013. Fares are always synthetic.
    """
    offers = _offers(origin, destination, coming(date, "date"), passengers)
    offers.sort(key=lambda offer: (offer.total_usd, offer.offer_id))
    affordable = [offer for offer in offers if max_total_usd is None or offer.total_usd <= max_total_usd]
    real = any(offer.source == REAL for offer in offers)
    told = "schedule of 2013, fares synthetic" if real else "times and fares synthetic: no schedule is known offline"
    return Flights(offers=affordable[:limit], note=told)


@server.tool(annotations=BOOKS)
def book(offer_id: Text, passengers: Party, context: Context[Any, Any]) -> Booking:
    """Book an offer of `search`."""

    def offer() -> tuple[str, float]:
        found = _offered(offer_id, passengers)
        route = f"{found.origin}-{found.destination}"
        return f"{found.airline} {found.flight_number} {route} {found.departs}", found.total_usd

    return desk.book(context, {"offer_id": offer_id, "passengers": passengers}, offer)


def _offered(offer_id: str, passengers: int) -> FlightOffer:
    try:
        number, origin, destination, day = offer_id.split("_")
        on = date.fromisoformat(day)
    except ValueError:
        raise Refused(f"offer_id: {offer_id[:60]!r} is no offer of search") from None
    for offer in _offers(origin, destination, coming(on, "offer_id"), passengers, field="offer_id"):
        if offer.offer_id == offer_id:
            return offer
    raise Refused(f"offer_id: no flight {number[:10]} from {origin[:3]} to {destination[:3]} on {on}")


def _offers(origin: str, destination: str, day: date, passengers: int, field: str = "") -> list[FlightOffer]:
    starts, ends = facts.codes(origin, field or "origin"), facts.codes(destination, field or "destination")
    if set(starts) & set(ends):
        raise Refused(f"{field or 'destination'}: {destination.upper()} is where the flight starts")
    path = flight_table(settings.data_folder)
    flights = timetable.real(path, starts, ends, day)
    if not flights:
        flights = [flight for a in starts for b in ends for flight in timetable.synthetic(a, b, day)]
    return [_offer(flight, day, passengers) for flight in flights]


def _offer(flight: Flight, day: date, passengers: int) -> FlightOffer:
    price = timetable.fare(flight, day)
    return FlightOffer(
        offer_id=f"{flight.carrier}{flight.number}_{flight.origin}_{flight.destination}_{day}",
        airline=flight.airline,
        flight_number=f"{flight.carrier} {flight.number}",
        origin=flight.origin,
        destination=flight.destination,
        departs=f"{flight.departs:%Y-%m-%dT%H:%M}",
        arrives=f"{flight.arrives:%Y-%m-%dT%H:%M}",
        duration_minutes=flight.minutes,
        price_usd=price,
        total_usd=round(price * passengers, 2),
        source=flight.source,
        note="in the schedule of this day of 2013; fare synthetic" if flight.source == REAL else "all synthetic",
    )


def prepare() -> None:
    """Load and build what the first call would otherwise wait for."""
    facts.airports()
    flight_table(settings.data_folder)


if __name__ == "__main__":
    serve(server, settings, prepare)
