"""`python -m benchmarks.guards`: what each guard of a step costs, in round trips to Redis and in CPU.

One step a job, with one tool call where it is said. The first table has a worker and a server of its own for each line;
the second compares each single guard with the same step without it, in turns on one worker and one server.
"""

import argparse
import json
import os
import random
import socket
import statistics
import sys
import tempfile
import threading
from collections import Counter
from collections.abc import Generator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pydantic import BaseModel

from benchmarks.measure import Watch
from benchmarks.waiting import WAIT_S, World, until, world
from orchestrator import Budget, Orchestrator, Plan, Workflow
from orchestrator.canvas import WireForms
from orchestrator.settings import load
from orchestrator.state import keys
from orchestrator.state.client import SyncClient
from orchestrator.state.scripts import NAMES, Scripts
from orchestrator.status import JobStatus
from tools.testing.model import ModelServer, Says
from workers import StepContext, specialist

WARM_UP, SAMPLE, OFTEN = 50, 200, 0.1
CLIENTS = {"open"}  # scripts that the submitter runs
BY_THE_CLOCK = {"beat", "renew", "expire", "retire", *(name for name in NAMES if name.startswith("sweep"))}
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


@specialist("unchecked", tools=["bench.search"])
async def unchecked(step: StepContext, request: Any) -> Any:
    await step.call("bench.search", what="flights", destination="Lisbon")
    return {"calls": request["calls"]}


@specialist("checked", tools=["bench.search"])
async def checked(step: StepContext, request: Wish) -> Wish:
    await step.call("bench.search", what="flights", destination="Lisbon")
    return Wish(calls=request.calls)


@specialist("asks-model")
async def asks_model(step: StepContext, request: Any) -> Any:
    return {"said": await step.generate("Say yes.", max_tokens=50), "calls": request["calls"]}


for _name in ("guarded", "unchecked", "checked", "asks-model"):
    Workflow(_name, request=Wish, plan=lambda _, name=_name: Plan.chain(name))


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


@dataclass(frozen=True)
class Guard:
    """What is measured against `base`, which is the same without it."""

    name: str
    budget: Budget | None = None
    workflow: str = "unchecked"
    tenant: str = "free"
    base: str = "one tool call, nothing limited"


CALL, MODEL = Guard.base, "one model call, nothing limited"
GUARDS = (
    Guard(CALL),
    Guard("validation: request and output are models", workflow="checked"),
    Guard("a ceiling of steps", Budget(steps=9)),
    Guard("a ceiling of tool calls", Budget(tool_calls=9)),
    Guard("a ceiling of a single tool", Budget(tools={"bench.search": 9})),
    Guard("a ceiling of money (the tool has a price)", Budget(usd=9)),
    Guard("a ceiling of bytes of answers", Budget(answer_bytes=9_000_000)),
    Guard("a deadline", Budget(seconds=3_600)),
    Guard("a tenant's ceilings of a job: tool calls", tenant="capped"),
    Guard("a tenant's ceiling of a day: money", tenant="daily"),
    Guard(MODEL, workflow="asks-model", base=MODEL),
    Guard("a ceiling of tokens", Budget(tokens=9_000), workflow="asks-model", base=MODEL),
)
TENANTS = {"capped": {"job": {"tool_calls": 9}}, "daily": {"day": {"usd": 1_000_000}}}
PRICES = {"tools": {"bench.*": 0.001}, "models": {"*": {"input": 0.25, "output": 2.0}}}
ROUNDS, COUNTED, EACH = 10, 20, 0.5


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


def run(here: World, line: Line | Guard, jobs: int) -> None:
    """So many jobs, to their end."""
    before = here.command("ZCARD", keys.jobs(JobStatus.SUCCEEDED))
    wish = Wish(calls=line.calls if isinstance(line, Line) else 1)
    flow, tenant = ("guarded", "default") if isinstance(line, Line) else (line.workflow, line.tenant)
    for _ in range(jobs):
        here.app.submit(wish, workflow=flow, budget=line.budget, tenant=tenant)
    until(lambda: here.command("ZCARD", keys.jobs(JobStatus.SUCCEEDED)) == before + jobs, "all jobs succeed", here)


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


@contextmanager
def guarded_world() -> Generator[World]:
    """A worker and a submitter who know prices, tenants and a model."""
    with tempfile.TemporaryDirectory(prefix="sfg-") as folder, ModelServer(otherwise=Says("yes")) as model:
        files: dict[str, Any] = {}
        for name, content in (("tenants", TENANTS), ("prices", PRICES)):
            files[name] = Path(folder) / name
            files[name].write_text(json.dumps(content))
        named = {name.upper(): str(path) for name, path in files.items()}
        with world(**OFF, **named, MODEL=f"{model.url}#yes") as here:
            here.app.close()
            here.app = Orchestrator(redis_url=here.server.redis_url, trace=False, **files)
            yield here


def compare(jobs: int) -> list[dict[str, Any]]:
    """What each guard adds: so many jobs each, in rounds in which all take their turn, in another order each time."""
    cost: dict[str, list[tuple[float, float]]] = {guard.name: [] for guard in GUARDS}
    with guarded_world() as here:
        trips = {guard.name: _trips(here, guard) for guard in GUARDS}
        size = max(1, jobs // ROUNDS)
        for seed in range(ROUNDS):
            for guard in random.Random(seed).sample(GUARDS, len(GUARDS)):
                with Watch([here.worker.pid]) as worker, Watch([here.server.pid]) as server:
                    run(here, guard, size)
                cost[guard.name].append((1e3 * worker.usage.cpu_s / size, 1e3 * server.usage.cpu_s / size))
    return [_row(guard, trips, cost) for guard in GUARDS]


def _trips(here: World, guard: Guard) -> float:
    run(here, guard, COUNTED)
    with monitored(here) as seen:
        run(here, guard, COUNTED)
    asked = [count / COUNTED for name, count in seen.asked.items() if name in set(NAMES) - CLIENTS - BY_THE_CLOCK]
    return round(sum(count for count in asked if count >= EACH), 1)


def _row(guard: Guard, trips: dict[str, float], cost: dict[str, list[tuple[float, float]]]) -> dict[str, Any]:
    """Its own cost for a base, else what it adds: the mean and the standard error of the rounds."""
    is_base, pairs = guard.name == guard.base, zip(cost[guard.name], cost[guard.base], strict=True)
    row: dict[str, Any] = {"name": guard.name, "adds": not is_base}
    row["trips"] = trips[guard.name] if is_base else round(trips[guard.name] - trips[guard.base], 1)
    added = [[own if is_base else own - base for own, base in zip(*pair, strict=True)] for pair in pairs]
    for name, each in zip(("worker", "redis"), zip(*added, strict=True), strict=True):
        row[f"{name}_ms"] = round(statistics.mean(each), 3)
        row[f"{name}_error_ms"] = round(statistics.stdev(each) / len(each) ** 0.5, 3)
    return row


def report_guards(rows: list[dict[str, Any]], jobs: int) -> str:
    table = ["| a step with | round trips | CPU of the worker, ms | of Redis, ms |", "|---|---:|---:|---:|"]
    for row in rows:
        sign = "+" if row["adds"] else ""
        cells = [f"{row[f'{who}_ms']:{sign}.2f} ± {row[f'{who}_error_ms']:.2f}" for who in ("worker", "redis")]
        table.append(f"| {row['name']} | {row['trips']:{sign}.1f} | {' | '.join(cells)} |")
    return "\n".join(
        ["", f"{jobs:,} jobs each in {ROUNDS} rounds: the mean, ± the standard error over the rounds", "", *table]
    )


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
    parser.add_argument("--json", action="store_true", help="two JSON lists in an object: lines, guards")
    options = parser.parse_args()
    lines: list[dict[str, Any]] = []
    for line in LINES:
        print(f"{line.name} ...", file=sys.stderr)
        lines.append(measure(line, options.jobs))
    each = compare(options.jobs)
    if options.json:
        print(json.dumps({"lines": lines, "guards": each}))
    else:
        print(report(lines, options.jobs), report_guards(each, options.jobs), sep="\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
