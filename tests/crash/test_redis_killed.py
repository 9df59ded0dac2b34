"""Redis killed with SIGKILL under load: nobody needs a restart, no job is lost, no effect happens twice."""

import asyncio
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from orchestrator import AsyncOrchestrator, Job
from orchestrator.state import keys
from orchestrator.state.client import SyncClient, without_loop
from tests.support.ledger import effects
from tests.support.stage import Stage, stage
from tests.support.valkey import DURABLE
from tests.support.waiting import wait_until

KILLS = 4


def order(played: Stage, number: int) -> Job:
    return played.app.submit({"item": f"bed-{number}", "seconds": 0.2}, workflow="journey", key=f"order-{number}")


def watched(job: Job) -> list[str]:
    return [event.type for event in job.events()]


def awaited(url: str, job_id: str) -> Any:
    """The result as a program with an event loop waits for it."""

    async def wait() -> Any:
        app = AsyncOrchestrator(redis_url=url, workflows=("tests.support.flows",), trace=False)
        try:
            return await (await app.job(job_id)).result(120)
        finally:
            await app.close()

    return asyncio.run(wait())


def outage(played: Stage, number: int) -> None:
    """Kill the server; every second time it stays away until the worker has noticed it more than once."""
    noticed = played.log().count(b"broker unreachable")
    played.server.kill()
    if number % 2:
        wait_until(lambda: played.log().count(b"broker unreachable") > noticed + 4, "the worker tries to reconnect")
    played.server.start()


def left_behind(played: Stage) -> list[str]:
    """The indexes that still have members."""
    client = SyncClient(played.server.url)
    try:
        names = ("leases", "again", "begun", "doubts", "deadlines")
        return [name for name in names if without_loop(client.command("ZCARD", keys.INDEXES[name]))]
    finally:
        client.close()


@pytest.mark.parametrize("pool", ["asyncio", "prefork"])
def test_a_killed_redis_loses_nothing_doubles_nothing_and_ends_nobody(tmp_path: Path, pool: str) -> None:
    with stage(tmp_path, server_options=DURABLE) as played, ThreadPoolExecutor(16) as threads:
        worker = played.worker("--pool", pool, "--concurrency", "4")
        jobs = [order(played, number) for number in range(4)]
        watchers = [threads.submit(watched, job) for job in jobs]
        waiting = [threads.submit(job.result, 120) for job in jobs]
        waiting += [threads.submit(awaited, played.server.url, job.id) for job in jobs]
        for kill in range(KILLS):
            booked = len(effects(played.ledger))
            wait_until(lambda n=booked: len(effects(played.ledger)) > n, f"work goes on before kill {kill}")
            submitting = threads.submit(order, played, 4 + kill)
            outage(played, kill)
            jobs.append(submitting.result(60))

        for number, job in enumerate(jobs):
            assert len(job.result(90)) == 3
            assert order(played, number).id == job.id, "submitting again finds the same job"
            assert all(line.reserved == 0 for line in job.spend.lines.values())
        assert {key for key, _ in effects(played.ledger)} == {
            f"{job.id}.{step}:2" for job in jobs for step in ("flight", "hotel", "table")
        }
        assert all(watcher.result(60)[-1] == "succeeded" for watcher in watchers)
        assert all(len(done.result(60)) == 3 for done in waiting), "who waited all the while has the result"
        wait_until(lambda: not left_behind(played), "no index has anything left")
        assert worker.poll() is None


def test_the_keeper_of_leases_lives_on(tmp_path: Path) -> None:
    """A step far longer than its lease, with an outage in the middle, is run once."""
    with stage(tmp_path, server_options=DURABLE, lease_s=3.0) as played:
        played.worker()
        job = played.app.submit({"item": "bed"}, workflow="gated")
        wait_until(lambda: job.steps[0].attempts == 1, "the step runs")
        played.server.kill()
        wait_until(lambda: b"broker unreachable" in played.log(), "the worker noticed")
        played.server.start()
        client = SyncClient(played.server.url)

        def held_until() -> float:
            return float(without_loop(client.command("ZSCORE", keys.INDEXES["leases"], f"{job.id}.gated")) or 0)

        first = held_until()
        wait_until(lambda: held_until() > first + 6_000, "the lease is renewed again and again")
        played.open_gate()
        assert job.result(60) == {"through": "bed"}
        client.close()
