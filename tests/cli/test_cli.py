"""The command line on one machine: `surefoot up` and all that is done with it, until Ctrl-C."""

import json
import os
import re
import signal
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from orchestrator import Orchestrator
from orchestrator.cli import app, bench
from tests.support.stage import ROOT
from tests.support.waiting import wait_until

pytestmark = pytest.mark.xdist_group("cli")
SUREFOOT = str(Path(sys.executable).with_name("surefoot"))
COMPLETE = "Four days of hiking around Denver from New York, 12 to 15 March, two people, under 2,500 USD"
WITHOUT_DATES = "Four days of hiking around Denver from New York, two people, under 2,500 USD"


@dataclass
class Machine:
    """A machine on which `surefoot up` runs."""

    home: Path
    up: subprocess.Popen[bytes]
    environment: dict[str, str]

    def run(self, *words: str, code: int = 0) -> str:
        """Run a command; its standard output."""
        done = subprocess.run(
            [SUREFOOT, *words], env=self.environment, cwd=ROOT, capture_output=True, text=True, timeout=90, check=False
        )
        assert done.returncode == code, f"{words}: {done.returncode}\n{done.stdout}\n{done.stderr}"
        return done.stdout if code == 0 else done.stderr

    def processes(self) -> list[int]:
        """Every process that carries this home in its environment."""
        found: list[int] = []
        for path in Path("/proc").glob("[0-9]*/environ"):
            try:
                if f"SUREFOOT_HOME={self.home}".encode() in path.read_bytes():
                    found.append(int(path.parent.name))
            except OSError:
                continue
        return [pid for pid in found if pid != os.getpid()]

    def workers(self) -> list[int]:
        return [pid for pid in self.processes() if b"workers\0--" in Path(f"/proc/{pid}/cmdline").read_bytes()]

    def bookings(self, job_id: str, status: str = "%") -> list[str]:
        """The keys of a job's bookings; the tool servers make the table with the first one."""
        with sqlite3.connect(self.home / "ledger.sqlite") as db:
            if not db.execute("SELECT 1 FROM sqlite_master WHERE name = 'booking'").fetchone():
                return []
            found = db.execute(
                "SELECT dedup_key FROM booking WHERE dedup_key LIKE ? AND status LIKE ?", (f"{job_id}%", status)
            )
            return [key for (key,) in found]


@pytest.fixture(scope="module")
def machine(tmp_path_factory: pytest.TempPathFactory, flight_data: Path) -> Iterator[Machine]:
    home = tmp_path_factory.mktemp("home")
    settings = {"SUREFOOT_HOME": str(home), "SUREFOOT_LEASE_S": "2", "SUREFOOT_GRACE_S": "0.5", "COLUMNS": "200"}
    environment = os.environ | settings
    log = (home / "up.log").open("wb")
    up = subprocess.Popen([SUREFOOT, "up", "--without-flower"], env=environment, cwd=ROOT, stdout=log, stderr=log)
    one = Machine(home, up, environment)
    wait_until(lambda: b"Surefoot is up" in (home / "up.log").read_bytes(), "surefoot is up", 60)
    yield one
    up.send_signal(signal.SIGINT)
    assert up.wait(30) in {0, 130}
    wait_until(lambda: not one.processes(), "no process is left")
    assert [
        path.name for path in home.iterdir() if path.is_socket() or path.name in {"embedded.json", "mcp.json"}
    ] == []


def test_a_request_without_dates_asks_and_goes_on(machine: Machine) -> None:
    assert "start_date" in machine.run("submit", "--wait", WITHOUT_DATES, code=3)
    job_id = json.loads(machine.run("jobs", "--status", "waiting", "--json"))[0]["id"]
    assert "cannot" not in machine.run("answer", job_id, "start_date=2027-03-12")
    assert "| there |" in machine.run("submit", "--wait", COMPLETE)
    machine.run("watch", job_id)
    assert json.loads(machine.run("show", job_id, "--json"))["status"] == "succeeded"
    assert len(machine.bookings(job_id)) == 6


def test_a_ceiling_is_said_and_a_larger_one_goes_on(machine: Machine) -> None:
    said = machine.run("submit", "--wait", "--tool-calls", "6", COMPLETE, code=1)
    assert "tool calls 6 of 6" in said
    assert " of 9 (" in said
    failed = json.loads(machine.run("jobs", "--status", "failed", "--json"))[0]
    assert (failed["reason"], failed["spend"]["tool_calls"]["spent"]) == ("budget", 6)
    machine.run("resume", failed["id"], "--tool-calls", "60", "--answer-bytes", "9000000")
    machine.run("watch", failed["id"])
    assert len(machine.bookings(failed["id"])) == 6


def test_a_trip_that_is_cancelled_after_its_bookings_books_them_off(machine: Machine) -> None:
    job_id = json.loads(machine.run("submit", "--json", "--steps", "8", "--at-ceiling", "ask", COMPLETE))["id"]
    wait_until(lambda: json.loads(machine.run("show", job_id, "--json"))["status"] == "waiting", "all is booked")
    assert len(machine.bookings(job_id, "booked")) == 6
    assert "cancelled" in machine.run("cancel", job_id)
    said = machine.run("watch", job_id)
    assert "undo_ended" in said, said
    assert (len(machine.bookings(job_id, "booked")), len(machine.bookings(job_id, "cancelled"))) == (0, 6)
    assert "undone: 6" in machine.run("show", job_id)
    undo = json.loads(machine.run("show", job_id, "--json"))["undo"]
    assert (undo["pending"], len(undo["done"]), undo["left"]) == (0, 6, [])
    assert {entry["tool"] for entry in undo["done"]} == {"flights.cancel", "hotels.cancel", "restaurants.cancel"}


def test_a_worker_killed_in_the_middle_books_everything_once(machine: Machine) -> None:
    job_id = json.loads(machine.run("submit", "--json", COMPLETE))["id"]
    wait_until(lambda: len(machine.bookings(job_id)) >= 1, "the first booking is made")
    for pid in machine.workers():
        os.kill(pid, signal.SIGKILL)

    machine.run("watch", job_id)
    booked = machine.bookings(job_id)
    assert len(booked) == len(set(booked)) == 6


def test_the_trace_is_one_tree_with_every_step_and_call(machine: Machine) -> None:
    job_id = json.loads(machine.run("submit", "--json", COMPLETE))["id"]
    machine.run("watch", job_id)

    spans: list[dict[str, Any]] = []

    def complete() -> bool:
        spans[:] = json.loads(machine.run("trace", job_id, "--json"))
        ended = [span for span in spans if not span.get("open")]
        ids = {span["span_id"] for span in ended}
        roots = [span["name"] for span in ended if span.get("parent_id") not in ids]
        return (roots, sum(span["name"].startswith("invoke_agent") for span in ended)) == (["invoke_workflow trip"], 9)

    wait_until(complete, "all spans have arrived, in one tree")
    assert sum(span["name"].startswith("execute_tool") for span in spans) == 14
    assert "invoke_agent summary (step 9 of 9)" in machine.run("trace", job_id)


def test_everything_that_reads_has_an_answer_for_programs(machine: Machine) -> None:
    checks = {check["check"]: check["ok"] for check in json.loads(machine.run("doctor", "--json"))}
    looks = ("settings", "Redis", "broker", "workflows", "tools", "port", "workers", "queues")
    assert checks == dict.fromkeys(looks, True)
    tools = {tool["name"]: tool["effect"] for tool in json.loads(machine.run("tools", "--json"))}
    assert tools["flights.book"] == "keyed"
    assert len(tools) == 16
    job_id = json.loads(machine.run("submit", "--json", "--key", "one", COMPLETE))["id"]
    assert json.loads(machine.run("submit", "--json", "--key", "one", COMPLETE))["id"] == job_id
    events = [json.loads(line) for line in machine.run("watch", "--json", job_id).splitlines()]
    assert (events[0]["type"], events[-1]["type"]) == ("opened", "succeeded")
    assert str(machine.home) in machine.run("up", code=1)


def test_mistakes_are_named_with_an_exit_code(machine: Machine) -> None:
    assert "no job" in machine.run("show", "f" * 32, code=1)
    assert "unknown workflow" in machine.run("submit", "--workflow", "x", "{}", code=2)
    assert "begins like JSON" in machine.run("submit", "{oops", code=2)
    assert "unknown server" in machine.run("tools", "serve", "trains", code=2)
    assert "--queues: unknown nothing" in machine.run("worker", "--queues", "nothing", code=2)


@pytest.mark.parametrize(
    "command",
    ["submit", "watch", "jobs", "show", "trace", "answer", "cancel", "resume", "fork", "up", "worker", "demo"],
)
def test_every_command_has_help(command: str) -> None:
    assert "Usage" in CliRunner().invoke(app, [command, "--help"]).output


def test_the_readme_s_python_runs_as_printed(machine: Machine) -> None:
    code = re.findall(r"```python\n(.*?)```", (ROOT / "README.md").read_text(), re.DOTALL)[0]
    words = [sys.executable, "-c", code]
    done = subprocess.run(
        words, env=machine.environment, cwd=ROOT, capture_output=True, text=True, timeout=90, check=False
    )
    assert done.returncode == 0, done.stderr
    assert "['start_date']" in done.stdout
    assert "## Bookings" in done.stdout


def test_the_trip_comes_to_the_same_in_every_pattern(
    machine: Machine, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    door = Orchestrator(home=machine.home, redis_url="", trace=False)

    def this_one(_: Path) -> AbstractContextManager[Orchestrator]:
        return nullcontext(door)  # it runs already

    monkeypatch.setattr(bench, "machine", this_one)
    bench.bench(jobs=1, as_json=True)
    costs = {cost["pattern"]: cost for cost in json.loads(capsys.readouterr().out)}
    bench.bench(jobs=1, as_json=False)
    door.close()

    heads, *rows = [re.split(r"  +", line.strip()) for line in capsys.readouterr().out.splitlines()]
    assert heads == ["pattern", "steps", "tool calls", "tokens", "USD", "seconds", "itinerary"]
    assert [row[:5] + row[6:] for row in rows] == [
        [name, *(f"{cost[part]:g}" for part in ("steps", "tool_calls", "tokens", "usd")), "equal"]
        for name, cost in costs.items()
    ]
    assert {name: (cost["steps"], cost["tool_calls"], cost["equal"]) for name, cost in costs.items()} == {
        "router": (10, 14, True),
        "specialists": (9, 14, True),
        "plan": (10, 14, True),
        "supervisor": (13, 14, True),
    }


def test_a_pattern_is_chosen_by_name_and_an_unknown_one_refused(machine: Machine) -> None:
    parts = "Only flights and the weather: Denver from New York, 12 to 15 March, two people"
    found = json.loads(machine.run("submit", "--wait", "--json", "--pattern", "router", parts))
    assert sorted(found) == ["flights", "weather"]
    said = machine.run("submit", "--pattern", "swarm", parts, code=2)
    assert "--pattern 'swarm': one of router, specialists, plan, supervisor" in said
