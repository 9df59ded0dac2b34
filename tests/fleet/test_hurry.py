"""Ctrl-C again while a fleet stops: workers give back now, a third one waits for nobody."""

import signal

import pytest

from tests.support.parents import parent
from tests.support.waiting import wait_until

RUN = """
import sys
from pathlib import Path
from orchestrator.fleet import Command, Fleet, Roster
from orchestrator.settings import load
COUNT = '''
import signal, sys, threading
told, wanted = [], int(sys.argv[1])
def count(number, frame):
    told.append(number)
    print("told", len(told), flush=True)
    if len(told) == wanted:
        sys.exit(0)
signal.signal(15, count)
print("up", flush=True)
while True:
    signal.pause()
'''
argv = [sys.executable, "-c", COUNT, sys.argv[2]]
try:
    with Fleet(load(home=Path(sys.argv[1])), Roster(tools=(), workers=0, sweeper=False)) as fleet:
        child = fleet.add(Command(name="worker", argv=lambda: argv, grace_s=600, stops_first=True))
        while "up" not in child.process.output():
            pass
        print("up")
        fleet.wait()
except KeyboardInterrupt:
    print("interrupted")
"""


@pytest.mark.parametrize(("signals", "wanted"), [(1, 1), (2, 2), (3, 99)], ids=["in order", "give back", "kill"])
def test_each_ctrl_c_asks_for_more_haste(signals: int, wanted: int) -> None:
    with parent() as it:
        assert it.run(RUN, str(wanted)).line() == "up"
        log = it.home / "logs" / "worker.log"
        for number in range(1, signals + 1):
            it.signal_group(signal.SIGINT)
            if number < 3:
                wait_until(lambda n=number: f"told {n}" in log.read_text(), f"the worker was told {number} times")
        assert it.wait() == "interrupted\n"
        it.wait_all_gone()
