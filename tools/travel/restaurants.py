"""MCP server `restaurants`: finds and reserves tables. No real data is known offline: all synthetic, and says so."""

from typing import Annotated, Any

from mcp.server.mcpserver import Context
from pydantic import BaseModel, Field

from tools.travel.desk import BOOKS, READ, Booking, City, Day, Desk, Limit, Money, Party, Text, city_name, coming, dice
from tools.travel.ledger import Ledger
from tools.travel.refused import Refused
from tools.travel.serve import serve
from tools.travel.server import TravelServer
from tools.travel.settings import load

CUISINES = ("american", "italian", "mexican", "japanese", "indian", "vegetarian", "french", "thai")
NAMES = ("Table", "Kitchen", "Corner", "Garden", "Oven", "Spoon", "Terrace", "Cellar", "Lantern", "Mill")
Time = Annotated[str, Field(pattern=r"^([01]\d|2[0-3]):[0-5]\d$", description="HH:MM")]
settings = load()
server = TravelServer("restaurants", "Finds and reserves tables (synthetic).")
desk = Desk(server, "table", Ledger(settings.ledger))


class Restaurant(BaseModel):
    """A restaurant."""

    restaurant_id: str
    name: str
    cuisine: str
    city: str
    price_usd_per_person: float
    source: str


class Restaurants(BaseModel):
    """What a search found, cheapest first."""

    restaurants: list[Restaurant]


@server.tool(annotations=READ)
def search(
    city: City, cuisine: Text | None = None, limit: Limit = 8, max_price_usd: Money | None = None
) -> Restaurants:
    """Restaurants in a city, of one cuisine if asked; prices are for one person."""
    wanted = cuisine.lower() if cuisine else None
    if wanted is not None and wanted not in CUISINES:
        raise Refused(f"cuisine: unknown {wanted[:40]!r}; one of {', '.join(CUISINES)}")
    found = [one for one in _all(city_name(city)) if wanted in {None, one.cuisine}]
    affordable = [one for one in found if max_price_usd is None or one.price_usd_per_person <= max_price_usd]
    return Restaurants(restaurants=affordable[:limit])


@server.tool(annotations=BOOKS)
def reserve(restaurant_id: Text, date: Day, time: Time, party: Party, context: Context[Any, Any]) -> Booking:
    """Reserve a table; nothing is paid now, the price is an estimate."""

    def offer() -> tuple[str, float]:
        coming(date, "date")
        found = _known(restaurant_id)
        return f"{found.name}, {found.city}, {date} {time}, table for {party}", found.price_usd_per_person * party

    asked = {"restaurant_id": restaurant_id, "date": str(date), "time": time, "party": party}
    return desk.book(context, asked, offer)


def _known(restaurant_id: str) -> Restaurant:
    number, _, city = restaurant_id.partition("_")
    for one in _all(city_name(city, "restaurant_id")):
        if one.restaurant_id == restaurant_id:
            return one
    raise Refused(f"restaurant_id: {number[:20]!r} is no restaurant of search")


def _all(town: str) -> list[Restaurant]:
    rolled = dice("restaurants", town.lower())
    names = rolled.sample(NAMES, len(CUISINES))
    found = [
        Restaurant(
            restaurant_id=f"R{number}_{town}",
            name=f"The {cuisine.title()} {name}",
            cuisine=cuisine,
            city=town,
            price_usd_per_person=round(rolled.uniform(14, 42), 2),
            source="synthetic",
        )
        for number, (cuisine, name) in enumerate(zip(CUISINES, names, strict=True))
    ]
    return sorted(found, key=lambda one: (one.price_usd_per_person, one.restaurant_id))


if __name__ == "__main__":
    serve(server, settings)
