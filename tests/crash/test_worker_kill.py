"""Workers killed with SIGKILL in the middle of their work: the job finishes, and every effect happened once."""

from pathlib import Path

import pytest

from tests.support.ledger import effects, in_flight
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
