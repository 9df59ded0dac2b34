"""What a fleet or embedded server that was killed, its watchers too, left in a home. A live one's files are locked."""

from pathlib import Path

from orchestrator.embedded import address, announcement
from orchestrator.fleet import roster
from orchestrator.fleet.lock import abandoned


def clear(home: Path) -> list[Path]:
    """Remove sockets, announcement, locks and mcp.json of the dead; returns what was removed. The data stays.

    Raises:
        OSError: a file cannot be removed.
    """
    home = home.resolve()
    removed: list[Path] = []
    for lock, files in ((home / "embedded.lock", _servers), (home / "fleet.lock", _fleets)):
        with abandoned(lock) as dead:
            if dead:
                removed += [_gone(path) for path in (*files(home), lock) if path.exists()]
    return removed


def _servers(home: Path) -> list[Path]:
    sockets = [path for place in address.candidates(home) for path in place.files]
    return [*announcement.files(home), *dict.fromkeys(sockets)]


def _fleets(home: Path) -> list[Path]:
    return roster.leftovers(home / "mcp.json")


def _gone(path: Path) -> Path:
    if path.is_dir():
        path.rmdir()
    else:
        path.unlink()
    return path
