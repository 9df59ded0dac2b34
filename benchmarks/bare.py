"""Bare Celery on the same work: the canvas as its documentation shows it, with late acknowledgement and stored results.

It has no claim, journal, budget, validation or sweeper: it is the floor, not a competitor.
"""

import os
from typing import Any

from celery import Celery, Task, chord, group
from celery.canvas import Signature
from celery.result import AsyncResult

from benchmarks import trip

BROKER = "BENCH_BROKER_URL"

app = Celery("bare", broker=os.environ[BROKER], backend=os.environ[BROKER])
app.conf.update(
    broker_connection_retry_on_startup=True,
    result_expires=3_600,
    task_acks_late=True,
    task_reject_on_worker_lost=True,
    worker_hijack_root_logger=False,
    worker_prefetch_multiplier=4,
)


@app.task
def route(request: dict[str, Any]) -> dict[str, Any]:
    """The first step."""
    trip.route(request["nights"])
    return request


@app.task(bind=True)
def specialist(self: Task, request: dict[str, Any], what: str) -> dict[str, Any]:
    """One of three: search, then book under this task's id."""
    found = trip.search(what, request["destination"])
    booked = trip.book(request["job"], what, found["offers"][0]["id"], f"{self.request.id}:book")
    return {"what": what, "found": found, "booked": booked}


@app.task
def solve(parts: list[dict[str, Any]]) -> dict[str, Any]:
    """The join."""
    return trip.solve(parts)


def submit(job: str) -> AsyncResult:
    """Enqueue one job."""
    header = group(_signature(specialist, what) for what in trip.SPECIALISTS)
    canvas: Any = _signature(route, trip.request(job)) | chord(header, _signature(solve))
    return canvas.apply_async()


def _signature(task: Any, *arguments: Any) -> Signature:
    return task.s(*arguments)
