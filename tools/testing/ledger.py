"""What is to go wrong, what was asked and what was really done: three tables in one SQLite file.

The server's process and the test share the file, so a schedule survives the server's death, and nothing that was done
is forgotten by it.
"""

import json
import sqlite3
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

from tools.testing.faults import AnyFault, Mix, restored, stored

BUSY_S = 60.0
TABLES = """
CREATE TABLE IF NOT EXISTS schedule (id INTEGER PRIMARY KEY, tool TEXT, arguments TEXT, fault TEXT,
                                     used INT, times INT);
CREATE TABLE IF NOT EXISTS attempt (id INTEGER PRIMARY KEY, at REAL, tool TEXT, key TEXT, arguments TEXT, fault TEXT);
CREATE TABLE IF NOT EXISTS effect (id INTEGER PRIMARY KEY, at REAL, tool TEXT, key TEXT, arguments TEXT);
"""


@dataclass(frozen=True)
class Recorded:
    """One call that reached the server, or one effect it had.

    Attributes:
        tool: the tool's name; of other requests the method, e.g. "tools/list".
        key: the deduplication key, if there was one.
        arguments: of the call.
        fault: of a call: the name of the fault it met, if any.
        at: seconds since the epoch.
    """

    tool: str
    key: str | None
    arguments: dict[str, Any]
    fault: str | None
    at: float


class Ledger:
    """Schedule, attempts and effects of one fault server. Safe to share between threads and processes."""

    def __init__(self, path: Path) -> None:
        """`path` is made if there is no such file."""
        self._lock = threading.Lock()
        self._db = sqlite3.connect(path, timeout=BUSY_S, isolation_level=None, check_same_thread=False)
        self._db.execute("PRAGMA journal_mode = WAL")
        self._db.execute("PRAGMA synchronous = OFF")  # it has to survive processes, not power cuts
        self._db.executescript(TABLES)

    def close(self) -> None:
        """Let go of the file."""
        self._db.close()

    def plan(self, tool: str, fault: AnyFault | Mix, times: int | None, match: Mapping[str, Any]) -> None:
        """Schedule a fault for the next `times` calls of tools of this name or glob, with these arguments."""
        row = (tool, json.dumps(dict(match)), stored(fault), times)
        self._write("INSERT INTO schedule (tool, arguments, fault, used, times) VALUES (?, ?, ?, 0, ?)", row)

    def heal(self) -> None:
        """Nothing is to go wrong any more."""
        self._write("DELETE FROM schedule", ())

    def arrived(self, tool: str, key: str | None, arguments: Mapping[str, Any]) -> AnyFault | None:
        """Note an attempt, and take the fault that is scheduled for it, if one is."""
        with self._lock, self._db:
            self._db.execute("BEGIN IMMEDIATE")
            fault = self._taken(tool, arguments)
            name = type(fault).__name__ if fault else None
            row = (time.time(), tool, key, json.dumps(dict(arguments)), name)
            self._db.execute("INSERT INTO attempt (at, tool, key, arguments, fault) VALUES (?, ?, ?, ?, ?)", row)
        return fault

    def performed(self, tool: str, key: str | None, arguments: Mapping[str, Any]) -> None:
        """Note an effect."""
        row = (time.time(), tool, key, json.dumps(dict(arguments)))
        self._write("INSERT INTO effect (at, tool, key, arguments) VALUES (?, ?, ?, ?)", row)

    def performed_once(self, tool: str, key: str, arguments: Mapping[str, Any]) -> Recorded:
        """Note an effect, or find the one that this key had before."""
        row = (time.time(), tool, key, json.dumps(dict(arguments)))
        with self._lock, self._db:
            self._db.execute("BEGIN IMMEDIATE")
            if not (known := self._effects(tool, key)):
                self._db.execute("INSERT INTO effect (at, tool, key, arguments) VALUES (?, ?, ?, ?)", row)
                known = self._effects(tool, key)
        return known[0]

    def effects(self, tool: str = "*", key: str | None = None) -> list[Recorded]:
        """The effects of tools of this name or glob, in their order; `key`: only those of this key."""
        with self._lock:
            return self._effects(tool, key)

    def attempts(self, tool: str = "*") -> list[Recorded]:
        """The calls of tools of this name or glob, in their order."""
        with self._lock:
            rows = self._db.execute("SELECT tool, key, arguments, fault, at FROM attempt ORDER BY id").fetchall()
        return _matching(rows, tool)

    def _effects(self, tool: str, key: str | None) -> list[Recorded]:
        query = "SELECT tool, key, arguments, NULL, at FROM effect WHERE ? IS NULL OR key = ? ORDER BY id"
        return _matching(self._db.execute(query, (key, key)).fetchall(), tool)

    def _taken(self, tool: str, arguments: Mapping[str, Any]) -> AnyFault | None:
        """The first fault on the schedule that fits. A mix may draw none: then the next that fits."""
        rows = self._db.execute("SELECT id, tool, arguments, fault, used FROM schedule ORDER BY id").fetchall()
        for number, glob, match, fault, used in rows:
            if not fnmatchcase(tool, glob) or ("/" in tool and glob != tool):
                continue
            if any(name not in arguments or arguments[name] != value for name, value in json.loads(match).items()):
                continue
            self._db.execute("UPDATE schedule SET used = used + 1 WHERE id = ?", (number,))
            self._db.execute("DELETE FROM schedule WHERE id = ? AND used >= times", (number,))
            planned = restored(fault)
            if (drawn := planned.draw(used) if isinstance(planned, Mix) else planned) is not None:
                return drawn
        return None

    def _write(self, statement: str, values: tuple[Any, ...]) -> None:
        with self._lock:
            self._db.execute(statement, values)


def _matching(rows: list[tuple[Any, ...]], tool: str) -> list[Recorded]:
    return [
        Recorded(name, key, json.loads(arguments), fault, at)
        for name, key, arguments, fault, at in rows
        if fnmatchcase(name, tool) and ("/" not in name or name == tool)
    ]
