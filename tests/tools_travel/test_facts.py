"""What is real: the flight table, built once whoever asks; airports, measured weather, and times that are possible."""

import multiprocessing
import signal
import sqlite3
import subprocess
import sys
from datetime import UTC, date, datetime
from pathlib import Path

import pytest

from tests.support.stage import ROOT
from tests.support.waiting import wait_until
from tools.travel import facts, measured, schedule, timetable, weather
from tools.travel.refused import NotNow, Refused

BUILD = "import sys, pathlib; from tools.travel.schedule import flight_table; flight_table(pathlib.Path(sys.argv[1]))"


def built(folder: Path) -> tuple[int, float]:
    """The table's inode and time, as seen by a process of its own."""
    status = schedule.flight_table(folder).stat()
    return status.st_ino, status.st_mtime


@pytest.mark.timeout(180)
def test_a_builder_that_is_killed_leaves_nothing_in_the_way_and_several_build_once(tmp_path: Path) -> None:
    folder = tmp_path / "data"
    killed = subprocess.Popen([sys.executable, "-c", BUILD, str(folder)], cwd=ROOT)
    draft = folder / f"{schedule.NAME}.draft"
    wait_until(draft.exists, "the build has begun", timeout_s=30)
    killed.send_signal(signal.SIGKILL)
    killed.wait()
    assert not (folder / schedule.NAME).exists()
    with multiprocessing.get_context("spawn").Pool(3) as processes:
        seen = processes.map(built, [folder] * 3)
    assert len(set(seen)) == 1
    assert {path.name for path in folder.iterdir()} == {schedule.NAME, f"{schedule.NAME}.lock"}
    with sqlite3.connect(folder / schedule.NAME) as db:
        assert db.execute("SELECT count(*) FROM flights").fetchone() == (336_776,)
        assert db.execute("SELECT count(*) FROM flights WHERE destination = 'DEN'").fetchone() == (7_266,)
        assert db.execute("PRAGMA integrity_check").fetchone() == ("ok",)
    db.close()


def test_a_folder_that_cannot_be_written_is_said_to_be_so(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(NotNow, match="the flight table cannot be built"):
        schedule.flight_table(tmp_path / "file" / "data")


def test_a_finished_table_is_used_where_nothing_can_be_written(flight_data: Path, tmp_path: Path) -> None:
    (tmp_path / schedule.NAME).symlink_to(flight_data / schedule.NAME)
    schedule.flight_table(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == [schedule.NAME], "not even a lock is made"


@pytest.mark.parametrize(
    ("query", "first"),
    [("DEN", "DEN"), ("den", "DEN"), ("Denver", "DEN"), ("Zürich", "ZRH"), ("NYC", "JFK"), ("heathrow", "LHR")],
)
def test_airports_are_found_by_code_city_and_name(query: str, first: str) -> None:
    from tools.travel import flights

    assert flights.find_airports(query).airports[0].code == first


def test_unknown_airports_are_refused_by_field() -> None:
    with pytest.raises(Refused, match=r"^origin: unknown airport 'QQQ'"):
        facts.codes("QQQ", "origin")


def test_a_flight_over_the_date_line_takes_as_long_as_it_does() -> None:
    day = date(2027, 1, 15)
    for flight in timetable.synthetic("JFK", "SYD", day) + timetable.synthetic("SYD", "LAX", day):
        miles = facts.distance_miles(facts.airports()[flight.origin], facts.airports()[flight.destination])
        assert flight.minutes == round(30 + miles / 8)
        assert flight.departs.date() == day
    assert all(f.arrives.date() == date(2027, 1, 17) for f in timetable.synthetic("JFK", "SYD", day)[2:])
    assert all(f.arrives.date() == day for f in timetable.synthetic("SYD", "LAX", day)[:3])


def test_a_flight_through_the_night_when_summer_time_begins_is_not_an_hour_longer(flight_data: Path) -> None:
    day = date(2027, 3, 13)  # clocks go forward at 2:00 on the 14th
    late = [
        f
        for f in timetable.real(flight_data / schedule.NAME, ("JFK",), ("FLL", "MCO", "PBI", "TPA"), day)
        if f.arrives.date() > day
    ]
    for flight in late:
        assert flight.minutes < 300
        assert flight.arrives.astimezone(UTC) > flight.departs.astimezone(UTC)


def test_the_twenty_ninth_of_february_flies_as_the_twenty_eighth(flight_data: Path) -> None:
    path = flight_data / schedule.NAME
    leap = timetable.real(path, ("JFK",), ("LAX",), date(2028, 2, 29))
    assert [f.number for f in leap] == [f.number for f in timetable.real(path, ("JFK",), ("LAX",), date(2028, 2, 28))]
    assert leap


def test_every_route_and_day_of_the_schedule_is_a_possible_flight(flight_data: Path) -> None:
    places = [code for (code,) in _all(flight_data, "SELECT DISTINCT destination FROM flights")]
    for day in (date(2027, 3, 14), date(2027, 7, 4), date(2027, 11, 7), date(2027, 12, 31)):
        flights = timetable.real(flight_data / schedule.NAME, ("JFK", "LGA", "EWR"), tuple(places), day)
        assert len(flights) > 500
        assert all(15 < flight.minutes < 16 * 60 for flight in flights)
        identities = {(f.carrier, f.number, f.origin, f.destination) for f in flights}
        assert len(identities) == len(flights), "an offer's id names one flight"


def _all(folder: Path, sql: str) -> list[tuple[str]]:
    db = sqlite3.connect(folder / schedule.NAME)
    try:
        return db.execute(sql).fetchall()
    finally:
        db.close()


def test_new_york_s_weather_was_measured_and_elsewhere_s_is_an_estimate() -> None:
    day = datetime.now(UTC).date().replace(day=15)
    at_jfk = measured.of("JFK", day)
    assert at_jfk is not None
    assert at_jfk.low_c < at_jfk.high_c
    assert 0 <= at_jfk.rain_share <= 1
    assert measured.station_near(40.64, -73.78) == "JFK"
    assert measured.station_near(39.86, -104.67) is None
    july, january = measured.of("LGA", date(2027, 7, 18)), measured.of("LGA", date(2027, 1, 24))
    assert july is not None
    assert january is not None
    assert july.high_c > 30, "2013 had a hot July"
    assert january.low_c < 0
    assert measured.of("EWR", date(2028, 2, 29)) == measured.of("EWR", date(2028, 2, 28))
    assert measured.of("EWR", date(2027, 12, 31)) is None, "the records end before"


@pytest.mark.parametrize(("latitude", "longitude"), [(90, 0), (-90, 180), (0, -180), (69.6, 18.9), (-54.8, -68.3)])
def test_any_place_on_earth_has_an_outlook(latitude: float, longitude: float) -> None:
    from tests.tools_travel.serving import in_days

    daily = weather.outlook(latitude, longitude, in_days(1), 31).daily
    assert len(daily) == 31
    assert all(one.low_c < one.high_c and 0 <= one.precipitation_chance <= 1 for one in daily)
    assert {one.source for one in daily} == {"estimate"}
