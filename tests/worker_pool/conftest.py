"""A real server and real workers for the tests of the pool."""

import importlib
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from redis import Redis

from tests.support.valkey import Valkey, valkey
from tests.support.waiting import wait_until

ROOT = Path(__file__).parents[2]


@dataclass
class Theatre:
    """A server, workers of the tests' application, and what its tasks noted."""

    server: Valkey
    folder: Path
    redis: Any
    workers: list[subprocess.Popen[bytes]] = field(default_factory=list[subprocess.Popen[bytes]])

    def worker(self, *options: str, pool: str = "custom", **environment: str) -> subprocess.Popen[bytes]:
        """Start a worker and wait until it takes messages."""
        number = len(self.workers)
        command = [sys.executable, "-m", "celery", "-A", "tests.worker_pool.app", "worker", "-P", pool]
        command += ["--loglevel=INFO", "--without-mingle", "--without-gossip", "-n", f"w{number}@here", *options]
        known = {"TEST_BROKER": self.server.broker_url, "CELERY_CUSTOM_WORKER_POOL": "workers.pool:TaskPool"}
        with (self.folder / f"{number}.log").open("wb") as log:
            process = subprocess.Popen(
                command, cwd=ROOT, env={**os.environ, **known, **environment}, stdout=log, stderr=log
            )
        self.workers.append(process)
        wait_until(lambda: " ready." in self.log(number), f"worker {number} is ready: {self.log(number)}")
        return process

    def log(self, number: int = 0) -> str:
        return (self.folder / f"{number}.log").read_text()

    def noted(self, key: str) -> list[str]:
        return [value.decode() for value in self.redis.lrange(key, 0, -1)]

    def waiting(self, queue: str = "one") -> int:
        return int(self.redis.llen(queue))

    def ends(self, process: subprocess.Popen[bytes], *signals: signal.Signals, within_s: float) -> int:
        """Send the signals, each after the one before was seen, and wait for the worker's end."""
        for number, each in enumerate(signals, 1):
            process.send_signal(each)
            wait_until(
                lambda n=number: self.log().count("shutdown (MainProcess)") >= n or process.poll() is not None, "seen"
            )
        return process.wait(within_s)


@pytest.fixture
def theatre(tmp_path: Path) -> Iterator[Theatre]:
    with valkey() as server:
        one = Theatre(server, tmp_path, Redis(unix_socket_path=str(server.socket)))
        yield one
        for process in one.workers:
            process.kill()
            process.wait()


@pytest.fixture
def tasks(theatre: Theatre, monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """The tests' application, connected to the test's server."""
    monkeypatch.setenv("TEST_BROKER", theatre.server.broker_url)
    sys.modules.pop("tests.worker_pool.app", None)
    module = importlib.import_module("tests.worker_pool.app")
    yield module
    module.app.close()
    sys.modules.pop("tests.worker_pool.app", None)
