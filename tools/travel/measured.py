"""The weather that was measured at New York's three airports in 2013, a day at a time."""

import csv
import functools
import math
from collections import defaultdict
from dataclasses import dataclass
from datetime import date, timedelta

from tools.travel.schedule import package_data

STATIONS = {"EWR": (40.692, -74.169), "JFK": (40.640, -73.779), "LGA": (40.777, -73.873)}
NEAR_DEGREES, DAYS_AROUND, FEWEST_HOURS = 0.5, 7, 12
YEAR = 2013


@dataclass(frozen=True)
class Measured:
    """One day; `rain_share` is the share of days with rain in the fortnight around it."""

    high_c: float
    low_c: float
    rain_share: float


def station_near(latitude: float, longitude: float) -> str | None:
    """The nearest station within some 30 miles."""

    def degrees(code: str) -> float:
        north, east = STATIONS[code]
        return math.hypot(latitude - north, (longitude - east) * math.cos(math.radians(north)))

    nearest = min(STATIONS, key=degrees)
    return nearest if degrees(nearest) <= NEAR_DEGREES else None


def of(station: str, day: date) -> Measured | None:
    """What was measured on this day of 2013, 29 February as the 28th; None where the records have gaps."""
    then = date(YEAR, 2, 28) if (day.month, day.day) == (2, 29) else day.replace(year=YEAR)
    temperatures = _temperatures()[station, then]
    if len(temperatures) < FEWEST_HOURS:
        return None
    around = [then + timedelta(days=n) for n in range(-DAYS_AROUND, DAYS_AROUND + 1)]
    recorded = [one for one in around if (station, one) in _temperatures()]
    rainy = sum((station, one) in _rainy_days() for one in recorded)
    return Measured(_celsius(max(temperatures)), _celsius(min(temperatures)), rainy / len(recorded))


@functools.cache
def _temperatures() -> dict[tuple[str, date], list[float]]:
    found: defaultdict[tuple[str, date], list[float]] = defaultdict(list)
    for row in _hours():
        if row["temp"] != "NA":
            found[_when(row)].append(float(row["temp"]))
    return found


@functools.cache
def _rainy_days() -> frozenset[tuple[str, date]]:
    return frozenset(_when(row) for row in _hours() if row["precip"] not in {"NA", "0"})


@functools.cache
def _hours() -> list[dict[str, str]]:
    with (package_data() / "weather.csv").open(newline="") as file:
        return list(csv.DictReader(file))


def _when(row: dict[str, str]) -> tuple[str, date]:
    return row["origin"], date(int(row["year"]), int(row["month"]), int(row["day"]))


def _celsius(fahrenheit: float) -> float:
    return (fahrenheit - 32) / 1.8
