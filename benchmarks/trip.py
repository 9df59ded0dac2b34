"""The work both sides do, as pure functions: five steps and six tool calls a job.

route -> (flights | hotels | weather, each: search, then book) -> solve
"""

import os
import sqlite3
import threading
from functools import cache
from pathlib import Path
from typing import Any

SPECIALISTS = ("flights", "hotels", "weather")
CHEAPEST_USD = 100
LEDGER = "BENCH_LEDGER"
"""The environment variable that names the SQLite file standing for the outside world."""


def request(job: str) -> dict[str, Any]:
    """What one job is asked."""
    return {"job": job, "destination": "Lisbon", "nights": 4, "budget_usd": 1_800}


def route(nights: int) -> list[str]:
    """Who is needed."""
    return list(SPECIALISTS) if nights > 0 else []


def search(what: str, destination: str) -> dict[str, Any]:
    """Four offers, about half a kilobyte."""
    offers = [{"id": f"{what}-{i}", "price_usd": CHEAPEST_USD + 17 * i, "note": "." * 60} for i in range(4)]
    return {"what": what, "destination": destination, "offers": offers}


def book(job: str, what: str, offer: str, key: str) -> dict[str, Any]:
    """Enter a booking into the ledger, once a key; every attempt is counted."""
    _ledger().book(job, what, offer, key)
    return {"booked": offer, "key": key}


def solve(parts: list[dict[str, Any]]) -> dict[str, Any]:
    """The join: the parts in order, and their sum."""
    by_name = {part["what"]: part for part in parts}
    total = sum(part["found"]["offers"][0]["price_usd"] for part in parts)
    return {"total_usd": total, "itinerary": [by_name[name] for name in SPECIALISTS]}


def right(result: dict[str, Any]) -> bool:
    """Whether this is what `solve` must come to."""
    names = tuple(part["what"] for part in result["itinerary"])
    return names == SPECIALISTS and result["total_usd"] == CHEAPEST_USD * len(SPECIALISTS)


class Ledger:
    """One SQLite file, one connection a process. The tool itself never waits for the disk (synchronous=NORMAL)."""

    def __init__(self, path: Path) -> None:
        self._turn = threading.Lock()
        self._db = sqlite3.connect(path, timeout=60, isolation_level=None, check_same_thread=False)
        self._db.execute("PRAGMA journal_mode=WAL")
        self._db.execute("PRAGMA synchronous=NORMAL")
        self._db.execute("CREATE TABLE IF NOT EXISTS attempt(key TEXT, job TEXT)")
        self._db.execute("CREATE TABLE IF NOT EXISTS booking(key TEXT PRIMARY KEY, job TEXT, what TEXT, offer TEXT)")

    def book(self, job: str, what: str, offer: str, key: str) -> None:
        """Count the attempt; book unless the key already did. One transaction."""
        with self._turn:
            self._db.execute("BEGIN IMMEDIATE")
            self._db.execute("INSERT INTO attempt VALUES(?, ?)", (key, job))
            self._db.execute("INSERT INTO booking VALUES(?, ?, ?, ?) ON CONFLICT DO NOTHING", (key, job, what, offer))
            self._db.execute("COMMIT")

    def count(self) -> dict[str, int]:
        """Attempts, bookings, and the different things booked; all three are equal when each effect happened once."""
        one = "SELECT (SELECT count(*) FROM attempt), (SELECT count(*) FROM booking), count(*) FROM "
        attempts, bookings, things = self._db.execute(one + "(SELECT DISTINCT job, what FROM booking)").fetchone()
        return {"attempts": attempts, "bookings": bookings, "things": things}

    def close(self) -> None:
        """Close the file."""
        self._db.close()


@cache
def _ledger() -> Ledger:
    return Ledger(Path(os.environ[LEDGER]))
