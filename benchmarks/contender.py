"""One contender: a server of its own, its workers, and the client's processes that give them work."""

import json
import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from benchmarks import trip
from benchmarks.measure import Watch
from orchestrator.embedded import EmbeddedServer

ROOT = Path(__file__).resolve().parent.parent
STOP_S = 20.0
CLIENT_S = 600.0
WARM_UP_JOBS = 20


class WrongResult(Exception):
    """A contender lost a job, got one wrong, or did an effect twice: its figures mean nothing."""


@dataclass(frozen=True)
class Contender:
    """What is started, and how it is told to."""

    name: str
    side: str
    worker: Sequence[str]
    environment: Mapping[str, str] = field(default_factory=dict[str, str])
    workers: int = 1


_PLAIN = ("--without-gossip", "--without-mingle", "--without-heartbeat", "--loglevel=WARNING")
_WORKER = ("-m", "workers", "--pool", "asyncio", "--concurrency", "200")
_OFF = {"SUREFOOT_TRACE": "false", "SUREFOOT_EVENTS": "false"}
_BARE = ("-m", "celery", "-A", "benchmarks.bare", "worker", *_PLAIN)

BARE = Contender("bare Celery", "bare", (*_BARE, "--pool=prefork", "--concurrency=2"))
SUREFOOT = Contender("Surefoot", "surefoot", _WORKER, _OFF)
VARIANTS = {
    "trace": Contender("Surefoot, trace on", "surefoot", _WORKER, {**_OFF, "SUREFOOT_TRACE": "true"}),
    "unsampled": Contender(
        "Surefoot, trace on, no job sampled",
        "surefoot",
        _WORKER,
        {**_OFF, "SUREFOOT_TRACE": "true", "SUREFOOT_TRACE_SAMPLE": "0"},
    ),
    "events": Contender("Surefoot, events on", "surefoot", _WORKER, {**_OFF, "SUREFOOT_EVENTS": "true"}),
    "two": Contender("Surefoot, two workers", "surefoot", _WORKER, _OFF, workers=2),
    "prefork": Contender(
        "Surefoot, prefork 2", "surefoot", ("-m", "workers", "--pool", "prefork", "--concurrency", "2"), _OFF
    ),
}


class Running:
    """A contender at work in a folder of its own."""

    def __init__(self, contender: Contender, folder: Path, server: EmbeddedServer) -> None:
        self.contender, self._folder, self._server = contender, folder, server
        self._ledger = folder / "ledger.sqlite"
        (folder / "mcp.json").write_text(json.dumps({"mcpServers": {"bench": {"module": "benchmarks.tools"}}}))
        self._environment = {
            **{name: value for name, value in os.environ.items() if not name.startswith("SUREFOOT_")},
            trip.LEDGER: str(self._ledger),
            "BENCH_BROKER_URL": server.broker_url,
            "SUREFOOT_HOME": str(server.home),
            "SUREFOOT_LOG_LEVEL": "WARNING",
            "SUREFOOT_MCP_CONFIG": str(folder / "mcp.json"),
            "SUREFOOT_REDIS_URL": server.redis_url,
            "SUREFOOT_WORKFLOWS": "benchmarks.work",
            **contender.environment,
        }
        self._workers: list[subprocess.Popen[bytes]] = []

    def start(self, stack: ExitStack) -> None:
        """Start the workers and give them a first few jobs, so that everything is loaded."""
        for number in range(self.contender.workers):
            self._workers.append(stack.enter_context(self._worker(number)))
        self._client("burst", WARM_UP_JOBS, "warm")

    def burst(self, jobs: int) -> dict[str, float]:
        """Many jobs at once."""
        with Watch([self._server.pid, *(worker.pid for worker in self._workers)]) as watch:
            seen = self._client("burst", jobs, "burst")
        return {
            "jobs_per_s": jobs / seen["took_s"],
            "cpu_ms_per_job": 1e3 * watch.usage.cpu_s / jobs,
            "pss_mb": watch.usage.pss_mb,
            "client_cpu_ms_per_job": seen["client_cpu_ms_per_job"],
        }

    def idle(self, jobs: int) -> dict[str, float]:
        """One job at a time."""
        seen = self._client("idle", jobs, "idle")
        return {"p50_ms": seen["p50_ms"], "p95_ms": seen["p95_ms"]}

    def check(self, jobs: int) -> None:
        """Every booking of every job exists, once, and was tried once."""
        ledger = trip.Ledger(self._ledger)
        counts, expected = ledger.count(), len(trip.SPECIALISTS) * (jobs + WARM_UP_JOBS)
        ledger.close()
        if set(counts.values()) != {expected}:
            raise WrongResult(f"{self.contender.name}: {counts}, expected {expected} of each")

    def _client(self, scenario: str, jobs: int, prefix: str) -> dict[str, Any]:
        words = ["-m", "benchmarks.drive", self.contender.side, scenario, "--jobs", str(jobs), "--prefix", prefix]
        with (self._folder / "client.log").open("ab") as log:  # Celery's results complain when a process ends
            done = subprocess.run(
                [sys.executable, *words],
                cwd=ROOT,
                env=self._environment,
                stdout=subprocess.PIPE,
                stderr=log,
                timeout=CLIENT_S,
                check=False,
            )
        if done.returncode:
            logs = "\n".join(
                f"{path.name}:\n{path.read_text()[-2_000:]}" for path in sorted(self._folder.glob("*.log"))
            )
            raise WrongResult(f"{self.contender.name}: the client ended with {done.returncode}\n{logs}")
        seen = json.loads(done.stdout.splitlines()[-1])
        if seen["wrong"]:
            raise WrongResult(f"{self.contender.name}: {seen['wrong']} of {jobs} results are wrong")
        return seen

    @contextmanager
    def _worker(self, number: int) -> Any:
        bare = self.contender.side == "bare"
        name = [f"--hostname=bare{number}@%h"] if bare else ["--name", f"bench{number}"]
        with (self._folder / f"worker-{number}.log").open("wb") as log:
            process = subprocess.Popen(
                [sys.executable, *self.contender.worker, *name],
                cwd=ROOT,
                env=self._environment,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
            try:
                yield process
            finally:
                _stop(process)


def _stop(process: "subprocess.Popen[bytes]") -> None:
    """End a worker in order, and with force what remains of its group."""
    process.terminate()
    with suppress(subprocess.TimeoutExpired):
        process.wait(STOP_S)
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()


@contextmanager
def running(contender: Contender) -> Any:
    """A contender with its own server, append-only file on, until the block ends."""
    with tempfile.TemporaryDirectory(prefix="sfb-") as folder, ExitStack() as stack:
        server = stack.enter_context(EmbeddedServer(Path(folder) / "home"))
        started = Running(contender, Path(folder), server)
        started.start(stack)
        yield started


def run(contender: Contender, jobs: int, singles: int) -> dict[str, float]:
    """All scenarios of one contender."""
    opened: AbstractContextManager[Running] = running(contender)
    with opened as started:
        figures = started.burst(jobs) | started.idle(singles)
        started.check(jobs + singles)
    return figures
