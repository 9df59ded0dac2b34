"""`appendfsync everysec` and a power loss: the end of the append-only file is gone. What is lost, and what is not."""

import os
from pathlib import Path

import pytest

from orchestrator import Job, JobNotFound
from tests.support.ledger import attempts, effects
from tests.support.stage import Stage, stage
from tests.support.waiting import wait_until

EVERYSEC = ("--appendonly", "yes", "--appendfsync", "everysec")
BOOKED = ("flight", "hotel", "table")


def order(played: Stage, item: str) -> Job:
    return played.app.submit({"item": item}, workflow="journey", key=item)


def keys_of(*jobs: Job) -> set[str]:
    return {f"{job.id}.{step}:2" for job in jobs for step in BOOKED}


def test_what_a_power_loss_takes_back_is_done_again_under_the_same_keys(tmp_path: Path) -> None:
    with stage(tmp_path, server_options=EVERYSEC) as played:
        (log,) = played.server.folder.glob("appendonlydir/*.incr.aof")
        before = order(played, "before")
        wait_until(lambda: before.id.encode() in log.read_bytes(), "the job is in the file")
        on_disk = log.stat().st_size
        worker = played.worker()
        assert len(before.result(60)) == 3
        within = order(played, "within")
        assert len(within.result(60)) == 3

        played.server.kill()
        os.truncate(log, on_disk)  # all that came after this never reached the disk
        played.server.start()

        assert len(before.result(60)) == 3
        assert [key for key, _ in attempts(played.ledger)].count(f"{before.id}.flight:2") == 2, "it was done again"
        assert {key for key, _ in effects(played.ledger)} == keys_of(before, within), "and had its effects once"
        assert all(line.reserved == 0 for line in before.spend.lines.values())

        with pytest.raises(JobNotFound):
            _ = within.status
        again = order(played, "within")
        assert again.id != within.id
        assert len(again.result(60)) == 3
        assert {key for key, _ in effects(played.ledger)} == keys_of(before, within, again), "a new job has new keys"
        assert worker.poll() is None
