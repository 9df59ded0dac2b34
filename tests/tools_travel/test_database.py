"""The database tool under attack: one SELECT gets through, within limits of time, rows, size and memory."""

import sqlite3
import time
from pathlib import Path
from typing import Any

import pytest

from tests.tools_travel.serving import Said, Served, Travel, ask
from tools.travel import database
from tools.travel.ledger import Ledger
from tools.travel.settings import TravelSettings

pytestmark = pytest.mark.xdist_group("travel")
ENDLESS = "WITH RECURSIVE n(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM n)"
LONG = "printf('%.*c', 90000, 'x')"


async def query(travel: Travel, sql: str, parameters: list[Any] | None = None, limit: int = 100) -> dict[str, Any]:
    return await ask(travel.urls["database"], "query", sql=sql, parameters=parameters, limit=limit)


@pytest.mark.parametrize(
    "sql",
    [
        "DELETE FROM flights",
        "UPDATE trips SET total_usd = 0",
        "INSERT INTO trips VALUES (1, 2, 3, 4, 5) RETURNING *",
        "WITH x AS (SELECT 1) INSERT INTO flights SELECT * FROM flights",
        "CREATE TABLE t (a)",
        "CREATE TEMP TABLE t AS SELECT * FROM flights",
        "DROP VIEW trips",
        "SELECT 1; DROP TABLE flights",
        "SELECT 1; SELECT 2",
        "ATTACH '/tmp/x.sqlite' AS x",
        "DETACH ledger",
        "PRAGMA writable_schema = 1",
        "PRAGMA hard_heap_limit = 0",
        "SELECT * FROM pragma_database_list",
        "SELECT * FROM pragma_table_info('flights')",
        "SELECT load_extension('x')",
        "SELECT LOAD_EXTENSION('x', 'y')",
        "SELECT * FROM sqlite_master",
        "SELECT count(*) FROM sqlite_schema",
        "SELECT * FROM dbstat",
        "SELECT dedup_key FROM booking",
        "SELECT * FROM ledger.booking",
        "SELECT fingerprint FROM ledger.entry",
        "VACUUM INTO '/tmp/x.sqlite'",
        "REINDEX",
        "ANALYZE",
        "BEGIN",
        "COMMIT",
        "SAVEPOINT a",
        "-- nothing",
        "/* nothing */",
        ";",
        "  ",
        "SELECT 1 \x00; DROP TABLE flights",
        "SELEC 1",
    ],
)
async def test_nothing_but_one_select_gets_through(travel: Travel, sql: str) -> None:
    with pytest.raises(Said, match="sql"):
        await query(travel, sql)


@pytest.mark.parametrize(
    ("sql", "why"),
    [
        (f"{ENDLESS} SELECT sum(x) FROM n", "stopped after 2 s"),
        ("SELECT count(*) FROM flights a, flights b, flights c", "stopped after 2 s"),
        (f"SELECT count(*) FROM {', '.join(f'flights f{n}' for n in range(60))}", "stopped after 2 s"),
        (f"{ENDLESS} SELECT {LONG} || x AS y FROM n ORDER BY y", "too much memory|stopped"),
        (f"{ENDLESS} SELECT {', '.join([LONG] * 90)} FROM n", "a row has more than"),
        ("SELECT zeroblob(1000000000)", "too big"),
        (f"SELECT {LONG} || {LONG}", "too big"),
        ("SELECT randomblob(100)", "not authorized"),
        (f"SELECT 'a' LIKE '%{'a%' * 500}'", "sql"),
        (f"SELECT {'(' * 900}1{')' * 900}", "sql"),
        ("SELECT " + ", ".join(["1"] * 101), "too many columns"),
        (f"SELECT '{'x' * 100_000}'", "sql"),
        ("SELECT CAST(x'ff' AS TEXT)", "decode"),
    ],
)
async def test_what_costs_too_much_is_stopped(travel: Travel, sql: str, why: str) -> None:
    begun = time.monotonic()
    with pytest.raises(Said, match=why):
        await query(travel, sql)
    assert time.monotonic() - begun < 30
    assert (await query(travel, "SELECT 1"))["rows"] == [[1]], "the server lives on"


async def test_a_select_gets_its_rows_within_limits(travel: Travel) -> None:
    found = await query(travel, "SELECT carrier, number FROM flights WHERE month = ?", [3], limit=7)
    assert (found["columns"], len(found["rows"]), found["truncated"]) == (["carrier", "number"], 7, True)
    large = await query(travel, f"{ENDLESS} SELECT {LONG} FROM n", limit=1000)
    assert large["truncated"]
    assert 0 < len(large["rows"]) < 10
    whole = await query(travel, "SELECT DISTINCT origin FROM flights ORDER BY 1")
    assert whole == {"columns": ["origin"], "rows": [["EWR"], ["JFK"], ["LGA"]], "truncated": False}


@pytest.mark.parametrize(
    ("sql", "parameters", "rows"),
    [
        ("SELECT /* ; DROP TABLE flights */ 1 -- ; and more", [], [[1]]),
        ("SELECT ?;", ["'; DROP TABLE flights; --"], [["'; DROP TABLE flights; --"]]),
        ("SELECT 9e999, NULL, x'00ff', 1.5", [], [["inf", None, "<2 bytes>", 1.5]]),
        ("SELECT count(*) FROM json_each(?)", ["[1, 2]"], [[2]]),
        ("SELECT value FROM json_each(?)", ["[1, 2]"], [[1], [2]]),
        ("WITH RECURSIVE n(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM n LIMIT 3) SELECT count(*) FROM n", [], [[3]]),
        ("SELECT count(*) FROM flights", [], [[336_776]]),
        ("SELECT airline FROM flights WHERE carrier = 'UA' GROUP BY 1", [], [["United Air Lines Inc."]]),
    ],
)
async def test_a_select_may_be_any_select(travel: Travel, sql: str, parameters: list[Any], rows: list[Any]) -> None:
    assert (await query(travel, sql, parameters))["rows"] == rows


@pytest.mark.parametrize("parameters", [[1, 2], [2**70], [[1]], [0] * 51])
async def test_parameters_that_do_not_fit_are_refused(travel: Travel, parameters: list[Any]) -> None:
    with pytest.raises(Said, match=r"sql|parameters"):
        await query(travel, "SELECT ?", parameters)


async def test_the_schema_names_two_tables_and_bookings_show_as_trips(travel: Travel) -> None:
    tables = {t["name"]: t["columns"] for t in (await ask(travel.urls["database"], "schema"))["tables"]}
    assert set(tables) == {"flights", "trips"}
    Ledger(travel.ledger).book("flight", "seen as a trip", {}, {"title": "To Denver", "total_usd": 12.5})
    found = await query(travel, "SELECT kind, total_usd, status FROM trips WHERE title = ?", ["To Denver"])
    assert found["rows"] == [["flight", 12.5, "booked"]]


async def test_the_files_are_as_they_were(travel: Travel, flight_data: Path) -> None:
    with sqlite3.connect(f"file:{flight_data / 'flights-2013.sqlite'}?mode=ro", uri=True) as db:
        assert db.execute("SELECT count(*) FROM flights").fetchone() == (336_776,)
        assert {name for (name,) in db.execute("SELECT name FROM sqlite_schema")} == {"flights", "about", "by_route"}
    db.close()


def test_a_folder_with_any_name_is_opened(tmp_path: Path, flight_data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    odd = tmp_path / "what? 100% #1"
    odd.mkdir()
    monkeypatch.setattr(database, "settings", TravelSettings.model_validate({"home": odd, "data": flight_data}))
    Ledger(f"sqlite:///{odd / 'ledger.sqlite'}").book("hotel", "a", {}, {"title": "t", "total_usd": 1.0})
    assert database.query("SELECT count(*) FROM trips").rows == [[1]]


async def test_bookings_in_postgres_show_as_trips(tmp_path: Path, postgres_url: str) -> None:
    Ledger(postgres_url).book("hotel", "a", {}, {"title": "Park Inn", "total_usd": 99.0})
    with Served.started("database", tmp_path, SUREFOOT_LEDGER_URL=postgres_url) as served:
        found = await ask(served.url, "query", sql="SELECT kind, title, total_usd FROM trips")
        assert found["rows"] == [["hotel", "Park Inn", 99.0]]
        with pytest.raises(Said, match="sql"):
            await ask(served.url, "query", sql="DELETE FROM trips")
