"""Redis with no memory left: clients are told what to do; workers wait, burn no attempt, and go on."""

from pathlib import Path

import pytest

from orchestrator.errors import Overloaded
from orchestrator.state.client import SyncClient, without_loop
from tests.support.stage import stage
from tests.support.waiting import wait_until


def test_clients_are_told_and_workers_wait(tmp_path: Path) -> None:
    with stage(tmp_path, lease_s=60) as played:
        worker = played.worker()
        job = played.app.submit({"item": "bed"}, workflow="gated")
        wait_until(lambda: job.steps[0].attempts == 1, "the step runs")
        control = SyncClient(played.server.url)

        def command(words: str) -> bytes:
            return without_loop(control.command(*words.split()))

        def refusals() -> int:
            lines = command("INFO errorstats").decode().splitlines()
            return sum(int(line.partition("count=")[2]) for line in lines if line.startswith("errorstat_OOM:"))

        command("CONFIG SET maxmemory 1")
        with pytest.raises(Overloaded, match="raise its maxmemory"):
            played.app.submit({"item": "bed"}, workflow="gated")
        before = refusals()
        played.open_gate()
        wait_until(lambda: refusals() > before + 3, "the worker has tried again and again")
        command("CONFIG SET maxmemory 0")

        assert job.result(60) == {"through": "bed"}
        assert job.steps[0].attempts == 1
        assert played.app.submit({"item": "bed"}, workflow="gated").result(60) == {"through": "bed"}
        assert worker.poll() is None
        control.close()
