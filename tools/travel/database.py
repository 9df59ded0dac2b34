"""MCP server `database`: read-only SQL over the 2013 flights and the trips that were booked.

One SELECT, with parameters, within limits of rows, size, memory and time. SQLite's own authorizer decides what a
statement may touch, by a list of what it may, not by a parser of ours; the files are opened read-only besides.
"""

import contextlib
import functools
import math
import sqlite3
import time
from collections.abc import Generator
from pathlib import Path
from typing import Annotated, Any

from pydantic import BaseModel, Field

from tools.travel.desk import READ
from tools.travel.ledger import Ledger
from tools.travel.refused import NotNow, Refused
from tools.travel.schedule import flight_table
from tools.travel.serve import serve
from tools.travel.server import TravelServer
from tools.travel.settings import load

LONGEST_S, STEPS_BETWEEN_LOOKS = 2.0, 1_000
ANSWER_CHARACTERS, HEAP_BYTES, MOST_TRIPS = 400_000, 268_435_456, 10_000
LIMITS = {
    sqlite3.SQLITE_LIMIT_LENGTH: 100_000,  # of a text, blob or row
    sqlite3.SQLITE_LIMIT_SQL_LENGTH: 4_000,
    sqlite3.SQLITE_LIMIT_COLUMN: 100,
    sqlite3.SQLITE_LIMIT_EXPR_DEPTH: 100,
    sqlite3.SQLITE_LIMIT_COMPOUND_SELECT: 20,
    sqlite3.SQLITE_LIMIT_LIKE_PATTERN_LENGTH: 100,  # one LIKE is one step, however long it takes
    sqlite3.SQLITE_LIMIT_ATTACHED: 0,
}
TABLES = {"flights": "all flights out of New York in 2013 (real)", "trips": "what was booked here"}
LISTS = frozenset({"json_each", "json_tree"})
FORBIDDEN_FUNCTIONS = frozenset({"load_extension", "readfile", "writefile", "edit", "fts3_tokenizer", "randomblob"})
TRIP_COLUMNS = "id, kind, title, total_usd, status"
Value = str | int | float | None
settings = load()
server = TravelServer("database", "Read-only SQL over flights (2013) and trips (bookings).")


class Table(BaseModel):
    """A table and its columns."""

    name: str
    about: str
    columns: list[str]


class Schema(BaseModel):
    """What can be asked."""

    tables: list[Table]


class Rows(BaseModel):
    """What a query found; `truncated`: there is more than the limits of rows and size let through."""

    columns: list[str]
    rows: list[list[Value]]
    truncated: bool


@server.tool(annotations=READ)
def schema() -> Schema:
    """The tables and their columns."""
    with _opened() as db:
        described = {name: db.execute(f"SELECT * FROM {name} LIMIT 0").description for name in TABLES}  # noqa: S608
    return Schema(
        tables=[
            Table(name=name, about=about, columns=[column[0] for column in described[name]])
            for name, about in TABLES.items()
        ]
    )


@server.tool(annotations=READ)
def query(
    sql: Annotated[str, Field(min_length=1, max_length=4_000, description="one SELECT; ? for parameters")],
    parameters: Annotated[list[Value] | None, Field(max_length=50)] = None,
    limit: Annotated[int, Field(ge=1, le=1_000)] = 100,
) -> Rows:
    """Run one SELECT."""
    with _opened() as db:
        try:
            _restrict(db)
            cursor = db.execute(sql, parameters or [])
            if cursor.description is None:
                raise Refused("sql: one SELECT statement is allowed")
            rows, truncated = _taken(cursor, limit)
        except sqlite3.OperationalError as error:
            slow = getattr(error, "sqlite_errorcode", 0) == sqlite3.SQLITE_INTERRUPT  # none where a text is no UTF-8
            raise Refused(f"sql: stopped after {LONGEST_S:g} s" if slow else f"sql: {error}") from None
        except MemoryError:
            raise Refused("sql: it needs too much memory") from None
        except (sqlite3.Error, sqlite3.Warning, OverflowError, ValueError) as error:
            raise Refused(f"sql: {error}; one SELECT statement is allowed, on flights and trips") from None
    return Rows(columns=[column[0] for column in cursor.description], rows=rows, truncated=truncated)


def _taken(cursor: sqlite3.Cursor, limit: int) -> tuple[list[list[Value]], bool]:
    """Rows up to the limits, and whether there is more. Row by row: a thousand of the largest would fill the memory."""
    rows: list[list[Value]] = []
    room = ANSWER_CHARACTERS
    for found in cursor:
        row = [_cell(value) for value in found]
        room -= sum(len(value) if isinstance(value, str) else 8 for value in row)
        if room < 0 and not rows:
            raise Refused(f"sql: a row has more than {ANSWER_CHARACTERS:,} characters; select less of it")
        if len(rows) == limit or room < 0:
            return rows, True
        rows.append(row)
    return rows, False


def _cell(value: Any) -> Value:
    """A value that JSON has."""
    if isinstance(value, bytes):
        return f"<{len(value)} bytes>"
    return str(value) if isinstance(value, float) and not math.isfinite(value) else value


def _restrict(db: sqlite3.Connection) -> None:
    """From here on only what is on the lists gets through."""
    for limit, most in LIMITS.items():
        db.setlimit(limit, most)
    end = time.monotonic() + LONGEST_S
    db.set_progress_handler(lambda: int(time.monotonic() > end), STEPS_BETWEEN_LOOKS)
    db.set_authorizer(_authorize)


def _authorize(action: int, first: str | None, second: str | None, _schema: str | None, view: str | None) -> int:
    """What a statement may do: read columns of our tables, call functions, recurse.

    A read of no column is a mere count; there SQLite also names what the statement itself defines with WITH.
    """
    if action == sqlite3.SQLITE_READ:
        ours = first in TABLES or first in LISTS or (first == "booking" and view == "trips")
        counted = not second and not (first or "").startswith("sqlite_")
        return sqlite3.SQLITE_OK if ours or counted else sqlite3.SQLITE_DENY
    if action == sqlite3.SQLITE_FUNCTION:
        return sqlite3.SQLITE_DENY if (second or "").lower() in FORBIDDEN_FUNCTIONS else sqlite3.SQLITE_OK
    return sqlite3.SQLITE_OK if action in {sqlite3.SQLITE_SELECT, sqlite3.SQLITE_RECURSIVE} else sqlite3.SQLITE_DENY


@contextlib.contextmanager
def _opened() -> Generator[sqlite3.Connection]:
    """The flights, read-only, with the bookings beside them as `trips`."""
    path = flight_table(settings.data_folder)
    try:
        db = sqlite3.connect(_read_only(path), uri=True, isolation_level=None)
    except sqlite3.Error as error:
        raise NotNow(f"the flight table cannot be opened: {error}") from error
    with contextlib.closing(db):
        try:
            db.execute(f"PRAGMA hard_heap_limit = {HEAP_BYTES}")
            db.execute("PRAGMA temp_store = MEMORY")  # what sorts too much meets the heap's limit, not the disk's
            db.execute("SELECT 1 FROM json_each('[]'), json_tree('[]')")  # set up now: not a thing to authorize
            _show_trips(db)
        except sqlite3.Error as error:
            raise NotNow(f"the bookings cannot be read now: {error}") from error
        yield db


def _show_trips(db: sqlite3.Connection) -> None:
    """A view of an SQLite ledger; of a PostgreSQL one a copy of its first bookings; of none an empty table."""
    if not settings.ledger.startswith("sqlite:///"):
        db.execute(f"CREATE TEMP TABLE trips ({TRIP_COLUMNS})")
        marks = ", ".join("?" * len(TRIP_COLUMNS.split(",")))
        booked = _ledger(settings.ledger).bookings(TRIP_COLUMNS, MOST_TRIPS)
        db.executemany(f"INSERT INTO trips VALUES ({marks})", booked)  # noqa: S608 - marks only
        return
    path = Path(settings.ledger.removeprefix("sqlite:///"))
    if path.exists():
        db.execute("ATTACH ? AS ledger", (_read_only(path),))
        if db.execute("SELECT 1 FROM ledger.sqlite_master WHERE name = 'booking'").fetchone():
            db.execute(f"CREATE TEMP VIEW trips AS SELECT {TRIP_COLUMNS} FROM ledger.booking")  # noqa: S608 - our names
            return
    db.execute(f"CREATE TEMP TABLE trips ({TRIP_COLUMNS})")


@functools.cache
def _ledger(url: str) -> Ledger:
    return Ledger(url)


def _read_only(path: Path) -> str:
    return f"{path.resolve().as_uri()}?mode=ro"


if __name__ == "__main__":
    serve(server, settings, functools.partial(flight_table, settings.data_folder))
