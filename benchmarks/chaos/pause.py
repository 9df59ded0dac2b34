"""`python -m benchmarks.chaos.pause`: living workers stopped with SIGSTOP for a minute, under load, and woken up.

One asyncio worker and a whole prefork worker stand still while jobs of a READ, a KEYED and an UNSAFE call come in;
another asyncio worker goes on. Ends with 1 if an effect is missing or was doubled.
"""

import argparse
import json
import os
import signal
import sys
import tempfile
import time
from pathlib import Path

from orchestrator import Job, Orchestrator
from orchestrator.settings import Settings
from tests.support.stage import Stage, stage
from tools.testing import FaultServer, Mix

FLOWS = "tests.testing.flows"
BEFORE_S, AFTER_S, EVERY_S = 10.0, 10.0, 0.1


def load(app: Orchestrator, seconds: float, jobs: list[Job]) -> None:
    """Submit jobs for so long."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        jobs.append(app.submit({"item": f"item-{len(jobs)}"}, workflow="errand"))
        time.sleep(EVERY_S)


def play(played: Stage, app: Orchestrator, pause_s: float) -> tuple[list[Job], int, float]:
    """The jobs, how many were held by those who stood still, and how long the slowest job took, seconds."""
    jobs: list[Job] = []
    sleepers = [played.worker("--concurrency", "50"), played.worker("--pool", "prefork", "--concurrency", "2")]
    played.worker("--concurrency", "50")
    load(app, BEFORE_S, jobs)
    held = sum(job.status == "running" for job in jobs)
    for worker in sleepers:
        os.killpg(worker.pid, signal.SIGSTOP)
    load(app, pause_s, jobs)
    for worker in sleepers:
        os.killpg(worker.pid, signal.SIGCONT)
    load(app, AFTER_S, jobs)
    slowest_s = 0.0
    for job in jobs:
        job.result(300)
        opened, *_, ended = (event.at for event in job.events())
        slowest_s = max(slowest_s, ended - opened)
    for worker in played.workers:
        worker.terminate()
    for worker in played.workers:
        worker.wait(60)  # whatever they would have done late, they have done now
    return jobs, held, slowest_s


def main() -> int:
    """Run it and print what was counted."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.chaos.pause", description=__doc__)
    parser.add_argument("--seconds", type=float, default=60.0, help="how long they stand still (default 60)")
    options = parser.parse_args()
    lease_s: float = Settings.model_fields["lease_s"].default
    with tempfile.TemporaryDirectory(prefix="sf-pause-") as name, FaultServer(Path(name) / "faults") as faults:
        folder = Path(name)
        faults.fail("*", Mix(seed=1, delay=0.5, delay_s=1.0), times=None)
        config = folder / "faults.json"
        config.write_text(json.dumps({"mcpServers": {"faults": faults.entry(timeout_s=3, concurrency=100)}}))
        usual = {"lease_s": lease_s, "sweep_s": 0.5, "grace_s": 2.0, "attempts": 50}
        with stage(folder, mcp_config=config, workflows=FLOWS, **usual) as played:
            app = Orchestrator(redis_url=played.server.url, workflows=(FLOWS,), trace=False)
            jobs, held, slowest_s = play(played, app, options.seconds)
            attempts = sum(step.attempts for job in jobs for step in job.steps)
            app.close()
        booked, paid, doubled = faults.effects("book"), faults.effects("pay"), faults.doubled()
    wrong = len(doubled) + abs(len(booked) - len(jobs)) + abs(len(paid) - len(jobs))
    rows = {
        "stood still": f"{options.seconds:g} s, one asyncio and one prefork worker of three; lease {lease_s:g} s",
        "jobs": f"{len(jobs)}, all succeeded; {held} were under way at the SIGSTOP",
        "effects": f"{len(booked)} KEYED, {len(paid)} UNSAFE with a look-up; doubled: {len(doubled)}",
        "attempts": f"{attempts} of {len(jobs)} steps",
        "slowest job": f"{slowest_s:.1f} s",
    }
    for what, said in rows.items():
        print(f"{what:14}{said}")
    return int(wrong > 0)


if __name__ == "__main__":
    sys.exit(main())
