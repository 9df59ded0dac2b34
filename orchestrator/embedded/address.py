"""The unix socket of the embedded server: in its home, or, where a socket cannot be there, in a private folder."""

import hashlib
import os
import socket
import stat
import tempfile
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

from orchestrator.errors import SurefootError

_NAME = "valkey.sock"


class NoSocketAddress(SurefootError):
    """No unix socket can be made."""


@dataclass(frozen=True)
class Address:
    """A unix socket and its URLs; `folder` is set if it was made for the socket alone."""

    path: Path
    folder: Path | None = None

    @property
    def redis_url(self) -> str:
        """For Redis clients."""
        return f"unix://{quote(str(self.path))}"

    @property
    def broker_url(self) -> str:
        """For Celery."""
        return f"redis+socket://{quote(str(self.path))}?virtual_host=0"

    @property
    def files(self) -> tuple[Path, ...]:
        """What there is to remove, in this order."""
        return (self.path, self.folder) if self.folder else (self.path,)

    def ping(self) -> str:
        """The server's answer to PING, without the line's end; empty if there is none."""
        with socket.socket(socket.AF_UNIX) as connection:
            connection.settimeout(1.0)
            try:
                connection.connect(str(self.path))
                connection.sendall(b"PING\r\n")
                return connection.recv(128).decode(errors="replace").strip()
            except OSError:
                return ""

    def remove(self) -> None:
        """Remove the socket and its folder."""
        self.path.unlink(missing_ok=True)
        if self.folder and self.folder.exists():
            self.folder.rmdir()


def choose(home: Path) -> Address:
    """A place where a socket can be bound; leftovers there are removed. The home must be locked.

    Raises:
        NoSocketAddress: neither the home nor a temporary folder takes one.
    """
    refusals: list[str] = []
    for address in candidates(home):
        try:
            _check(address)
        except OSError as error:
            refusals.append(f"{address.path}: {error.strerror or error}")
        else:
            return address
    raise NoSocketAddress("cannot make a unix socket: " + "; ".join(refusals))


def candidates(home: Path) -> tuple[Address, ...]:
    """Where the socket of a home may be, the best place first."""
    return (Address(home / _NAME), *(_private(parent, home) for parent in (Path(tempfile.gettempdir()), Path("/tmp"))))  # noqa: S108


def _private(parent: Path, home: Path) -> Address:
    """A folder of our own, with the same name for the same home so that leftovers are found again."""
    folder = parent / f"surefoot-{os.getuid()}-{hashlib.sha256(str(home).encode()).hexdigest()[:12]}"
    return Address(folder / _NAME, folder)


def _check(address: Address) -> None:
    """Bind a socket there once: the path may be too long, the file system may know no sockets."""
    if address.folder:
        address.folder.mkdir(mode=0o700, exist_ok=True)
        found = address.folder.lstat()
        if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.getuid() or stat.S_IMODE(found.st_mode) & 0o077:
            raise PermissionError(0, "is not a private folder of ours")
    address.path.unlink(missing_ok=True)
    try:
        with socket.socket(socket.AF_UNIX) as probe:
            probe.bind(str(address.path))
    except OSError:
        address.remove()
        raise
    address.path.unlink()
