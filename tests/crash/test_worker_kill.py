"""Workers killed with SIGKILL in the middle of their work: the job finishes, and every effect happened once."""

from pathlib import Path

import pytest

from orchestrator import JobFailed
from tests.support.ledger import attempts, effects, in_flight
from tests.support.stage import BROKERS, stage_on
from tests.support.waiting import wait_until


@pytest.mark.parametrize("broker", BROKERS)
@pytest.mark.parametrize("pool", ["asyncio", "prefork"])
def test_a_killed_worker_loses_nothing_and_doubles_nothing(tmp_path: Path, pool: str, broker: str) -> None:
    with stage_on(broker, tmp_path) as played:
        first = played.worker("--pool", pool, "--concurrency", "4")
        jobs = [played.app.submit({"item": f"bed-{i}", "seconds": 0.3}, workflow="journey") for i in range(4)]
        wait_until(lambda: in_flight(played.ledger) >= 2, "bookings are under way")
        played.kill(first)
        played.worker("--pool", pool, "--concurrency", "4")

        for job in jobs:
            assert len(job.result(90)) == 3
        assert len(effects(played.ledger)) == 12
        assert {key for key, _ in effects(played.ledger)} == {
            f"{job.id}.{step}:2" for job in jobs for step in ("flight", "hotel", "table")
        }


@pytest.mark.parametrize("broker", BROKERS)
def test_a_step_that_kills_whoever_runs_it_fails_its_job_and_no_other(tmp_path: Path, broker: str) -> None:
    with stage_on(broker, tmp_path, attempts=3, lease_s=3.0) as played:
        worker = played.worker("--pool", "prefork", "--concurrency", "2")
        job = played.app.submit({"item": "bed"}, workflow="deadly")
        other = played.app.submit({"item": "chair"}, workflow="journey")
        with pytest.raises(JobFailed, match=r"step 2 of 3 \(deadly\): unavailable: gave up after 3 attempts") as caught:
            job.result(90)
        assert "its worker died each time" in str(caught.value)
        assert job.steps[1].attempts == 4, "the last one only says so"
        assert [key for key, _ in attempts(played.ledger)].count(f"{job.id}.deadly:1") == 1, "what it did is replayed"
        assert len(other.result(90)) == 3
        assert worker.poll() is None
