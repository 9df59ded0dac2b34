"""SIGSTOP at a boundary, longer than the lease: who wakes up late sends nothing, spends nothing, commits nothing."""

import itertools
import os
import signal
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.crash.matrix import Cell, Theatre
from tests.support.waiting import wait_until

ITEMS = itertools.count()
CELLS = [
    Cell("claimed", "asyncio worker", "redis", "book"),
    Cell("call recorded", "asyncio worker", "redis", "pay"),
    Cell("call recorded", "prefork child", "redis", "send"),
    Cell("answer received", "prefork worker", "redis", "pay"),
    Cell("before commit", "asyncio worker", "rabbitmq", "send"),
    Cell("committed", "prefork child", "redis", "book"),
]


@pytest.mark.parametrize(
    "cell", [pytest.param(cell, id=str(cell), marks=pytest.mark.xdist_group("-".join(cell.stage))) for cell in CELLS]
)
def test_who_wakes_up_late_does_nothing(theatres: Callable[[str, str], Theatre], cell: Cell) -> None:
    theatre, item = theatres(*cell.stage), f"late-{next(ITEMS)}"
    theatre.worker(cell)
    theatre.arm(cell.boundary, "process" if cell.whom == "prefork child" else "group", signal.SIGSTOP)
    job = theatre.app.submit({"tool": cell.tool, "item": item}, workflow="struck")
    wait_until(lambda: stands_still(theatre), f"{cell}: it stands still")
    if cell.whom != "prefork child":
        theatre.another(cell)
    if cell.in_doubt:
        theatre.answer(cell, job, item)
    theatre.check(cell, job, item)

    before = (theatre.faults.effects(), job.spend, [event.id for event in job.events()])
    pid = asleep(theatre)
    os.kill(pid, signal.SIGCONT) if cell.whom == "prefork child" else os.killpg(os.getpgid(pid), signal.SIGCONT)
    theatre.end_all()
    assert (theatre.faults.effects(), job.spend, [event.id for event in job.events()]) == before
    theatre.check(cell, job, item)


def asleep(theatre: Theatre) -> int:
    """The process that told itself to stop."""
    (by,) = theatre.reached()
    return int(by.name.rpartition("-")[2])


def stands_still(theatre: Theatre) -> bool:
    if not theatre.reached():
        return False
    return Path(f"/proc/{asleep(theatre)}/stat").read_text().rpartition(")")[2].split()[0] == "T"
