"""Tools of the tests, and their own ledger of what was really done: a file that every process appends to."""

import asyncio
import os
import sqlite3
import threading
from pathlib import Path
from typing import Any

from tools.effects import Effect
from tools.local import tool
from tools.outcome import Unavailable

_here = threading.local()


def ledger() -> sqlite3.Connection:
    """One connection a thread; the file is named by the test's environment."""
    if not hasattr(_here, "db"):
        db = _here.db = sqlite3.connect(os.environ["TEST_LEDGER"], timeout=60, isolation_level=None)
        db.execute("PRAGMA journal_mode=WAL")
        db.execute("CREATE TABLE IF NOT EXISTS effect(key TEXT PRIMARY KEY, item TEXT)")
        db.execute("CREATE TABLE IF NOT EXISTS attempt(key TEXT, item TEXT, pid INT)")
    return _here.db


def attempts(path: Path) -> list[tuple[str, str]]:
    """Every call that reached a tool."""
    return _rows(path, "SELECT key, item FROM attempt ORDER BY rowid")


def effects(path: Path) -> list[tuple[str, str]]:
    """Every effect there is."""
    return _rows(path, "SELECT key, item FROM effect ORDER BY key")


def in_flight(path: Path) -> int:
    """How many calls have reached a tool and have no effect yet."""
    return len(attempts(path)) - len(effects(path))


def _rows(path: Path, query: str) -> list[Any]:
    with sqlite3.connect(path, timeout=60) as db:
        tables = db.execute("SELECT count(*) FROM sqlite_master WHERE name IN ('effect', 'attempt')").fetchone()[0]
        return db.execute(query).fetchall() if tables == 2 else []


@tool(effect=Effect.READ)
async def search(what: str) -> dict[str, Any]:
    """Find something."""
    return {"found": f"{what}-1"}


@tool(effect=Effect.KEYED)
async def book(item: str, key: str, seconds: float = 0.0) -> dict[str, Any]:
    """Book it, once a key."""
    db = ledger()
    db.execute("INSERT INTO attempt VALUES (?, ?, ?)", (key, item, os.getpid()))
    if seconds:
        await asyncio.sleep(seconds)
    db.execute("INSERT INTO effect VALUES (?, ?) ON CONFLICT DO NOTHING", (key, item))
    return {"booked": item, "key": key}


@tool(effect=Effect.KEYED)
async def flaky(item: str, times: int, key: str, after_s: float = 0.05) -> dict[str, Any]:
    """Be unavailable so many times, then book."""
    db = ledger()
    before = db.execute("SELECT count(*) FROM attempt WHERE key = ?", (key,)).fetchone()[0]
    db.execute("INSERT INTO attempt VALUES (?, ?, ?)", (key, item, os.getpid()))
    if before < times:
        raise Unavailable("desk.flaky", "down for now", retry_after_s=after_s)
    db.execute("INSERT INTO effect VALUES (?, ?) ON CONFLICT DO NOTHING", (key, item))
    return {"booked": item}


@tool(effect=Effect.KEYED)
async def cancel(booked: str, key: str, seconds: float = 0.0) -> dict[str, Any]:
    """Take a booking back."""
    return await book(f"no {booked}", key, seconds)


@tool(effect=Effect.UNSAFE)
async def wire(item: str, key: str, seconds: float = 0.0) -> dict[str, Any]:
    """Send money: each time, and nobody can tell."""
    return await book(item, key, seconds)


@tool(effect=Effect.READ)
async def refuse(why: str) -> dict[str, Any]:
    """Say no."""
    raise ValueError(why)


@tool(effect=Effect.KEYED)
async def gift(item: str, key: str) -> dict[str, Any]:
    """Book it; nobody says what that costs."""
    return await book(item, key)
