"""MCP server `hotels`: finds and books rooms. No real data is known offline: all synthetic, and says so."""

from datetime import date
from typing import Any

from mcp.server.mcpserver import Context
from pydantic import BaseModel

from tools.travel.desk import BOOKS, READ, Booking, City, Day, Desk, Limit, Money, Party, Text, city_name, coming, dice
from tools.travel.ledger import Ledger
from tools.travel.refused import Refused
from tools.travel.serve import serve
from tools.travel.server import TravelServer
from tools.travel.settings import load

FIRST = ("Grand", "Park", "Union", "River", "Summit", "Old Town", "Garden", "Station", "Harbour", "Market")
SECOND = ("Hotel", "Inn", "House", "Lodge", "Suites")
MOST_NIGHTS, ROOM_FOR = 30, 2
settings = load()
server = TravelServer("hotels", "Finds and books hotel rooms (synthetic).")
desk = Desk(server, "hotel", Ledger(settings.ledger))


class HotelOffer(BaseModel):
    """Rooms that can be booked."""

    offer_id: str
    name: str
    stars: int
    city: str
    check_in: date
    check_out: date
    nights: int
    rooms: int
    price_usd_per_night: float
    total_usd: float
    source: str


class Hotels(BaseModel):
    """What a search found, cheapest first."""

    offers: list[HotelOffer]


@server.tool(annotations=READ)
def search(
    city: City, check_in: Day, check_out: Day, guests: Party = 1, limit: Limit = 5, max_total_usd: Money | None = None
) -> Hotels:
    """Hotels in a city; a room is for two, its price for one room and night."""
    offers = _offers(city, coming(check_in, "check_in"), coming(check_out, "check_out"), guests)
    affordable = [offer for offer in offers if max_total_usd is None or offer.total_usd <= max_total_usd]
    return Hotels(offers=affordable[:limit])


@server.tool(annotations=BOOKS)
def book(offer_id: Text, guests: Party, context: Context[Any, Any]) -> Booking:
    """Book an offer of `search`."""

    def offer() -> tuple[str, float]:
        found = _offered(offer_id, guests)
        title = f"{found.name}, {found.city}, {found.check_in} to {found.check_out}, {found.rooms} room(s)"
        return title, found.total_usd

    return desk.book(context, {"offer_id": offer_id, "guests": guests}, offer)


def _offered(offer_id: str, guests: int) -> HotelOffer:
    try:
        _, city, first, last = offer_id.split("_")
        check_in, check_out = date.fromisoformat(first), date.fromisoformat(last)
    except ValueError:
        raise Refused(f"offer_id: {offer_id[:60]!r} is no offer of search") from None
    for offer in _offers(city, coming(check_in, "offer_id"), check_out, guests):
        if offer.offer_id == offer_id:
            return offer
    raise Refused(f"offer_id: {offer_id[:60]!r} is no offer of search")


def _offers(city: str, check_in: date, check_out: date, guests: int) -> list[HotelOffer]:
    nights, rooms, town = (check_out - check_in).days, -(-guests // ROOM_FOR), city_name(city)
    if not 1 <= nights <= MOST_NIGHTS:
        raise Refused(f"check_out: must be 1 to {MOST_NIGHTS} nights after check_in, is {nights}")
    rolled, offers = dice("hotels", town.lower()), list[HotelOffer]()
    for number, first in enumerate(rolled.sample(FIRST, 6)):
        stars = rolled.randrange(2, 6)
        price = round(38 * stars + rolled.uniform(0, 45), 2)
        offers.append(
            HotelOffer(
                offer_id=f"H{number}_{town}_{check_in}_{check_out}",
                name=f"{first} {rolled.choice(SECOND)}",
                stars=stars,
                city=town,
                check_in=check_in,
                check_out=check_out,
                nights=nights,
                rooms=rooms,
                price_usd_per_night=price,
                total_usd=round(price * nights * rooms, 2),
                source="synthetic",
            )
        )
    return sorted(offers, key=lambda offer: (offer.total_usd, offer.offer_id))


if __name__ == "__main__":
    serve(server, settings)
