"""The real tool servers, workers, sweeper and Flower, on a real embedded server."""

import signal
import tempfile
import urllib.error
import urllib.request
from base64 import b64encode
from collections.abc import Iterator
from pathlib import Path

import pytest

from orchestrator.embedded import EmbeddedServer
from orchestrator.fleet import ChildState, Fleet, Roster
from orchestrator.settings import load
from tests.support.parents import parent
from tests.support.waiting import wait_until
from tools import config

UP = """
import sys
from pathlib import Path
from orchestrator.embedded import EmbeddedServer
from orchestrator.fleet import Fleet, Roster
from orchestrator.settings import load
home = Path(sys.argv[1])
roster = Roster(workers=2, pool="prefork", concurrency=2, flower_port=0)
try:
    with EmbeddedServer(home) as server, Fleet(load(home=home, redis_url=server.redis_url), roster) as fleet:
        print("up")
        fleet.wait()
except KeyboardInterrupt:
    print("interrupted")
"""


@pytest.fixture(scope="module")
def fleet() -> Iterator[Fleet]:
    with tempfile.TemporaryDirectory(prefix="sf-") as folder, EmbeddedServer(Path(folder)) as server:
        settings = load(home=Path(folder), redis_url=server.redis_url)
        with Fleet(settings, Roster(workers=1, flower_port=0)) as it:
            yield it


def worker_is_up(fleet: Fleet, name: str) -> bool:
    return f"{name}@" in fleet.child(name).process.output()


def get(url: str, credentials: str = "") -> int:
    request = urllib.request.Request(url)
    if credentials:
        request.add_header("Authorization", f"Basic {b64encode(credentials.encode()).decode()}")
    try:
        with urllib.request.urlopen(request, timeout=10) as answer:
            return answer.status
    except urllib.error.HTTPError as refused:
        return refused.code


def test_all_run_and_every_tool_server_answers(fleet: Fleet) -> None:
    names = ["flights", "hotels", "restaurants", "weather", "database", "worker-1", "sweeper", "flower"]
    assert [it.name for it in fleet.status()] == names
    assert {it.state for it in fleet.status()} == {ChildState.RUNNING}
    for entry in config.load(fleet.home / "mcp.json").servers.values():
        assert get(str(entry.url).replace("/mcp", "/health")) == 200


def test_a_killed_tool_server_comes_back_at_the_same_address(fleet: Fleet) -> None:
    before = (fleet.home / "mcp.json").read_text()
    child = fleet.child("weather")
    pid = child.pid
    fleet.kill("weather")
    wait_until(lambda: child.pid not in {0, pid}, "another process runs")
    child.wait_ready()
    assert (fleet.home / "mcp.json").read_text() == before
    url = str(config.load(fleet.home / "mcp.json").servers["weather"].url)
    assert get(url.replace("/mcp", "/health")) == 200


def test_workers_are_added_while_it_runs(fleet: Fleet) -> None:
    child = fleet.add_worker()
    assert child.name == "worker-2"
    wait_until(lambda: worker_is_up(fleet, "worker-2"), "the worker is up")


def test_flower_asks_for_the_password_which_no_command_line_shows(fleet: Fleet) -> None:
    assert fleet.flower
    fleet.child("flower").wait_ready()
    user, _, password = fleet.flower.credentials.partition(":")
    assert user == "surefoot"
    assert len(password) >= 16
    for page in ("/", "/workers", "/tasks", "/api/workers"):
        assert get(fleet.flower.url + page) == 401
        assert get(fleet.flower.url + page, fleet.flower.credentials) == 200
    assert password not in Path(f"/proc/{fleet.child('flower').pid}/cmdline").read_text()


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGINT])
def test_nothing_of_it_outlives_its_parent(number: signal.Signals) -> None:
    with parent() as it:
        assert it.run(UP).line() == "up"
        logs = [it.home / "logs" / f"worker-{n}.log" for n in (1, 2)]
        wait_until(lambda: all("ready." in log.read_text() for log in logs), "both workers are up", 60)
        it.signal_group(number)
        it.wait()
        it.wait_all_gone(20)
        ours = {"embedded.json", "embedded.lock", "fleet.lock", "mcp.json", "valkey.sock"}
        assert {path.name for path in it.home.iterdir()} & ours == set()
