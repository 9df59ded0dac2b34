"""The ledger, on SQLite and on PostgreSQL: each key is booked once, whatever happens in between."""

import multiprocessing
import sqlite3
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any

import psycopg
import pytest

from tests.support.stage import ROOT
from tests.tools_travel.losing import Losing
from tools.travel import store
from tools.travel.ledger import KeyReused, Ledger, LedgerUnavailable, LedgerUncertain
from tools.travel.refused import Refused

BOOKING = {"title": "Denver", "total_usd": 12.5}


def book(ledger: Ledger, key: str | None = "a", **arguments: Any) -> dict[str, Any]:
    return ledger.book("flight", key, arguments or {"x": 1}, BOOKING)


def test_a_key_is_booked_once_and_answers_the_same(ledger_url: str) -> None:
    ledger = Ledger(ledger_url)
    assert ledger.booked("flight", "a", {"x": 1}) is None
    first = book(ledger)
    assert book(ledger) == book(Ledger(ledger_url)) == ledger.booked("flight", "a", {"x": 1}) == first
    assert first == {**BOOKING, "booking_id": first["booking_id"], "key": "a", "status": "booked"}
    assert ledger.count() == 1


def test_a_key_with_other_arguments_or_for_something_else_is_refused(ledger_url: str) -> None:
    ledger = Ledger(ledger_url)
    book(ledger)
    with pytest.raises(KeyReused, match="'a' was used before with other arguments"):
        book(ledger, x=2)
    with pytest.raises(KeyReused):
        ledger.book("hotel", "a", {"x": 1}, BOOKING)
    with pytest.raises(KeyReused):
        ledger.booked("flight", "a", {"x": 2})
    assert ledger.count() == 1


def test_without_a_key_nothing_is_deduplicated(ledger_url: str) -> None:
    ledger = Ledger(ledger_url)
    assert book(ledger, None)["booking_id"] != book(ledger, None)["booking_id"]
    assert ledger.count() == 2


def test_cancelling_twice_is_cancelling_once(ledger_url: str) -> None:
    ledger = Ledger(ledger_url)
    booking_id = book(ledger)["booking_id"]
    assert [ledger.cancel("flight", booking_id) for _ in range(2)] == ["cancelled"] * 2
    looked = ledger.lookup("flight", "a")
    assert looked is not None
    assert (looked["status"], ledger.count()) == ("cancelled", 0)
    assert book(ledger)["booking_id"] == booking_id
    assert ledger.count() == 0, "the same key does not book again what was cancelled"
    with pytest.raises(Refused, match="booking_id"):
        ledger.cancel("hotel", booking_id)
    assert ledger.lookup("hotel", "a") is None
    assert ledger.lookup("flight", "b") is None


def test_fifty_threads_book_one_key_once(ledger_url: str) -> None:
    ledger = Ledger(ledger_url)
    with ThreadPoolExecutor(50) as threads:
        booked = list(threads.map(partial(book, ledger), ["a"] * 50))
    assert all(one == booked[0] for one in booked)
    assert ledger.count() == 1


def book_all(url: str, keys: list[str]) -> list[str]:
    ledger = Ledger(url)
    with ThreadPoolExecutor(10) as threads:
        return [booked["booking_id"] for booked in threads.map(partial(book, ledger), keys)]


def test_processes_that_meet_on_a_new_ledger_book_each_key_once(ledger_url: str) -> None:
    keys = [f"key-{n}" for n in range(40)]
    with multiprocessing.get_context("spawn").Pool(4) as processes:
        booked = processes.starmap(book_all, [(ledger_url, keys)] * 4)
    assert all(one == booked[0] for one in booked)
    assert Ledger(ledger_url).count() == len(set(booked[0])) == 40


def test_bookings_are_counted_by_a_command(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'l.sqlite'}"
    book(Ledger(url))
    command = [sys.executable, "-m", "tools.travel.ledger", "--url", url, "--count"]
    assert subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True).stdout == "1\n"


def test_a_locked_ledger_books_nothing_and_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(store, "BUSY_S", 0.2)
    ledger = Ledger(f"sqlite:///{tmp_path / 'l.sqlite'}")
    book(ledger)
    holder = sqlite3.connect(tmp_path / "l.sqlite", isolation_level=None)
    holder.execute("BEGIN IMMEDIATE")
    with pytest.raises(LedgerUnavailable, match="database is locked; nothing was booked"):
        book(ledger, "b")
    assert ledger.lookup("flight", "b") is None, "reading needs no lock"
    holder.execute("ROLLBACK")
    holder.close()
    assert book(ledger, "b")["key"] == "b"
    assert ledger.count() == 2


def test_a_file_that_is_no_ledger_is_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "notes.txt"
    path.write_text("not a database, but long enough to look like one might" * 20)
    before = path.read_bytes()
    with pytest.raises(LedgerUnavailable, match="not a database"):
        book(Ledger(f"sqlite:///{path}"))
    assert path.read_bytes() == before


def test_a_postgres_that_is_away_is_unavailable() -> None:
    with pytest.raises(LedgerUnavailable, match="refused"):
        book(Ledger("postgresql://postgres@127.0.0.1:1/none"))


def test_connections_that_postgres_ended_are_replaced(postgres_url: str) -> None:
    ledger = Ledger(postgres_url)
    with ThreadPoolExecutor(8) as threads:
        list(threads.map(partial(book, ledger), [f"key-{n}" for n in range(8)]))
    with psycopg.connect(postgres_url, autocommit=True) as admin:
        admin.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
            "WHERE datname = current_database() AND pid <> pg_backend_pid()"
        )
    assert book(ledger, "key-0")["key"] == "key-0"
    assert ledger.count() == 8


def test_a_commit_whose_answer_is_lost_is_uncertain_and_its_key_tells(postgres_url: str) -> None:
    straight = Ledger(postgres_url)
    book(straight, "before")
    with Losing(postgres_url) as losing:
        ledger = Ledger(losing.url)
        assert ledger.lookup("flight", "a") is None  # connected, the tables made
        losing.after = b"COMMIT\x00"  # not the READ COMMITTED of BEGIN
        with pytest.raises(LedgerUncertain):
            book(ledger, "a")
        losing.after = None
        assert book(ledger, "a")["key"] == "a"
    assert straight.count() == 2


def test_a_connection_lost_before_the_commit_books_nothing(postgres_url: str) -> None:
    straight = Ledger(postgres_url)
    book(straight, "before")
    with Losing(postgres_url) as losing:
        ledger = Ledger(losing.url)
        losing.after = b"INSERT INTO booking"
        with pytest.raises(LedgerUnavailable):
            book(ledger, "a")
        assert straight.lookup("flight", "a") is None
        losing.after = None
        assert book(ledger, "a")["key"] == "a"
    assert straight.count() == 2
