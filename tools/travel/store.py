"""The tables of the ledger, what it needs of a database, and SQLite."""

import sqlite3
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Protocol

BUSY_S, AGAIN_S = 5.0, 0.02
TABLES = (
    """CREATE TABLE IF NOT EXISTS booking (id TEXT PRIMARY KEY, kind TEXT NOT NULL, title TEXT NOT NULL,
       total_usd REAL NOT NULL, status TEXT NOT NULL, dedup_key TEXT NOT NULL)""",
    """CREATE TABLE IF NOT EXISTS entry (dedup_key TEXT PRIMARY KEY, fingerprint TEXT NOT NULL, result TEXT NOT NULL,
       booking_id TEXT NOT NULL)""",
)


class Store(Protocol):
    """What the two databases do differently."""

    connections: int
    begin: Mapping[bool, str]

    def open(self) -> Any:
        """A connection that commits when told to, with the tables in place."""
        ...

    def roll_back(self, connection: Any) -> None:
        """End a transaction, if there is one, as if it had never begun."""
        ...

    def dialect(self, sql: str) -> str:
        """A statement with this database's mark for a parameter."""
        ...

    def errors(self) -> tuple[type[Exception], ...]:
        """What it raises."""
        ...

    def lost(self, error: Exception) -> bool:
        """Whether the connection is gone, so that a COMMIT that ended in this error may have happened."""
        ...


class SqliteStore:
    """One connection a process: SQLite has one writer anyway, and waiting here is fairer than its polling."""

    connections = 1
    begin: Mapping[bool, str] = {True: "BEGIN IMMEDIATE", False: "BEGIN"}
    not_done = frozenset(
        {sqlite3.SQLITE_BUSY, sqlite3.SQLITE_FULL, sqlite3.SQLITE_READONLY, sqlite3.SQLITE_IOERR_WRITE}
    )

    def __init__(self, url: str) -> None:
        self._path = Path(url.removeprefix("sqlite:///"))

    def open(self) -> sqlite3.Connection:
        """A connection in WAL mode, the tables made once."""
        self._path.parent.mkdir(parents=True, exist_ok=True)
        db = sqlite3.connect(self._path, timeout=BUSY_S, isolation_level=None, check_same_thread=False)
        self._set_wal(db)
        db.execute("PRAGMA synchronous = FULL")  # an answered booking survives a power cut
        for table in TABLES:
            db.execute(table)
        return db

    def _set_wal(self, db: sqlite3.Connection) -> None:
        """SQLite does not wait for the lock when several processes open a new file at once; we do."""
        end = time.monotonic() + BUSY_S
        while True:
            try:
                db.execute("PRAGMA journal_mode = WAL")
            except sqlite3.OperationalError as error:
                if error.sqlite_errorcode != sqlite3.SQLITE_BUSY or time.monotonic() > end:
                    raise
                time.sleep(AGAIN_S)
            else:
                return

    def roll_back(self, connection: sqlite3.Connection) -> None:
        """After some errors SQLite has done it itself."""
        if connection.in_transaction:
            connection.execute("ROLLBACK")

    def dialect(self, sql: str) -> str:
        """Our statements are written in it."""
        return sql

    def errors(self) -> tuple[type[Exception], ...]:
        """SQLite's, and those of making the folder."""
        return (sqlite3.Error, OSError)

    def lost(self, error: Exception) -> bool:
        """All but the errors after which SQLite certainly rolled back."""
        return getattr(error, "sqlite_errorcode", sqlite3.SQLITE_FULL) not in self.not_done
