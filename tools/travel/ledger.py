"""What was booked: key, fingerprint of the arguments, result and effect are one database transaction.

Same key, same arguments: the same answer. Same key, other arguments: refused. SQLite by default, PostgreSQL by URL.
"""

import argparse
import contextlib
import hashlib
import json
import threading
import uuid
from collections.abc import Callable, Generator, Mapping
from typing import Any

from tools.travel.refused import NotNow, Refused, Uncertain
from tools.travel.store import BUSY_S, TABLES, SqliteStore, Store

TURN_S = 5.0
"""A booking takes two turns and one lock at most: it must have said so before a client gives up on it (20 s)."""
CONNECTION: dict[str, Any] = {"application_name": "surefoot", "connect_timeout": 5} | {
    "tcp_user_timeout": 15_000, "keepalives_idle": 5, "keepalives_interval": 3, "keepalives_count": 3,
}  # fmt: skip
"""A server that vanished without a word is noticed within 15 s."""
Run = Callable[[str, tuple[Any, ...]], Any]


class LedgerUnavailable(NotNow):
    """The ledger cannot be used now; nothing was booked."""


class LedgerUncertain(Uncertain):
    """The database was lost while it committed: the booking exists, or it does not; its key tells."""


class KeyReused(Refused):
    """This deduplication key was used with other arguments."""


class Ledger:
    """Books each key once. Safe to share between threads and processes."""

    def __init__(self, url: str) -> None:
        """`url` is sqlite:///path or postgresql://..."""
        self._store: Store = SqliteStore(url) if url.startswith("sqlite:///") else PostgresStore(url)
        self._turns = threading.BoundedSemaphore(self._store.connections)
        self._idle: list[Any] = []

    def book(
        self, kind: str, key: str | None, arguments: Mapping[str, Any], booking: Mapping[str, Any]
    ) -> dict[str, Any]:
        """Store a booking under its key; with a known key, the booking that was stored then.

        Args:
            kind: flight, hotel or table.
            key: the deduplication key; without one nothing is deduplicated.
            arguments: what was asked, compared when the key is used again.
            booking: the answer; gets `booking_id`, `key` and `status`. Needs `title` and `total_usd`.

        Raises:
            KeyReused: the key was used with other arguments.
            LedgerUnavailable: the database is locked, full or away; nothing was booked.
            LedgerUncertain: the database was lost while it committed.
        """
        key = key or f"unkeyed-{uuid.uuid4().hex}"
        booking_id = f"{kind[0].upper()}-{hashlib.sha256(key.encode()).hexdigest()[:16].upper()}"
        result = {**booking, "booking_id": booking_id, "key": key, "status": "booked"}
        entry = (key, _fingerprint(kind, arguments), json.dumps(result), booking_id)
        with self._transaction() as run:
            if run("INSERT INTO entry VALUES (?, ?, ?, ?) ON CONFLICT (dedup_key) DO NOTHING", entry).rowcount:
                values = (booking_id, kind, booking["title"], booking["total_usd"], "booked", key)
                run("INSERT INTO booking VALUES (?, ?, ?, ?, ?, ?)", values)
                return result
            known = _entry(run, key)
        return _answered(known, kind, key, arguments)

    def booked(self, kind: str, key: str, arguments: Mapping[str, Any]) -> dict[str, Any] | None:
        """What `book` answered under this key; None if it is new.

        Raises:
            KeyReused: the key was used with other arguments.
            LedgerUnavailable: the database cannot be read now.
        """
        with self._transaction(writes=False) as run:
            known = _entry(run, key)
        return known and _answered(known, kind, key, arguments)

    def cancel(self, kind: str, booking_id: str) -> str:
        """Cancel a booking; once or twice is the same.

        Raises:
            Refused: there is no such booking.
            LedgerUnavailable: as for `book`; so is LedgerUncertain.
        """
        with self._transaction() as run:
            done = run("UPDATE booking SET status = 'cancelled' WHERE id = ? AND kind = ?", (booking_id, kind)).rowcount
        if not done:
            raise Refused(f"booking_id: no {kind} is booked as {booking_id[:40]!r}")
        return "cancelled"

    def lookup(self, kind: str, key: str) -> dict[str, Any] | None:
        """What became of a key: the booking with its status now, or None.

        Raises:
            LedgerUnavailable: the database cannot be read now.
        """
        with self._transaction(writes=False) as run:
            row = run(
                "SELECT entry.result, booking.status FROM entry JOIN booking ON booking.id = entry.booking_id "
                "WHERE entry.dedup_key = ? AND booking.kind = ?",
                (key, kind),
            ).fetchone()
        return None if row is None else {**json.loads(row[0]), "status": row[1]}

    def bookings(self, columns: str, most: int) -> list[tuple[Any, ...]]:
        """All bookings, in the order of their ids.

        Raises:
            LedgerUnavailable: the database cannot be read now.
        """
        with self._transaction(writes=False) as run:
            return run(f"SELECT {columns} FROM booking ORDER BY id LIMIT ?", (most,)).fetchall()  # noqa: S608 - our names

    def count(self) -> int:
        """How many bookings stand."""
        with self._transaction(writes=False) as run:
            return run("SELECT count(*) FROM booking WHERE status = 'booked'", ()).fetchone()[0]

    @contextlib.contextmanager
    def _transaction(self, *, writes: bool = True) -> Generator[Run]:
        """A function that runs statements; all of them happen, or none."""
        if not self._turns.acquire(timeout=TURN_S):
            raise LedgerUnavailable(f"the ledger had no turn for this call within {TURN_S:g} s")
        try:
            connection = self._begun(writes=writes)
            try:
                yield lambda sql, values: connection.execute(self._store.dialect(sql), values)
            except BaseException as error:
                self._roll_back(connection)
                if isinstance(error, self._store.errors()):
                    raise self._unavailable(error) from error
                raise
            self._commit(connection)
            self._idle.append(connection)
        finally:
            self._turns.release()

    def _begun(self, *, writes: bool) -> Any:
        """A connection in a transaction. One that was idle may have been lost meanwhile: then a new one."""
        while self._idle:
            connection = self._idle.pop()
            try:
                connection.execute(self._store.begin[writes])
            except self._store.errors() as error:
                if not self._store.lost(error):
                    self._idle.append(connection)
                    raise self._unavailable(error) from error
                self._drop(connection)
            else:
                return connection
        try:
            connection = self._store.open()
            connection.execute(self._store.begin[writes])
        except self._store.errors() as error:
            raise self._unavailable(error) from error
        return connection

    def _commit(self, connection: Any) -> None:
        try:
            connection.execute("COMMIT")
        except self._store.errors() as error:
            if self._store.lost(error):
                self._drop(connection)
                raise LedgerUncertain(f"the ledger was lost while it committed: {_line(error)}") from error
            self._roll_back(connection)
            raise self._unavailable(error) from error

    def _roll_back(self, connection: Any) -> None:
        """Undo what was begun. The connection is kept: on a full disk a new one could not even read."""
        try:
            self._store.roll_back(connection)
        except self._store.errors():
            self._drop(connection)
        else:
            self._idle.append(connection)

    def _drop(self, connection: Any) -> None:
        with contextlib.suppress(*self._store.errors()):  # it may be closed already
            connection.close()

    def _unavailable(self, error: BaseException) -> LedgerUnavailable:
        return LedgerUnavailable(f"the ledger cannot be used now: {_line(error)}; nothing was booked")


class PostgresStore:
    """A few connections a process: three servers with forty threads each would be more than PostgreSQL takes."""

    connections = 8
    begin: Mapping[bool, str] = {True: "BEGIN ISOLATION LEVEL READ COMMITTED", False: "BEGIN READ ONLY"}

    def __init__(self, url: str) -> None:
        self._url = url

    def open(self) -> Any:
        """A connection with its limits set, the tables made once."""
        import psycopg  # noqa: PLC0415 - only with a PostgreSQL ledger

        db: Any = psycopg.connect(self._url, autocommit=True, prepare_threshold=None, **CONNECTION)
        db.execute(f"SET lock_timeout = {int(BUSY_S * 1000)}")
        with db.transaction():
            db.execute("SELECT pg_advisory_xact_lock(7433)")  # CREATE IF NOT EXISTS races with itself
            for table in TABLES:
                db.execute(table)
        return db

    def roll_back(self, connection: Any) -> None:
        """Without a transaction this is a warning only."""
        connection.execute("ROLLBACK")

    def dialect(self, sql: str) -> str:
        """PostgreSQL's mark."""
        return sql.replace("?", "%s")

    def errors(self) -> tuple[type[Exception], ...]:
        """Those that say something about the server. The others would be faults of ours, and waiting cures none."""
        import psycopg  # noqa: PLC0415 - only with a PostgreSQL ledger

        return (psycopg.OperationalError, psycopg.InterfaceError, psycopg.InternalError)

    def lost(self, error: Exception) -> bool:
        """No state of the server's at all, a connection exception, or a server that shuts down."""
        return getattr(error, "sqlstate", None) is None or str(getattr(error, "sqlstate", "")).startswith(("08", "57"))


def _fingerprint(kind: str, arguments: Mapping[str, Any]) -> str:
    return hashlib.sha256(json.dumps([kind, arguments], sort_keys=True).encode()).hexdigest()


def _entry(run: Run, key: str) -> tuple[str, str] | None:
    return run("SELECT fingerprint, result FROM entry WHERE dedup_key = ?", (key,)).fetchone()


def _answered(known: tuple[str, str] | None, kind: str, key: str, arguments: Mapping[str, Any]) -> dict[str, Any]:
    assert known is not None, "an entry is never removed"
    if known[0] != _fingerprint(kind, arguments):
        raise KeyReused(f"key: {key!r} was used before with other arguments")
    return json.loads(known[1])


def _line(error: BaseException) -> str:
    return str(error).strip().partition("\n")[0] or type(error).__name__


def main() -> None:
    """Count the bookings of a ledger."""
    parser = argparse.ArgumentParser(prog="python -m tools.travel.ledger", description=main.__doc__)
    parser.add_argument("--url", required=True, help="sqlite:///path or postgresql://...")
    parser.add_argument("--count", action="store_true", help="the default, and all it does")
    print(Ledger(parser.parse_args().url).count())  # noqa: T201 - what was asked for


if __name__ == "__main__":
    main()
