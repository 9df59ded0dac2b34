"""Whatever ends the parent of a fleet: no process, wherever it hid, and no lock is left."""

import signal

import pytest

from orchestrator.fleet import Fleet, Roster
from orchestrator.settings import load
from tests.support.parents import AT_A_MOMENT, Parent, moments, parent
from tests.support.waiting import wait_until

# Three kinds of children: obedient; deaf to SIGTERM; one whose own children are in sessions of their own, deaf too.
RUN = """
import sys
from pathlib import Path
from orchestrator.fleet import Command, Fleet, Roster
from orchestrator.settings import load
STAY = "import threading; threading.Event().wait()"
DEAF = "import signal; signal.signal(15, signal.SIG_IGN); signal.signal(1, signal.SIG_IGN); " + STAY
SPAWN = f"subprocess.Popen([sys.executable, '-c', {DEAF!r}], start_new_session=True)"
NEST = f"import subprocess, sys; twins = [{SPAWN} for _ in '12']; "
def python(name, code):
    return Command(name=name, argv=lambda: [sys.executable, "-c", code], grace_s=1.0)
try:
    with Fleet(load(home=Path(sys.argv[1])), Roster(tools=(), workers=0, sweeper=False)) as fleet:
        for name, code in (("obedient", STAY), ("deaf", DEAF), ("nest", NEST + DEAF)):
            fleet.add(python(name, code))
        print("up")
        fleet.wait()
except KeyboardInterrupt:
    print("interrupted")
"""
START_AND_STOP = (
    AT_A_MOMENT
    + """
from pathlib import Path
from orchestrator.fleet import Command, Fleet, Roster
from orchestrator.settings import load
STAY = "import threading; threading.Event().wait()"
def python(name, **more):
    return Command(name=name, argv=lambda: [sys.executable, "-c", f"print('up', flush=True); {STAY}"], **more)
settings = load(home=Path(sys.argv[1]))
try:
    begin()
    with Fleet(settings, Roster(tools=(), workers=0, sweeper=False)) as fleet:
        fleet.add(python("tool", ready=lambda child: "up" in child.process.output())).wait_ready()
        fleet.add(python("worker", stops_first=True))
except KeyboardInterrupt:
    print("interrupted")
end()
"""
)
MOMENTS = 8
PROCESSES = 1 + 3 * 2 + 2  # the parent, a leash and a command each, two in the nest


def start(it: Parent) -> None:
    assert it.run(RUN).line() == "up"
    wait_until(lambda: len(it.alive()) == PROCESSES, "all of them run")


def assert_nothing_is_left(it: Parent) -> None:
    it.wait_all_gone()
    assert not it.home.exists() or {path.name for path in it.home.iterdir()} <= {"logs"}


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM, signal.SIGHUP])
def test_a_deadly_signal_leaves_nothing(number: signal.Signals) -> None:
    with parent() as it:
        start(it)
        it.signal_group(number)
        it.wait()
        assert_nothing_is_left(it)


def test_ctrl_c_in_the_terminal_reaches_the_parent_alone_and_ends_all_in_order() -> None:
    with parent() as it:
        start(it)
        it.signal_group(signal.SIGINT)
        assert it.wait() == "interrupted\n"
        assert not it.alive(), "all is gone when the parent is"
        assert_nothing_is_left(it)
        assert "KeyboardInterrupt" not in (it.home / "logs" / "obedient.log").read_text()


def test_ctrl_c_twice_does_not_wait_for_anybody() -> None:
    with parent() as it:
        assert it.run(RUN.replace("grace_s=1.0", "grace_s=60")).line() == "up"
        wait_until(lambda: len(it.alive()) == PROCESSES, "all of them run")
        it.signal_group(signal.SIGINT)
        wait_until(lambda: len(it.alive()) < PROCESSES, "the stop has begun")
        it.signal_group(signal.SIGINT)
        it.wait()
        assert_nothing_is_left(it)


def test_a_new_fleet_right_after_sigkill_waits_until_the_old_one_is_gone() -> None:
    with parent() as it:
        start(it)
        it.sigkill()
        with Fleet(load(home=it.home), Roster(tools=(), workers=0, sweeper=False)):
            assert [line for line in it.alive().values() if "leash.py" not in line] == []


def test_ctrl_c_at_any_moment_leaves_nothing() -> None:
    for moment in moments(START_AND_STOP, MOMENTS):
        with parent() as it:
            said = it.run(START_AND_STOP, str(moment), str(int(signal.SIGINT))).wait()
            assert "Traceback" not in said, f"at call {moment}: {said}"
            assert_nothing_is_left(it)
