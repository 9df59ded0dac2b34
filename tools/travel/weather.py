"""MCP server `weather`: a daily outlook, which says of each day what it is.

Around New York: what was measured on that day of 2013. Elsewhere temperature and rain are an estimate from latitude and
season. Sun times are computed.
"""

import math
from datetime import date, datetime, timedelta
from typing import Annotated

from pydantic import BaseModel, Field

from tools.travel import measured
from tools.travel.desk import READ, Day, coming, dice
from tools.travel.serve import serve
from tools.travel.server import TravelServer
from tools.travel.settings import load

SEASON_PEAK = 201  # the warmest day of the northern year, 20 July
server = TravelServer(
    "weather", "A daily outlook for a place: measured in 2013 around New York, elsewhere an estimate."
)


class DayOutlook(BaseModel):
    """One day; sunrise and sunset in UTC, empty where the sun does not rise or set."""

    date: date
    high_c: float
    low_c: float
    precipitation_chance: float
    sunrise: str
    sunset: str
    source: str


class Outlook(BaseModel):
    """The days asked for."""

    place: str
    daily: list[DayOutlook]


@server.tool(annotations=READ)
def outlook(
    latitude: Annotated[float, Field(ge=-90, le=90)],
    longitude: Annotated[float, Field(ge=-180, le=180)],
    start: Day,
    days: Annotated[int, Field(ge=1, le=31)],
) -> Outlook:
    """The outlook for some days: measured in 2013 around New York, else an estimate; sun times are computed."""
    coming(start, "start")
    listed = [_day(latitude, longitude, start + timedelta(days=n)) for n in range(days)]
    return Outlook(place=f"{latitude:.2f}, {longitude:.2f}", daily=listed)


def _day(latitude: float, longitude: float, day: date) -> DayOutlook:
    station = measured.station_near(latitude, longitude)
    then = measured.of(station, day) if station else None
    high, low, rain = (then.high_c, then.low_c, then.rain_share) if then else _estimate(latitude, longitude, day)
    sunrise, sunset = _sun(latitude, longitude, day)
    return DayOutlook(
        date=day,
        high_c=round(high, 1),
        low_c=round(low, 1),
        precipitation_chance=round(rain, 2),
        sunrise=sunrise,
        sunset=sunset,
        source=f"measured 2013 ({station})" if then else "estimate",
    )


def _estimate(latitude: float, longitude: float, day: date) -> tuple[float, float, float]:
    """High, low and chance of rain: a yearly mean that falls with latitude, a season that grows with it, and dice."""
    rolled = dice("weather", round(latitude, 1), round(longitude, 1), day)
    season = math.cos(2 * math.pi * (day.timetuple().tm_yday - SEASON_PEAK) / 365.25) * (1 if latitude >= 0 else -1)
    mean = 28 - 0.45 * abs(latitude) + 0.3 * abs(latitude) * season + rolled.uniform(-4, 4)
    return mean + 5, mean - 5, rolled.uniform(0.05, 0.6)


def _sun(latitude: float, longitude: float, day: date) -> tuple[str, str]:
    from astral import Observer  # noqa: PLC0415 - the server starts without it
    from astral.sun import sunrise, sunset  # noqa: PLC0415

    here = Observer(latitude, longitude)

    def at(event: datetime) -> str:
        return f"{event:%H:%M}"

    try:
        return at(sunrise(here, day)), at(sunset(here, day))
    except ValueError:  # astral's word for a polar day or night
        return "", ""


if __name__ == "__main__":
    serve(server, load())
