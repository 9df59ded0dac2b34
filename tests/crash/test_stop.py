"""Workers told to stop: steps end within the grace, or go to another worker at once; nothing is lost, nobody hangs.

Leases, and the grace of messages, are far longer than the tests: what another worker gets, it was given.
"""

import os
import signal
import subprocess
from collections.abc import Generator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from signal import SIGINT, SIGQUIT, SIGTERM
from typing import Any

import pytest

from orchestrator import Job
from tests.support.rabbitmq import rabbitmq
from tests.support.stage import Stage, stage
from tests.support.waiting import wait_until

SEEN = b"shutdown (MainProcess)"
PATIENT = {"lease_s": 600, "grace_s": 600, "stop_s": 600}
SOON: dict[str, tuple[list[signal.Signals], float]] = {
    "the grace is over": ([SIGTERM], 0.2),
    "a second SIGTERM": ([SIGTERM, SIGTERM], 600),
    "SIGQUIT": ([SIGQUIT], 600),
    "Ctrl-C twice": ([SIGINT, SIGINT], 600),
}
"""The signals that end a worker before its steps have ended, and the grace."""


@contextmanager
def on_broker(folder: Path, broker: str, **settings: Any) -> Generator[Stage]:
    with ExitStack() as stack:
        more = {"broker_url": stack.enter_context(rabbitmq())} if broker == "rabbitmq" else {}
        yield stack.enter_context(stage(folder, **PATIENT | more | settings))


def tell(played: Stage, worker: subprocess.Popen[bytes], number: int, signals: Sequence[signal.Signals]) -> None:
    """Send each signal when the worker has seen the one before."""
    for count, each in enumerate(signals, 1):
        worker.send_signal(each)
        wait_until(lambda n=count: played.log(number).count(SEEN) >= n or worker.poll() is not None, f"{each} is seen")


def gone(worker: subprocess.Popen[bytes]) -> bool:
    """Whether nothing of a worker's process group is left."""
    try:
        os.killpg(worker.pid, 0)
    except ProcessLookupError:
        return True
    return False


def running(jobs: Sequence[Job]) -> int:
    return sum(job.steps[0].state == "running" for job in jobs)


def started(played: Stage, workflow: str) -> Job:
    job = played.app.submit({"item": "bed"}, workflow=workflow)
    wait_until(lambda: job.steps[0].attempts == 1, "the step runs")
    return job


@pytest.mark.parametrize(
    ("broker", "pool", "ways"),
    [
        ("redis", "asyncio", list(SOON)),
        ("redis", "prefork", ["a second SIGTERM", "the grace is over", "SIGQUIT"]),
        ("rabbitmq", "asyncio", ["a second SIGTERM"]),
        ("rabbitmq", "prefork", ["the grace is over"]),
    ],
)
def test_unfinished_steps_go_to_another_worker_at_once(tmp_path: Path, broker: str, pool: str, ways: list[str]) -> None:
    """One worker after the other takes steps and is stopped: neither what ran nor what waited is lost or counted."""
    with on_broker(tmp_path, broker) as played:
        jobs = [played.app.submit({"item": "bed"}, workflow="gated") for _ in range(4)]
        for number, way in enumerate(ways, 1):
            signals, stop_s = SOON[way]
            played.environment["SUREFOOT_STOP_S"] = str(stop_s)
            worker = played.worker("--pool", pool, "--concurrency", "2")
            wait_until(lambda: running(jobs) == 2, f"worker {number} has taken two steps")
            tell(played, worker, number, signals)
            worker.wait(60)
            assert gone(worker), way
            assert running(jobs) == 0, way

        played.open_gate()
        played.worker("--pool", pool)
        for job in jobs:
            assert job.result(90) == {"through": "bed"}
            assert job.steps[0].attempts == 1, "attempts that were cut off do not count"


@pytest.mark.parametrize("pool", ["asyncio", "prefork"])
def test_code_that_blocks_keeps_neither_its_step_nor_its_worker(tmp_path: Path, pool: str) -> None:
    with on_broker(tmp_path, "redis", stop_s=0.2) as played:
        worker = played.worker("--pool", pool, "--concurrency", "2")
        job = started(played, "walled")
        tell(played, worker, 1, [SIGTERM])
        worker.wait(60)
        assert gone(worker)

        played.open_gate()
        played.worker("--pool", pool)
        assert job.result(90) == {"through": "bed"}
        assert job.steps[0].attempts == 1


@pytest.mark.parametrize("pool", ["asyncio", "prefork"])
def test_a_step_that_ends_within_the_grace_is_no_more_trouble(tmp_path: Path, pool: str) -> None:
    with on_broker(tmp_path, "redis") as played:
        worker = played.worker("--pool", pool, "--concurrency", "2")
        job = started(played, "gated")
        tell(played, worker, 1, [SIGTERM])
        played.open_gate()
        assert worker.wait(60) == 0
        assert gone(worker)
        assert job.result(0.1) == {"through": "bed"}


@pytest.mark.parametrize("pool", ["asyncio", "prefork"])
def test_a_step_whose_claim_was_on_its_way_is_given_back_too(tmp_path: Path, pool: str) -> None:
    with on_broker(tmp_path, "redis") as played:
        played.environment["SUREFOOT_WORKFLOWS"] = "tests.crash.slow_claims"
        job = played.app.submit({"item": "bed"}, workflow="gated")
        played.environment["TEST_SLOW_CLAIMS"] = "1"
        worker = played.worker("--pool", pool, "--concurrency", "2")
        wait_until((tmp_path / "claim-made").exists, "the claim is made")
        tell(played, worker, 1, [SIGTERM, SIGTERM])
        (tmp_path / "claim-told").touch()
        worker.wait(60)
        assert gone(worker)
        assert (job.steps[0].state, job.steps[0].attempts) == ("retrying", 0)
