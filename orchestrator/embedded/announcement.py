"""Where the embedded server of a home listens: `embedded.json`, there while the server runs."""

import json
import os
from pathlib import Path

import structlog

from orchestrator.fleet.lock import alive

FILE = "embedded.json"
_log = structlog.get_logger(__name__)


def endpoint(home: Path) -> str | None:
    """The Redis URL of the embedded server that runs in this home; None if none does."""
    path = home / FILE
    try:
        found = json.loads(path.read_text())
        url, pid = str(found["redis_url"]), int(found["pid"])
    except (FileNotFoundError, NotADirectoryError):
        return None
    except (ValueError, KeyError, TypeError):
        _log.warning("damaged file ignored", path=str(path))
        return None
    return url if alive(pid) else None


def publish(home: Path, *, redis_url: str, broker_url: str) -> None:
    """Write `embedded.json` in one move: a reader sees all of it or none. `pid` is the process that keeps it up."""
    final, draft = files(home)
    draft.write_text(json.dumps({"redis_url": redis_url, "broker_url": broker_url, "pid": os.getpid()}) + "\n")
    draft.replace(final)


def withdraw(home: Path) -> None:
    """Remove `embedded.json`: nobody should connect any more."""
    for path in files(home):
        path.unlink(missing_ok=True)


def files(home: Path) -> tuple[Path, Path]:
    """The announcement and its draft."""
    return home / FILE, home / f"{FILE}.draft"
