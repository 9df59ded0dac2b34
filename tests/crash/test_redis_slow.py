"""Redis that answers late: it still loads its file, or stands still. Everybody waits, and nothing is doubled."""

import os
import signal
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from orchestrator.state import keys
from orchestrator.state.client import SyncClient, without_loop
from tests.support.ledger import effects, in_flight
from tests.support.stage import stage
from tests.support.valkey import DURABLE, answers
from tests.support.waiting import wait_until

LEASE_S = 1.5
BALLAST = "for i = 1, 6000 do redis.call('SET', 'ballast', i) end"
SLOW_LOADING = ("--key-load-delay", "500")
"""Half a millisecond for each command of the append-only file; it answers, LOADING, after every 1,024 of them."""


def test_a_redis_that_loads_its_file_is_waited_for(tmp_path: Path) -> None:
    with stage(tmp_path, server_options=DURABLE, lease_s=60) as played, ThreadPoolExecutor(2) as threads:
        worker = played.worker()
        job = played.app.submit({"item": "bed"}, workflow="gated")
        wait_until(lambda: job.steps[0].attempts == 1, "the step runs")
        client = SyncClient(played.server.url)
        without_loop(client.command("EVAL", BALLAST, 0))
        client.close()
        played.server.kill()
        played.server.begin(*SLOW_LOADING)
        wait_until(lambda: answers(played.server.socket, b"-LOADING"), "it loads")
        submitting = threads.submit(played.app.submit, {"item": "bath"}, workflow="gated")
        waiting = threads.submit(job.result, 90)
        late = played.process("workers", "late", "--name", "late")
        played.open_gate()
        wait_until(lambda: answers(played.server.socket), "it has loaded")

        assert waiting.result(90) == {"through": "bed"}
        assert job.steps[0].attempts == 1, "to wait costs no attempt"
        assert submitting.result(90).result(90) == {"through": "bath"}
        wait_until(lambda: "ready." in (tmp_path / "late.log").read_text(), "who was started meanwhile is ready")
        assert (worker.poll(), late.poll()) == (None, None)


def test_a_redis_that_stands_still_for_longer_than_a_lease_doubles_nothing(tmp_path: Path) -> None:
    with stage(tmp_path, server_options=DURABLE, lease_s=LEASE_S) as played, ThreadPoolExecutor(4) as threads:
        worker = played.worker("--concurrency", "4")
        jobs = [played.app.submit({"item": f"bed-{n}", "seconds": 0.3}, workflow="journey") for n in range(4)]
        waiting = [threads.submit(job.result, 120) for job in jobs]
        wait_until(lambda: in_flight(played.ledger) >= 2, "bookings are under way")
        client = SyncClient(played.server.url)
        _, until_ms = without_loop(client.command("ZREVRANGE", keys.INDEXES["leases"], 0, 0, "WITHSCORES"))
        os.kill(played.server.process.pid, signal.SIGSTOP)
        wait_until(lambda: time.time() > float(until_ms) / 1000 + LEASE_S, "all leases have run out, renewed or not")
        os.kill(played.server.process.pid, signal.SIGCONT)

        assert all(len(done.result(120)) == 3 for done in waiting)
        assert sorted(key for key, _ in effects(played.ledger)) == sorted(
            f"{job.id}.{step}:2" for job in jobs for step in ("flight", "hotel", "table")
        )
        assert worker.poll() is None
        client.close()
