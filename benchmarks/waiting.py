"""`python -m benchmarks.waiting`: ten thousand jobs wait for a person; what do they hold, and what do they cost?

Each has called a tool and asks for a date. Ends with 1 if they hold anything, or an answer does not help.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Generator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from pydantic import BaseModel

from benchmarks.measure import Watch
from orchestrator import Job, Orchestrator, Plan, Workflow
from orchestrator.embedded import EmbeddedServer
from orchestrator.state import keys
from orchestrator.state.client import SyncClient
from orchestrator.state.client import without_loop as do
from orchestrator.state.presence import PresenceStore
from orchestrator.state.scripts import Scripts
from orchestrator.status import JobStatus
from workers import StepContext, specialist

ROOT = Path(__file__).resolve().parent.parent
WARM_UP, SAMPLE, LISTED, WATCHED_S, WAIT_S = 20, 100, 50, 5.0, 900.0
PARTS = ("job", "calls", "events", "spans")
MOST_GROWN = 5
HELD = ("leases", "again", "begun", "deadlines")


class Wish(BaseModel):
    destination: str


@specialist("trip-date", tools=["bench.search"])
async def trip_date(step: StepContext, request: Wish) -> dict[str, Any]:
    found = await step.call("bench.search", what="flights", destination=request.destination)
    return {"date": await step.ask("date", prompt="which day?", example="2027-03-12"), "found": found["what"]}


Workflow("waiting", request=Wish, plan=lambda _: Plan.chain("trip-date"))


class World:
    """A server, a worker, and those who look at them."""

    def __init__(self, server: EmbeddedServer, worker: "subprocess.Popen[bytes]", *, trace: bool) -> None:
        self.server, self.worker = server, worker
        self.app = Orchestrator(redis_url=server.redis_url, trace=trace)
        self._client = SyncClient(server.redis_url, 5.0)
        self._presence = PresenceStore(Scripts(self._client))

    def command(self, *words: Any) -> Any:
        return do(self._client.command(*words))

    def waiting(self) -> int:
        return self.command("ZCARD", keys.jobs(JobStatus.WAITING))

    def held(self) -> dict[str, int]:
        """What is held for jobs: entries of indexes, of queues, steps in a worker, connections."""
        queues = [name.decode() for name in self.command("SMEMBERS", keys.INDEXES["queues"])]
        lists = [key(name) for name in queues for key in (keys.queue, keys.redrive_queue)]
        processes = do(self._presence.fleet()).processes
        return {name: self.command("ZCARD", keys.INDEXES[name]) for name in HELD} | {
            "ready": sum(self.command("ZCARD", keys.FAMILIES["ready"] + name) for name in queues),
            "messages": sum(self.command("LLEN", name) for name in lists),
            "in_flight": sum(int(process.facts.get("busy", 0)) for process in processes),
            "connections": len(self.command("CLIENT", "LIST").splitlines()),
        }

    def memory(self) -> int:
        words = self.command("INFO", "memory").decode().split()
        return int(next(word for word in words if word.startswith("used_memory:")).partition(":")[2])

    def parts(self, jobs: list[Job]) -> dict[str, int]:
        """Bytes of each part of a job's record, by the server's own word."""
        keys_of = {part: [keys.FAMILIES[part] + job.id for job in jobs] for part in PARTS}
        return {
            part: sum(self.command("MEMORY", "USAGE", key) or 0 for key in found) // len(jobs)
            for part, found in keys_of.items()
        }

    def traced(self, job: Job) -> bool:
        """Whether the spans of both processes are there: their connections are opened with the first of them."""
        rows = b"".join(job.spans)
        return b"surefoot-orchestrator" in rows and b"surefoot-worker" in rows

    def submit(self, jobs: int) -> list[Job]:
        return [self.app.submit({"destination": "Lisbon"}, workflow="waiting") for _ in range(jobs)]

    def answer(self, jobs: list[Job]) -> float:
        """Answer them all, and wait until they have succeeded with their answers; seconds a job."""
        start = time.perf_counter()
        for job in jobs:
            job.answer(date="2027-03-12")
        for job in jobs:
            result = job.result(WAIT_S)
            if result != {"date": "2027-03-12", "found": "flights"}:
                raise ValueError(f"job {job.id} came to {result}")
        return (time.perf_counter() - start) / len(jobs)


def until(done: Callable[[], bool], what: str, here: World | None = None) -> None:
    """Wait for it; where it is said where, no longer than till a job has failed."""
    end = time.monotonic() + WAIT_S
    while not done():
        if here is not None and here.command("ZCARD", keys.jobs(JobStatus.FAILED)):
            raise RuntimeError("a job has failed")
        if time.monotonic() > end:
            raise TimeoutError(f"not within {WAIT_S:g} s: {what}")
        time.sleep(0.05)


@contextmanager
def world(**settings: str) -> Generator[World]:
    """Its own server with the append-only file on, and one worker with the defaults but for these."""
    with tempfile.TemporaryDirectory(prefix="sfw-") as folder, EmbeddedServer(Path(folder) / "home") as server:
        config = Path(folder) / "mcp.json"
        config.write_text(json.dumps({"mcpServers": {"bench": {"module": "benchmarks.tools"}}}))
        own = {"REDIS_URL": server.redis_url, "MCP_CONFIG": str(config), "HOME": str(server.home)}
        own |= {"WORKFLOWS": "benchmarks.waiting", "LOG_LEVEL": "WARNING", **settings}
        environment = {name: value for name, value in os.environ.items() if not name.startswith("SUREFOOT_")}
        environment |= {f"SUREFOOT_{name}": value for name, value in own.items()}
        with (Path(folder) / "worker.log").open("wb") as log:
            command = [sys.executable, "-m", "workers", "--name", "bench"]
            worker = subprocess.Popen(command, cwd=ROOT, env=environment, stdout=log, stderr=log)
        here = World(server, worker, trace=own.get("TRACE") != "false")
        try:
            yield here
        finally:
            here.app.close()
            worker.terminate()
            worker.wait(30)


def play(jobs: int, answered: int, watched_s: float = WATCHED_S) -> dict[str, Any]:
    """Let so many jobs wait, look at what that costs, and answer some of them."""
    with world() as here:
        warm = here.submit(WARM_UP)
        until(lambda: here.waiting() == WARM_UP, "the first jobs wait")
        here.answer(warm)
        until(lambda: all(here.traced(job) for job in warm), "all that sends traces has sent some")
        until(lambda: here.held()["in_flight"] == 0, "the worker says that it is idle")
        before, empty = here.held(), here.memory()
        crowd = here.submit(jobs)
        until(lambda: here.waiting() == jobs, "all jobs wait")
        until(lambda: here.held()["in_flight"] == 0, "the worker says that it is idle")
        start = time.perf_counter()
        listed = here.app.jobs(status="waiting", limit=LISTED)
        listed_ms = 1e3 * (time.perf_counter() - start)
        time.sleep(2 * watched_s)  # the last spans are on their way
        with Watch([here.server.pid, here.worker.pid]) as watch:
            time.sleep(watched_s)
        return {
            "jobs": jobs,
            "before": before,
            "held": here.held(),
            "bytes_a_job": (here.memory() - empty) // jobs,
            "bytes_of_parts": here.parts(crowd[:SAMPLE]),
            "listed": len(listed),
            "listed_ms": round(listed_ms, 1),
            "cpu_while_waiting_percent": round(100 * watch.usage.cpu_s / watched_s, 1) if watched_s else None,
            "answered": answered,
            "answered_ms_a_job": round(1e3 * here.answer(crowd[:answered]), 1),
            "still_waiting": here.waiting(),
            "load": round(os.getloadavg()[0], 1),
        }


def wrong(figures: dict[str, Any]) -> list[str]:
    """What is held though it need not be. Pools of connections may still have grown a little, whatever the jobs."""
    found = [name for name, number in figures["held"].items() if number and name != "connections"]
    grown = figures["held"]["connections"] - figures["before"]["connections"]
    return found + ["connections"] * (grown > MOST_GROWN)


def report(figures: dict[str, Any]) -> str:
    held, parts = figures["held"], figures["bytes_of_parts"]
    shown = ", ".join(f"{name} {number:,}" for name, number in parts.items())
    return "\n".join(
        [
            f"{figures['jobs']:,} jobs wait for a person (load {figures['load']})",
            f"held        {', '.join(f'{number} {name}' for name, number in held.items())}",
            f"before      {', '.join(f'{number} {name}' for name, number in figures['before'].items())}",
            f"memory      {figures['bytes_a_job']:,} bytes of Redis a job ({shown})",
            f"list        jobs(status='waiting', limit={LISTED}) in {figures['listed_ms']} ms",
            f"CPU         {figures['cpu_while_waiting_percent']} % of a core, worker and Redis together",
            f"answers     {figures['answered']} answered, {figures['answered_ms_a_job']} ms each until the result",
            f"afterwards  {figures['still_waiting']:,} still wait",
        ]
    )


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.waiting", description=__doc__)
    parser.add_argument("--jobs", type=int, default=10_000, help="how many wait (default 10000)")
    parser.add_argument("--answered", type=int, default=100, help="how many are answered then (default 100)")
    parser.add_argument("--json", action="store_true", help="one JSON object")
    options = parser.parse_args()
    figures = play(options.jobs, options.answered)
    print(json.dumps(figures) if options.json else report(figures))
    return int(bool(wrong(figures)))


if __name__ == "__main__":
    sys.exit(main())
