"""Redis full, a replica, or with another password: clear errors for clients, workers wait and go on."""

from dataclasses import dataclass
from pathlib import Path

import pytest

from orchestrator import Orchestrator
from orchestrator.errors import Overloaded, StoreRefused
from orchestrator.state.client import SyncClient, without_loop
from tests.support.stage import stage
from tests.support.waiting import wait_until


@dataclass(frozen=True)
class Trouble:
    """What is done to the server and undone, and what Redis and we call it."""

    done: str
    undone: str
    code: str
    error: type[Exception]
    said: str


TROUBLES = {
    "full": Trouble("CONFIG SET maxmemory 1", "CONFIG SET maxmemory 0", "OOM", Overloaded, "raise its maxmemory"),
    "replica": Trouble("REPLICAOF 127.0.0.1 1", "REPLICAOF NO ONE", "READONLY", StoreRefused, "takes no writes"),
    "password": Trouble(
        "CONFIG SET requirepass x", "ACL SETUSER default nopass", "NOAUTH", StoreRefused, "wrong or missing password"
    ),
}


@pytest.mark.parametrize("name", TROUBLES)
def test_clients_are_told_and_workers_wait(tmp_path: Path, name: str) -> None:
    trouble = TROUBLES[name]
    with stage(tmp_path, lease_s=60) as played:
        worker = played.worker()
        job = played.app.submit({"item": "bed"}, workflow="gated")
        wait_until(lambda: job.steps[0].attempts == 1, "the step runs")
        control = SyncClient(played.server.url)

        def command(words: str) -> bytes:
            return without_loop(control.command(*words.split()))

        def refusals() -> int:
            lines = command("INFO errorstats").decode().splitlines()
            return sum(
                int(line.partition("count=")[2]) for line in lines if line.startswith(f"errorstat_{trouble.code}:")
            )

        command(trouble.done)
        command("CLIENT KILL TYPE normal")
        with pytest.raises(trouble.error, match=trouble.said):
            Orchestrator(redis_url=played.server.url, workflows=("tests.support.flows",), trace=False).submit(
                {"item": "bed"}, workflow="gated"
            )
        before = refusals()
        played.open_gate()
        wait_until(lambda: refusals() > before + 3, "the worker has tried again and again")
        command(trouble.undone)

        assert job.result(60) == {"through": "bed"}
        assert job.steps[0].attempts == 1
        assert played.app.submit({"item": "bed"}, workflow="gated").result(60) == {"through": "bed"}
        assert worker.poll() is None
        assert b"its append-only file is off: a restart would lose jobs" in played.log(), "said at the worker's start"
        control.close()


def test_a_wrong_password_ends_a_worker_at_its_start(tmp_path: Path) -> None:
    with stage(tmp_path) as played:
        control = SyncClient(played.server.url)
        without_loop(control.command("CONFIG", "SET", "requirepass", "right"))
        played.environment["SUREFOOT_REDIS_URL"] = played.server.url.replace("unix://", "unix://:wrong@")
        worker = played.process("workers", "refused")
        assert worker.wait(60) == 2
        said = (tmp_path / "refused.log").read_text()
        assert "wrong or missing password; check SUREFOOT_REDIS_URL" in said
        assert "Traceback" not in said
        control.close()
