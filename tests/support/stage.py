"""A stage for end-to-end tests: a real server, real worker processes, an orchestrator."""

import itertools
import json
import os
import signal
import subprocess
import sys
from collections.abc import Generator, Iterator, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from orchestrator import Orchestrator
from tests.support.rabbitmq import rabbitmq
from tests.support.valkey import Valkey, valkey
from tests.support.waiting import wait_until

ROOT = Path(__file__).parents[2]
QUICK: dict[str, Any] = {"lease_s": 1.5, "sweep_s": 0.1, "grace_s": 0.5, "backoff_s": 0.05, "backoff_max_s": 0.2}


@dataclass
class Stage:
    """What a test plays on."""

    server: Valkey
    folder: Path
    environment: dict[str, str]
    app: Orchestrator
    broker_url: str = ""
    workers: list[subprocess.Popen[bytes]] = field(default_factory=list[subprocess.Popen[bytes]])
    processes: list[subprocess.Popen[bytes]] = field(default_factory=list[subprocess.Popen[bytes]])
    _numbers: Iterator[int] = field(default_factory=lambda: itertools.count(1))

    @property
    def ledger(self) -> Path:
        return self.folder / "ledger.sqlite"

    def worker(self, *options: str) -> subprocess.Popen[bytes]:
        """Start a worker, and wait until it is ready; its output is in the test's folder."""
        number = next(self._numbers)
        process = self.process("workers", f"worker-{number}", "--name", f"w{number}", *options)
        self.workers.append(process)
        wait_until(lambda: b"ready." in self.log(number), f"worker {number} is ready\n{self.log(number)!r}")
        return process

    def process(self, module: str, log: str, *options: str) -> subprocess.Popen[bytes]:
        """Start a module in a process group of its own; its output is added to this log in the test's folder."""
        with (self.folder / f"{log}.log").open("ab") as output:
            command = [sys.executable, "-m", module, *options]
            process = subprocess.Popen(
                command, cwd=ROOT, env=self.environment, stdout=output, stderr=output, start_new_session=True
            )
        self.processes.append(process)
        return process

    def log(self, number: int = 1) -> bytes:
        return (self.folder / f"worker-{number}.log").read_bytes()

    def kill(self, process: subprocess.Popen[bytes]) -> None:
        """SIGKILL a worker and all its children."""
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()

    def open_gate(self) -> None:
        """Let the steps of the specialists `gated` and `walled` end."""
        (self.folder / "gate").touch()

    def stop(self) -> None:
        for process in self.processes:
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()


BROKERS = ["redis", pytest.param("rabbitmq", marks=pytest.mark.xdist_group("rabbitmq"))]
"""What a fixture that takes a broker is parametrized with."""


@contextmanager
def stage_on(broker: str, folder: Path, **settings: Any) -> Generator[Stage]:
    """Set the stage with the state's own Redis as broker, or with a virtual host of RabbitMQ."""
    with (
        rabbitmq() if broker == "rabbitmq" else nullcontext("") as url,
        stage(folder, broker_url=url, **settings) as it,
    ):
        yield it


@contextmanager
def stage(folder: Path, **settings: Any) -> Generator[Stage]:
    """Set the stage, and clear it; `server_options` are Valkey's, all else are settings."""
    server_options: Sequence[str] = settings.pop("server_options", ())
    config = folder / "mcp.json"
    config.write_text(json.dumps({"mcpServers": {"desk": {"module": "tests.support.ledger"}}}))
    with valkey(*server_options) as server:
        usual: dict[str, Any] = {"trace": False, "model_calls": "forbid", "workflows": "tests.support.flows"}
        shared: dict[str, Any] = {**QUICK, **usual, **settings}
        own = {f"SUREFOOT_{name.upper()}": str(value) for name, value in shared.items()}
        environment = {
            **{name: value for name, value in os.environ.items() if not name.startswith("SUREFOOT_")},
            "SUREFOOT_REDIS_URL": server.url,
            "SUREFOOT_MCP_CONFIG": str(config),
            "SUREFOOT_HOME": str(folder / "home"),
            "TEST_LEDGER": str(folder / "ledger.sqlite"),
            "PYTHONPATH": str(ROOT),
            **own,
        }
        app = Orchestrator(redis_url=server.url, **shared)
        played = Stage(server, folder, environment, app, shared.get("broker_url", ""))
        try:
            yield played
        finally:
            played.stop()
            app.close()
