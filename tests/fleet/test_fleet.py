"""Children are kept running, give up in a crash loop, and are stopped in order."""

import os
import signal
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from orchestrator.fleet import Child, ChildFailed, ChildState, Command, Fleet, FleetError, HomeInUse, Roster
from orchestrator.fleet.lock import alive
from orchestrator.fleet.roster import ToolServer
from orchestrator.settings import load
from tests.support.waiting import wait_until

NOBODY = Roster(tools=(), workers=0, sweeper=False)
STAY = "import threading; threading.Event().wait()"


@pytest.fixture
def fleet() -> Iterator[Fleet]:
    with tempfile.TemporaryDirectory(prefix="sf-") as folder, Fleet(load(home=Path(folder)), NOBODY) as it:
        yield it


def never(_child: Child) -> bool:
    return False


def python(name: str, code: str, **more: object) -> Command:
    return Command(name=name, argv=lambda: [sys.executable, "-c", code], **more)  # pyright: ignore[reportArgumentType]


def test_a_child_that_dies_is_started_again(fleet: Fleet) -> None:
    child = fleet.add(python("a", STAY))
    before = child.pid
    fleet.kill("a")
    wait_until(lambda: child.pid not in {0, before}, "another process runs")
    assert [(it.name, it.state, it.restarts) for it in fleet.status()] == [("a", ChildState.RUNNING, 1)]


def test_what_a_killed_child_had_started_goes_with_it(fleet: Fleet) -> None:
    code = (
        f"import subprocess, sys; print(subprocess.Popen([sys.executable, '-c', '{STAY}'], start_new_session=True).pid)"
    )
    child = fleet.add(python("a", f"{code}; {STAY}", env={**os.environ, "PYTHONUNBUFFERED": "1"}))
    wait_until(child.process.output, "the grandchild runs")
    grandchild = int(child.process.output())
    assert alive(grandchild)
    fleet.kill("a")
    wait_until(lambda: fleet.status()[0].restarts, "the child is started again")
    assert not alive(grandchild)


def test_a_killed_leash_takes_its_command_along_and_is_replaced(fleet: Fleet) -> None:
    child = fleet.add(python("a", STAY))
    before = child.pid
    leash = int(Path(f"/proc/{before}/stat").read_text().rpartition(")")[2].split()[1])
    os.kill(leash, signal.SIGKILL)
    wait_until(lambda: child.pid not in {0, before}, "another process runs")
    assert not alive(before)


def test_a_crash_loop_ends_with_the_last_words(fleet: Fleet) -> None:
    child = fleet.add(python("a", "print('to stdout'); raise SystemExit('no such table: trips')", short_lives=3))
    with pytest.raises(
        ChildFailed,
        match=r"(?s)a ended too often and is not restarted; its log is .*a\.log\n.*(stdout\n.*trips|trips\n.*stdout)",
    ):
        fleet.wait()
    assert child.restarts == 2
    assert fleet.status()[0].state is ChildState.GAVE_UP


def test_a_crash_loop_of_a_child_nobody_needs_stops_nothing(fleet: Fleet) -> None:
    child = fleet.add(python("a", "raise SystemExit(3)", short_lives=2, essential=False))
    wait_until(lambda: child.state is ChildState.GAVE_UP, "the child gives up")
    fleet.add(python("b", "raise SystemExit(3)", short_lives=1))
    with pytest.raises(ChildFailed, match="b ended too often"):
        fleet.wait()


def test_a_child_that_is_never_ready_is_not_tried_again(fleet: Fleet) -> None:
    child = fleet.add(python("a", "raise SystemExit('port in use')", ready=never))
    with pytest.raises(ChildFailed, match=r"a does not start; its log is .*\n    port in use"):
        child.wait_ready()


def test_a_child_that_takes_too_long_is_named(fleet: Fleet) -> None:
    child = fleet.add(python("slow", STAY, ready=never))
    with pytest.raises(ChildFailed, match="slow is not ready after 0 s"):
        child.wait_ready(timeout_s=0.1)


def test_a_command_that_does_not_exist_is_named(fleet: Fleet) -> None:
    child = fleet.add(Command(name="a", argv=lambda: ["no-such-program"], ready=never))
    with pytest.raises(ChildFailed, match="cannot start no-such-program: No such file"):
        child.wait_ready()


def test_workers_stop_before_the_others_and_in_order(fleet: Fleet) -> None:
    on_stop = "import signal, sys, time; signal.signal(15, lambda *_: sys.exit(print(time.monotonic(), flush=True))); "
    children = [
        fleet.add(python(name, on_stop + f"print('up', flush=True); {STAY}", stops_first=first))
        for name, first in (("tool", False), ("worker", True))
    ]
    for child in children:
        wait_until(child.process.output, "it has its signal handler")
    fleet.stop()
    tool, worker = (float((fleet.home / "logs" / f"{name}.log").read_text().split()[1]) for name in ("tool", "worker"))
    assert worker < tool
    assert {it.state for it in fleet.status()} == {ChildState.STOPPED}


def test_a_child_that_ignores_sigterm_is_killed_after_its_grace(fleet: Fleet) -> None:
    child = fleet.add(
        python("a", f"import signal; signal.signal(15, signal.SIG_IGN); print('up', flush=True); {STAY}", grace_s=0.2)
    )
    wait_until(child.process.output, "it ignores SIGTERM")
    pid = child.pid
    fleet.stop()
    assert not alive(pid)


def test_signals_that_python_ignores_are_not_ignored_in_the_children(fleet: Fleet) -> None:
    child = fleet.add(Command(name="a", argv=lambda: ["grep", "SigIgn", "/proc/self/status"]))
    wait_until(child.process.output, "it has printed")
    ignored = int(child.process.output().split()[1], 16)
    assert ignored & 0x7FFF_FFFF == 0  # signal 32 is the C library's own


def test_settings_given_in_code_reach_the_children() -> None:
    with tempfile.TemporaryDirectory(prefix="sf-") as folder:
        settings = load(home=Path(folder), redis_url="redis://elsewhere", workflows=("a", "b"), lease_s=2.5)
        wanted = {
            "SUREFOOT_HOME": str(Path(folder).resolve()),
            "SUREFOOT_REDIS_URL": "redis://elsewhere",
            "SUREFOOT_WORKFLOWS": "a,b",
            "SUREFOOT_LEASE_S": "2.5",
        }
        assert {name: value for name, value in Fleet(settings, NOBODY).env.items() if name in wanted} == wanted


def test_a_second_fleet_on_the_same_home_is_refused_by_name(fleet: Fleet) -> None:
    with pytest.raises(HomeInUse, match=rf"already runs on {fleet.home} \(process {os.getpid()}\)"):
        Fleet(load(home=fleet.home), NOBODY).start()


def test_a_home_that_cannot_be_used_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(FleetError, match=r"cannot use the folder .*file/home"):
        Fleet(load(home=tmp_path / "file" / "home"), NOBODY).start()


def test_names_are_unique_and_unknown_ones_are_refused(fleet: Fleet) -> None:
    fleet.add(python("a", STAY))
    with pytest.raises(FleetError, match="already has a child named a"):
        fleet.add(python("a", STAY))
    with pytest.raises(FleetError, match="no child named b; there are a"):
        fleet.kill("b")
    fleet.stop()
    with pytest.raises(FleetError, match="not running"):
        fleet.add(python("c", STAY))


def test_the_tool_servers_token_is_named_but_not_written_into_mcp_json() -> None:
    assert "headers" not in ToolServer("flights", {}, "http://127.0.0.1:1/mcp").entry
    entry = ToolServer("flights", {"SUREFOOT_TOOLS_TOKEN": "s3cret"}, "http://127.0.0.1:1/mcp").entry
    assert entry["headers"] == {"Authorization": "Bearer ${SUREFOOT_TOOLS_TOKEN}"}
