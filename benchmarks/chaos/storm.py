"""`python -m benchmarks.chaos.storm`: three ways to a re-enqueue storm, one slow worker, three sweepers and their cost.

Everything is real but the worker: it takes the oldest messages, 32 at a time, and claims a step each few milliseconds.
"""

import json
import os
import subprocess
import sys
import tempfile
import time
from collections import Counter
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from orchestrator import Plan, Step
from orchestrator.canvas import WireForms
from orchestrator.embedded import EmbeddedServer
from orchestrator.settings import load
from orchestrator.state import keys
from orchestrator.state.client import SyncClient
from orchestrator.state.client import without_loop as do
from orchestrator.state.jobs import JobStore, NewJob
from orchestrator.state.scripts import Scripts
from orchestrator.state.steps import Ending, Lease, StepStore
from orchestrator.workflow import Profile, catalogue

ROOT = Path(__file__).parents[2]
STEPS, JOBS, SWEEPERS = 10_000, 1_000, 3
SECONDS = float(os.environ.get("STORM_SECONDS", "20"))
QUEUE, JOIN = "storm", "join"
SWEEPS = ("expire", "sweep_leases", "sweep_ready", "sweep_again", "sweep_calls", "sweep_doubts", "retire")


class Storm:
    """A server, what is on it, and who takes from it."""

    def __init__(self, server: EmbeddedServer) -> None:
        self.settings = load(redis_url=server.redis_url, home=server.home)
        self.client = SyncClient(server.redis_url.replace("redis+socket://", "unix://"))
        self.scripts = Scripts(self.client, WireForms(self.settings).message())
        self.jobs = JobStore(self.scripts, 600)
        self.taken: Counter[str] = Counter()
        catalogue.profiles.update({name: Profile(name) for name in (QUEUE, JOIN)})

    def command(self, *words: Any) -> Any:
        return do(self.client.command(*words))

    def steps(self, lease_s: float) -> StepStore:
        return StepStore(self.scripts, lease_s, 600)

    def open(self, number: int, steps: int, join: str = "") -> str:
        first = [f"s{i}" for i in range(steps)]
        plan = Plan([*(Step(QUEUE, name) for name in first), *([Step(join, join, first)] if join else [])])
        limits = {"steps": -1, "tool_calls": -1, "tokens": -1, "usd": -1}
        new = NewJob(f"{number:032x}", "w", "t", {}, limits, seconds=3_600, plan=plan)
        return do(self.jobs.open(new))

    def fetch(self, most: int = 32) -> list[str]:
        """Messages as a worker takes them: re-driven ones first."""
        for queue in (keys.redrive_queue(QUEUE), keys.queue(QUEUE)):
            if messages := self.command("RPOP", queue, most):
                ids = [json.loads(message)["headers"]["id"] for message in messages]
                self.taken.update(ids)
                return ids
        return []

    def waiting(self, queue: str) -> Counter[str]:
        return Counter(json.loads(m)["headers"]["id"] for m in self.command("LRANGE", queue, 0, -1))

    def copies(self) -> Counter[str]:
        """Messages of each step, taken or waiting."""
        return self.taken + self.waiting(keys.queue(QUEUE)) + self.waiting(keys.redrive_queue(QUEUE))


def work_slowly(storm: Storm, seconds: float, pause_s: float = 0.01) -> int:
    """One slow worker; returns how many steps it claimed."""
    steps, claimed, end = storm.steps(3_600), 0, time.monotonic() + seconds
    while time.monotonic() < end:
        for member in storm.fetch() or ():
            job, _, step = member.rpartition(".")
            claimed += do(steps.claim(job, step)).answer == "CLAIMED"
            time.sleep(pause_s)
    return claimed


def long_queue(storm: Storm) -> str:
    """Merely long: nothing is lost."""
    for number in range(5):
        storm.open(number, STEPS // 5)
    claimed = work_slowly(storm, SECONDS)
    return f"{STEPS:,} steps wait, {claimed:,} claimed in {SECONDS:.0f} s; {_told(storm)}"


def lost_joins(storm: Storm, times: int = 15) -> str:
    """A commit frees a join, and its message is gone: how long until it is enqueued again?"""
    steps, took = storm.steps(60), list[float]()
    for number in range(5_000, 5_000 + times):
        job = storm.open(number, 2, join=JOIN)
        for name in ("s0", "s1"):
            claim = do(steps.claim(job, name))
            do(steps.commit(Lease(job, name, claim.fence), Ending("succeeded", {})))
        freed = time.monotonic()
        storm.command("DEL", keys.queue(JOIN))
        while not storm.command("LLEN", keys.redrive_queue(JOIN)):
            time.sleep(0.005)
        took.append(time.monotonic() - freed)
        storm.command("DEL", keys.redrive_queue(JOIN))
        do(steps.claim(job, JOIN))
    took.sort()
    return f"{times} of {times} enqueued, after p50 {took[times // 2]:.1f} s, max {took[-1]:.1f} s"


def dead_worker(storm: Storm) -> str:
    """It held a thousand leases."""
    steps = storm.steps(2)
    held = 0
    while held < 1_000:
        for member in storm.fetch():
            job, _, step = member.rpartition(".")
            held += do(steps.claim(job, step)).answer == "CLAIMED"
    claimed = work_slowly(storm, SECONDS)
    return f"{held:,} leases run out at once, {claimed:,} claimed in {SECONDS:.0f} s; {_told(storm)}"


def lost_again(storm: Storm) -> str:
    """All of it was re-driven and lost, and nobody works: the worst there can be."""
    steps, members = storm.steps(0.4), storm.command("ZRANGE", keys.FAMILIES["ready"] + QUEUE, 0, -1)
    for member in members:
        job, _, step = member.decode().rpartition(".")
        do(steps.claim(job, step))
    time.sleep(SECONDS)
    claimed = work_slowly(storm, SECONDS)
    return (
        f"{len(members):,} leases run out, nobody works for {SECONDS:.0f} s, then {claimed:,} claimed in as long;"
        f" {_told(storm)}"
    )


def _told(storm: Storm) -> str:
    """Each step has one message from its plan; the others are re-drives."""
    redrives = Counter(copies - 1 for copies in storm.copies().values())
    return "re-drives a step: " + ", ".join(f"{n}: {count:,} steps" for n, count in sorted(redrives.items()))


def cost(storm: Storm) -> str:
    """How long Redis served nobody else, by its own clock, script by script."""
    whose = {storm.scripts.digest(name).encode(): name for name in SWEEPS}
    took: dict[str, list[int]] = {name: [] for name in SWEEPS}
    for entry in storm.command("SLOWLOG", "GET", -1):
        words = entry[3]
        if words[0].upper() == b"EVALSHA" and words[1] in whose:
            took[whose[words[1]]].append(entry[2])
    return "\n".join(_row(name, sorted(times)) for name, times in took.items() if times)


def _row(name: str, times: list[int]) -> str:
    p50, p99 = (times[int(share * len(times))] / 1000 for share in (0.5, 0.99))
    return f"  {name:13} {len(times):5,} runs, p50 {p50:6.2f} ms, p99 {p99:6.2f} ms, max {times[-1] / 1000:6.2f} ms"


def sweepers(stack: ExitStack, storm: Storm, folder: Path) -> None:
    """As services of their own, with default settings."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("SUREFOOT_")}
    env = {
        **kept,
        "SUREFOOT_REDIS_URL": storm.settings.redis_url,
        "SUREFOOT_HOME": str(folder),
        "PYTHONPATH": str(ROOT),
    }
    for _ in range(SWEEPERS):
        command = [sys.executable, "-m", "workers.sweeper"]
        process = subprocess.Popen(command, cwd=ROOT, env=env, stderr=subprocess.DEVNULL, stdout=subprocess.DEVNULL)
        stack.callback(process.wait)
        stack.callback(process.terminate)


def main() -> None:
    ways = (
        ("lost joins", lost_joins),
        ("a long queue", long_queue),
        ("a dead worker", dead_worker),
        ("everything lost", lost_again),
    )
    with tempfile.TemporaryDirectory(prefix="sf-") as folder, ExitStack() as stack:
        storm = Storm(stack.enter_context(EmbeddedServer(Path(folder))))
        for number in range(1_000, 1_000 + JOBS):
            storm.open(number, 1)
        for member in (m for _ in range(JOBS) for m in storm.fetch()):
            job, _, step = member.rpartition(".")
            do(storm.steps(3_600).claim(job, step))
        storm.taken.clear()
        storm.command("CONFIG", "SET", "slowlog-log-slower-than", 0, "slowlog-max-len", 1_000_000)
        sweepers(stack, storm, Path(folder) / "sweepers")
        while not storm.command("EXISTS", keys.INDEXES["turn"]):
            time.sleep(0.1)
        print(f"{JOBS:,} jobs run, {SWEEPERS} sweepers, one worker of 100 steps a second; default settings")
        for name, way in ways:
            print(f"{name}: {way(storm)}", flush=True)
        print(f"the sweepers' scripts, by the server's clock:\n{cost(storm)}")


if __name__ == "__main__":
    main()
