"""Facts that are real and offline: airports, and the distances between them."""

import functools
import importlib.util
import math
import threading
import unicodedata
from dataclasses import dataclass
from typing import Any

METROPOLITAN = {
    "NYC": ("JFK", "LGA", "EWR"),
    "LON": ("LHR", "LGW", "STN"),
    "PAR": ("CDG", "ORY"),
    "CHI": ("ORD", "MDW"),
}
EARTH_MILES = 3_958.8
_loading = threading.Lock()


@dataclass(frozen=True)
class Airport:
    """An airport as airportsdata knows it."""

    code: str
    name: str
    city: str
    subdivision: str
    country: str
    latitude: float
    longitude: float
    timezone: str


def airports() -> dict[str, Airport]:
    """All airports with an IATA code."""
    with _loading:
        return _airports()


@functools.cache
def _airports() -> dict[str, Airport]:
    if importlib.util.find_spec("airportsdata") is None:
        raise _refused("the package airportsdata is not installed: pip install 'surefoot[travel]'")
    import airportsdata  # noqa: PLC0415 - half a second, and not every server needs it

    rows: dict[str, Any] = airportsdata.load("IATA")
    return {
        code: Airport(code, r["name"], r["city"], r["subd"], r["country"], r["lat"], r["lon"], r["tz"])
        for code, r in rows.items()
    }


def plain(name: str) -> str:
    """A name without capitals and accents: Zürich is found as zurich."""
    letters = unicodedata.normalize("NFKD", name.casefold())
    return "".join(each for each in letters if not unicodedata.combining(each))


@functools.cache
def _names() -> list[tuple[str, str, str]]:
    return [(code, plain(one.city), plain(one.name)) for code, one in airports().items()]


def named(query: str) -> list[Airport]:
    """Airports by code, city or name, best first: the code, then the city, international airports before others."""
    words = plain(query)
    ranked: list[tuple[int, str]] = []
    for code, city, name in _names():
        exact = words == code.casefold()
        if exact or words in city or words in name:
            rank = 0 if exact else 2 if words == city else 4
            ranked.append((rank + ("international" not in name), code))
    return [airports()[code] for _, code in sorted(ranked)]


def codes(place: str, field: str) -> tuple[str, ...]:
    """The airports of an IATA code, a metropolitan one (NYC) included.

    Raises:
        Refused: unknown; the message names the field.
    """
    code = place.strip().upper()
    if code in METROPOLITAN:
        return METROPOLITAN[code]
    if code not in airports():
        raise _refused(f"{field}: unknown airport {place[:20]!r}; find_airports finds codes")
    return (code,)


def distance_miles(a: Airport, b: Airport) -> float:
    """The great-circle distance, by the haversine formula."""
    lat1, lat2 = math.radians(a.latitude), math.radians(b.latitude)
    half = (lat2 - lat1) / 2, math.radians(b.longitude - a.longitude) / 2
    h = math.sin(half[0]) ** 2 + math.cos(lat1) * math.cos(lat2) * math.sin(half[1]) ** 2
    return 2 * EARTH_MILES * math.asin(math.sqrt(h))


def _refused(message: str) -> Exception:
    """Refused, of the MCP SDK, which takes a second to import: workers read these facts too, and may not need it."""
    from tools.travel.refused import Refused  # noqa: PLC0415

    return Refused(message)
