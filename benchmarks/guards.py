"""`python -m benchmarks.guards`: what each guard of a step costs, in round trips to Redis and in CPU.

One step a job, with one tool call where it is said; a worker and a server of their own for each line.
"""

import argparse
import json
import os
import socket
import sys
import threading
from collections import Counter
from collections.abc import Generator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from pydantic import BaseModel

from benchmarks.measure import Watch
from benchmarks.waiting import WAIT_S, World, until, world
from orchestrator import Budget, Plan, Workflow
from orchestrator.canvas import WireForms
from orchestrator.settings import load
from orchestrator.state import keys
from orchestrator.state.client import SyncClient
from orchestrator.state.scripts import NAMES, Scripts
from orchestrator.status import JobStatus
from workers import StepContext, specialist

WARM_UP, SAMPLE, OFTEN = 50, 200, 0.1
CLIENTS = {"open"}
"""Scripts that the submitter runs."""
OFF = {"TRACE": "false", "EVENTS": "false", "WORKFLOWS": "benchmarks.guards"}
CEILINGS = Budget(
    steps=9, tool_calls=9, tools={"bench.*": 9, "bench.search": 9}, tokens=9, input_tokens=9, output_tokens=9,
    usd=9, answer_bytes=9_000_000, seconds=3_600,
)  # fmt: skip


class Wish(BaseModel):
    calls: int


@specialist("guarded", tools=["bench.search"])
async def guarded(step: StepContext, request: Wish) -> dict[str, int]:
    for _ in range(request.calls):
        await step.call("bench.search", what="flights", destination="Lisbon")
    return {"calls": request.calls}


Workflow("guarded", request=Wish, plan=lambda _: Plan.chain("guarded"))


@dataclass(frozen=True)
class Line:
    """What is measured: how many calls a step makes, under which budget, with which settings."""

    name: str
    calls: int
    budget: Budget | None = None
    settings: Mapping[str, str] = field(default_factory=dict[str, str])


LINES = (
    Line("a step: claim, lease, validation, commit, events of the job", 0),
    Line("and a tool call: journal, key, arguments checked, budget", 1),
    Line("and all ceilings, two of them of single tools", 1, CEILINGS),
    Line("a step with a call, and the trace", 1, None, {"TRACE": "true"}),
    Line("a step with a call, and Celery's worker events", 1, None, {"EVENTS": "true"}),
    Line("a step: once more", 0),
)


class Monitor:
    """What the server is asked, by the name of the script; what a script asks in turn is counted under it."""

    def __init__(self, path: str, names: Mapping[str, str]) -> None:
        self._wire = socket.socket(socket.AF_UNIX)
        self._wire.connect(path)
        self._wire.sendall(b"MONITOR\r\n")
        self._wire.recv(len(b"+OK\r\n"))  # from here on it is told everything
        self._names, self.asked, self.inside = names, Counter[str](), Counter[str]()
        self._all = threading.Event()
        self._thread = threading.Thread(target=self._read, daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """Behind an ECHO, which is the last that counts."""
        self._all.wait(WAIT_S)
        self._wire.shutdown(socket.SHUT_RDWR)
        self._thread.join()

    def _read(self) -> None:
        last = ""
        with self._wire.makefile("rb") as lines:
            for line in lines:
                words = line.decode(errors="replace").split('"')
                if len(words) < 2:
                    continue
                if " lua]" in words[0]:
                    self.inside[last] += 1
                    continue
                verb = words[1].lower()
                last = self._names.get(words[3], verb) if verb == "evalsha" else verb
                self.asked[last] += 1
                if verb == "echo":
                    self._all.set()


def names_of(here: World) -> dict[str, str]:
    """Digest -> script, as workers and clients run them."""
    message = WireForms(load(redis_url=here.server.redis_url)).message()
    loaded = [Scripts(SyncClient(here.server.redis_url), text) for text in ("", message)]
    return {each.digest(name): name for each in loaded for name in NAMES}


@contextmanager
def monitored(here: World) -> Generator[Monitor]:
    monitor = Monitor(here.server.redis_url.partition("://")[2].partition("?")[0], names_of(here))
    try:
        yield monitor
    finally:
        here.command("ECHO", "the end")
        monitor.stop()


def run(here: World, line: Line, jobs: int) -> None:
    """So many jobs, to their end."""
    before = here.command("ZCARD", keys.jobs(JobStatus.SUCCEEDED))
    for _ in range(jobs):
        here.app.submit(Wish(calls=line.calls), workflow="guarded", budget=line.budget)
    until(lambda: here.command("ZCARD", keys.jobs(JobStatus.SUCCEEDED)) == before + jobs, "all jobs succeed")


def measure(line: Line, jobs: int) -> dict[str, Any]:
    """What one line costs a step."""
    with world(**{**OFF, **line.settings}) as here:
        run(here, line, WARM_UP)
        with monitored(here) as seen:
            run(here, line, SAMPLE)
        with Watch([here.worker.pid]) as worker, Watch([here.server.pid]) as server:
            run(here, line, jobs)
    trips = {name: count / SAMPLE for name, count in seen.asked.items() if name in NAMES}
    return {
        "name": line.name,
        "trips": {name: round(count, 2) for name, count in trips.items() if count >= OFTEN},
        "inside": {name: round(seen.inside[name] / seen.asked[name], 1) for name in trips},
        "worker_cpu_ms": round(1e3 * worker.usage.cpu_s / jobs, 2),
        "redis_cpu_ms": round(1e3 * server.usage.cpu_s / jobs, 2),
    }


def report(lines: list[dict[str, Any]], jobs: int) -> str:
    rows = ["| a step with | round trips | CPU of the worker, ms | of Redis, ms |", "|---|---:|---:|---:|"]
    for line in lines:
        trips = sum(count for name, count in line["trips"].items() if name not in CLIENTS)
        rows.append(f"| {line['name']} | {trips:.2f} | {line['worker_cpu_ms']:.2f} | {line['redis_cpu_ms']:.2f} |")
    rows += ["", "| script | times a step | commands inside |", "|---|---:|---:|"]
    for name, count in sorted(lines[1]["trips"].items(), key=lambda pair: -pair[1]):
        rows.append(f"| `{name}` | {count:.2f} | {lines[1]['inside'][name]:.1f} |")
    return "\n".join([f"{jobs:,} jobs of one step each (load {os.getloadavg()[0]:.1f})", "", *rows])


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.guards", description=__doc__)
    parser.add_argument("--jobs", type=int, default=1_000, help="jobs a line (default 1000)")
    parser.add_argument("--json", action="store_true", help="a JSON list")
    options = parser.parse_args()
    lines: list[dict[str, Any]] = []
    for line in LINES:
        print(f"{line.name} ...", file=sys.stderr)
        lines.append(measure(line, options.jobs))
    print(json.dumps(lines) if options.json else report(lines, options.jobs))
    return 0


if __name__ == "__main__":
    sys.exit(main())
