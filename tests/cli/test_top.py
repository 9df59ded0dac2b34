"""`surefoot top`: who works, what waits, what is spent a minute and who is asked; also by processes that died."""

import json
import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from typing import Any

import pytest
from typer.testing import CliRunner

from orchestrator.cli import app
from orchestrator.cli.overview import MINUTE_MS, Meter
from orchestrator.state.client import SyncClient
from orchestrator.state.client import without_loop as do
from orchestrator.state.presence import Glance
from orchestrator.status import JobStatus
from tests.support.flows import Order
from tests.support.stage import ROOT, Stage, stage
from tests.support.waiting import wait_until

pytestmark = pytest.mark.xdist_group("top")
NAME = f"w1@{socket.gethostname()}"


@pytest.fixture(scope="module")
def played(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    with stage(tmp_path_factory.mktemp("stage"), version="7f3a") as it:
        yield it


def look(played: Stage) -> dict[str, Any]:
    done = CliRunner().invoke(app, ["top", "--json"], env=played.environment)
    assert done.exit_code == 0, done.output
    return json.loads(done.output)


def drawn(played: Stage) -> str:
    done = CliRunner().invoke(app, ["top", "--once"], env=played.environment)
    assert done.exit_code == 0, done.output
    return done.output


def process(played: Stage, name: str = NAME) -> dict[str, Any]:
    return next((one for one in look(played)["workers"] if one["name"] == name), {})


def test_without_a_worker_that_is_what_it_says(played: Stage) -> None:
    played.app.submit(Order(item="bed"), workflow="wide", tenant="early")
    told = drawn(played)
    assert "no worker was heard of within a day: surefoot worker" in told
    seen = look(played)
    assert seen["queues"]["begin"]["depth"] == 3
    assert seen["tenants"]["early"]["queued"] == 1


def test_a_worker_says_its_version_and_what_it_runs(played: Stage) -> None:
    played.worker("--concurrency", "50")
    job = played.app.submit(Order(item="bed"), workflow="gated", tenant="acme")
    wait_until(lambda: process(played).get("running") == [f"{job.id}.gated"], "the worker says what it runs")
    one, seen = process(played), look(played)
    assert (one["alive"], one["kind"], one["version"], one["busy"]) == (True, "worker", "7f3a", 1)
    (running,) = seen["running"]
    assert (running["step"], running["held_by"]) == (f"{job.id}.gated", NAME)
    assert seen["tenants"]["acme"]["running"] == 1
    told = drawn(played)
    assert "alive" in told
    assert f"{job.id}.gated" in told
    played.open_gate()
    job.result(60)


def test_what_was_spent_and_who_is_asked_is_there_with_the_command(played: Stage) -> None:
    job = played.app.submit(Order(item="bed"), workflow="asking", tenant="acme")
    wait_until(lambda: job.status == "waiting", "it asks")
    seen = look(played)
    (asked,) = seen["waiting_for_people"]
    assert (asked["job"], asked["next"]) == (job.id, f"surefoot answer {job.id} date=2027-03-12")
    assert seen["tenants"]["acme"]["a_minute"]["tool_calls"] >= 1
    assert f"surefoot answer {job.id} date=2027-03-12" in drawn(played)
    job.cancel()


def test_a_worker_that_was_killed_is_silent_and_one_that_ended_is_gone(played: Stage) -> None:
    second = played.worker("--concurrency", "2")
    name = NAME.replace("w1@", "w2@")
    wait_until(lambda: process(played, name).get("alive"), "the second worker is there")
    second.terminate()
    second.wait(60)
    assert process(played, name) == {}
    wait_until(lambda: process(played).get("alive"), "the first worker is there")
    played.kill(played.workers[0])
    client = SyncClient(played.server.url)
    do(client.command("DEL", f"sf:{{0}}:worker:{NAME}"))  # as its time to live does after six seconds
    client.close()
    assert process(played)["alive"] is False
    assert "silent for" in drawn(played)


def test_on_a_terminal_it_is_live_until_ctrl_c(played: Stage) -> None:
    environment = {**os.environ, **played.environment, "FORCE_COLOR": "1", "COLUMNS": "150", "LINES": "40"}
    words = [sys.executable, "-m", "surefoot", "top", "--every", "0.2"]
    log = played.folder / "top.log"
    with log.open("wb") as out:
        live = subprocess.Popen(words, env=environment, cwd=ROOT, stdout=out, stderr=out)
    wait_until(lambda: log.read_bytes().count(b"surefoot top") >= 3, "it was drawn three times", 60)
    live.send_signal(2)
    assert live.wait(20) == 130


def test_the_meter_counts_what_is_known_to_be_of_the_last_minute() -> None:
    meter, now = Meter(), 10 * MINUTE_MS

    def glance(name: str, created: int, calls: int) -> Glance:
        return Glance(name, JobStatus.RUNNING, "t", created, calls, 0, 0)

    assert meter.look([glance("old", 0, 50), glance("new", now - 1, 3)], now)["t"]["tool_calls"] == 3
    assert meter.look([glance("old", 0, 54), glance("new", now - 1, 3)], now + 5)["t"]["tool_calls"] == 7
    assert meter.look([glance("old", 0, 54)], now + MINUTE_MS + 1)["t"]["tool_calls"] == 4
    assert meter.look([glance("old", 0, 54)], now + 2 * MINUTE_MS + 6) == {}
