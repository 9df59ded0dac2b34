"""`python -m benchmarks.chaos.stopping`: how long calls go on after cancel(), and after the deadline.

Each of 50 jobs has three calls under way, side by side, at an MCP server in a process of its own. Measured is the time
until the server has heard of the last of them: from the call of cancel(), and from the deadline on the record's clock.
"""

import json
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from orchestrator import Job
from tests.undo.stopping import Stopping, stopping

JOBS, CALLS, SECONDS = 50, 3, 1.5


def stopped_at(played: Stopping, name: str) -> float:
    """When the server has heard of all of a job's calls, seconds since 1970."""
    while played.count("cancelled", name) < CALLS:
        time.sleep(0.002)
    return time.time()


def cancelled(played: Stopping, name: str) -> tuple[Job, float]:
    """Cancel a job."""
    job, began = played.running("lingering-chord", name, CALLS), time.time()
    job.cancel()
    return job, stopped_at(played, name) - began


def late(played: Stopping, name: str) -> tuple[Job, float]:
    """Let a job's deadline pass."""
    job = played.running("lingering-chord", name, CALLS, seconds=SECONDS)
    deadline = int(job.record.fields["deadline"]) / 1000
    return job, stopped_at(played, name) - deadline


def figures(played: Stopping, way: Callable[[Stopping, str], tuple[Job, float]]) -> dict[str, float]:
    """The delays of all jobs, milliseconds."""
    jobs, delays_s = zip(*(way(played, f"{way.__name__}{n}") for n in range(JOBS)), strict=True)
    assert all(job.status.final for job in jobs)
    assert all(played.count("started", f"{way.__name__}{n}") == CALLS for n in range(JOBS)), "nothing new starts"
    delays_ms = sorted(1e3 * delay for delay in delays_s)
    return {"jobs": JOBS, "p50_ms": round(delays_ms[JOBS // 2], 1), "max_ms": round(delays_ms[-1], 1)}


def main() -> None:
    with tempfile.TemporaryDirectory() as folder, stopping(Path(folder)) as played:
        print(json.dumps({way.__name__: figures(played, way) for way in (cancelled, late)}, indent=2))


if __name__ == "__main__":
    main()
