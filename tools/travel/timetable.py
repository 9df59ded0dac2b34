"""Flights of a day: the real ones of 2013 out of New York, and made-up but plausible ones for every other route."""

import sqlite3
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

from tools.travel import facts
from tools.travel.desk import dice
from tools.travel.facts import Airport

REAL, SYNTHETIC = "schedule 2013", "synthetic"
CARRIERS = (
    ("UA", "United Air Lines Inc."),
    ("DL", "Delta Air Lines Inc."),
    ("AA", "American Airlines Inc."),
    ("WN", "Southwest Airlines Co."),
    ("B6", "JetBlue Airways"),
)
DEPARTURE_HOURS = (6, 10, 14, 18)
MILES_A_MINUTE, GROUND_MINUTES = 8, 30


@dataclass(frozen=True)
class Flight:
    """A flight; both times are in the zones of their airports."""

    carrier: str
    airline: str
    number: int
    origin: str
    destination: str
    departs: datetime
    arrives: datetime
    source: str

    @property
    def minutes(self) -> int:
        """How long it takes. In UTC: the difference of two times in one zone would not see summer time begin."""
        return round((self.arrives.astimezone(UTC) - self.departs.astimezone(UTC)).total_seconds() / 60)


def real(path: Path, starts: tuple[str, ...], ends: tuple[str, ...], day: date) -> list[Flight]:
    """The flights of the same day of 2013; 29 February flies as the 28th did."""
    on = (2, 28) if (day.month, day.day) == (2, 29) else (day.month, day.day)
    places = f"origin IN ({_marks(starts)}) AND destination IN ({_marks(ends)})"
    db = sqlite3.connect(f"{path.resolve().as_uri()}?mode=ro", uri=True)
    try:
        rows = db.execute(
            "SELECT carrier, airline, number, origin, destination, departs, arrives FROM flights "  # noqa: S608 - marks only
            f"WHERE month = ? AND day = ? AND {places}",
            (*on, *starts, *ends),
        ).fetchall()
    finally:
        db.close()
    return [_scheduled(*row, day=day) for row in rows]


def synthetic(origin: str, destination: str, day: date) -> list[Flight]:
    """Four flights over the day, at 480 miles an hour and half an hour on the ground."""
    rolled, a, b = dice("route", origin, destination), facts.airports()[origin], facts.airports()[destination]
    takes = timedelta(minutes=round(GROUND_MINUTES + facts.distance_miles(a, b) / MILES_A_MINUTE))
    flights: list[Flight] = []
    for hour, (carrier, airline) in zip(DEPARTURE_HOURS, rolled.sample(CARRIERS, 4), strict=True):
        departs = datetime(day.year, day.month, day.day, hour, rolled.randrange(0, 60, 5), tzinfo=_zone(a))
        arrives = (departs.astimezone(UTC) + takes).astimezone(_zone(b))
        number = rolled.randrange(100, 2000)
        flights.append(Flight(carrier, airline, number, origin, destination, departs, arrives, SYNTHETIC))
    return flights


def fare(flight: Flight, day: date) -> float:
    """Synthetic: 45 dollars and 9 cents a mile, a fifth more on Fridays and Sundays, give or take a quarter."""
    miles = facts.distance_miles(facts.airports()[flight.origin], facts.airports()[flight.destination])
    weekend = 1.2 if day.weekday() in {4, 6} else 1.0
    rolled = dice("fare", flight.carrier, flight.number, day)
    return round((45 + 0.09 * miles) * weekend * rolled.uniform(0.75, 1.25), 2)


def _scheduled(
    carrier: str, airline: str, number: int, origin: str, destination: str, departs: str, arrives: str, *, day: date
) -> Flight:
    """A row of the schedule, whose clocks are local; an arrival before the departure is the next day's."""
    leaves = _at(day, departs, facts.airports()[origin])
    lands = _at(day, arrives, facts.airports()[destination])
    if lands.astimezone(UTC) <= leaves.astimezone(UTC):
        lands = _at(day + timedelta(days=1), arrives, facts.airports()[destination])
    return Flight(carrier, airline, number, origin, destination, leaves, lands, REAL)


def _at(day: date, clock: str, airport: Airport) -> datetime:
    hour, minute = 0 if clock == "24:00" else int(clock[:2]), int(clock[3:])
    return datetime(day.year, day.month, day.day, hour, minute, tzinfo=_zone(airport))


def _zone(airport: Airport) -> ZoneInfo:
    return ZoneInfo(airport.timezone)


def _marks(values: tuple[str, ...]) -> str:
    return ", ".join("?" * len(values))
