"""SIGKILL at every boundary of a step that is cancelled, and of the work of undoing one: each effect is undone once."""

import itertools
import signal
from collections.abc import Callable

import pytest

from orchestrator import Job, JobCancelled, JobFailed
from tests.crash.matrix import SENT, Cell, Theatre, of
from tests.support.waiting import wait_until
from tools.testing import HalfOpen

ITEMS = itertools.count()
BOUNDARIES = ("claimed", "call recorded", "answer received", "settled", "before commit", "committed")
HERE = Cell("", "asyncio worker", "redis", "book")
group = pytest.mark.xdist_group("redis-asyncio")


def dies(theatre: Theatre, what: str) -> None:
    wait_until(theatre.reached, f"{what} is reached")
    wait_until(lambda: all(process.poll() is not None for process in theatre.stage.workers), "it is dead")


def is_undone(theatre: Theatre, job: Job, item: str, times: int) -> None:
    with pytest.raises((JobCancelled, JobFailed)) as caught:
        job.result(60)
    assert not job.undo.pending
    assert "NOT" not in str(caught.value)
    assert len(of(theatre.faults.effects("book"), item)) == times
    undone = of(theatre.faults.effects("book"), f"{item}-undone")
    assert {str(one.key).rpartition(":")[0] for one in undone} <= {f"{job.id}.undo~victim"}
    assert len(undone) == times
    assert job.spend.undo.reserved == 0


@group
@pytest.mark.parametrize("boundary", BOUNDARIES)
def test_a_worker_killed_while_it_undoes_leaves_nothing_and_doubles_nothing(
    theatres: Callable[[str, str], Theatre], boundary: str
) -> None:
    theatre, item = theatres("redis", "asyncio"), f"undo-{next(ITEMS)}"
    theatre.worker(HERE)
    theatre.arm(f"undo {boundary}", "group", signal.SIGKILL)
    job = theatre.app.submit({"tool": "book", "item": item}, workflow="undone")
    dies(theatre, f"undo {boundary}")
    theatre.worker(HERE)
    is_undone(theatre, job, item, 1)


@group
@pytest.mark.parametrize("boundary", ["claimed", "call recorded", "settled", "before commit"])
def test_what_a_killed_worker_had_done_before_the_job_was_cancelled_is_undone(
    theatres: Callable[[str, str], Theatre], boundary: str
) -> None:
    theatre, item = theatres("redis", "asyncio"), f"cut-{next(ITEMS)}"
    theatre.worker(HERE)
    theatre.arm(boundary, "group", signal.SIGKILL)
    job = theatre.app.submit({"tool": "book", "item": item}, workflow="undone")
    dies(theatre, boundary)
    job.cancel()
    theatre.worker(HERE)
    is_undone(theatre, job, item, 0 if boundary == "claimed" else 1)


@group
def test_a_call_in_flight_at_the_cancellation_is_undone_though_its_worker_died(
    theatres: Callable[[str, str], Theatre],
) -> None:
    theatre, item = theatres("redis", "asyncio"), f"flight-{next(ITEMS)}"
    theatre.worker(HERE)
    theatre.faults.fail("book", HalfOpen(after_effect=True), match={"item": item})
    job = theatre.app.submit({"tool": "book", "item": item}, workflow="undone")
    wait_until(lambda: of(theatre.faults.effects("book"), item), f"{SENT}: the effect is there, its answer is not")
    theatre.kill(HERE)
    job.cancel()
    wait_until(lambda: theatre.stage.workers[-1].poll() == -signal.SIGKILL, "it is dead")
    theatre.worker(HERE)
    is_undone(theatre, job, item, 1)
