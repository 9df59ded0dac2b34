"""The Celery edge: one task a specialist, all alike. The only place where "retry later" is an exception."""

from typing import Any

from celery import Celery, Task

from orchestrator.canvas import Canvas, task_name
from orchestrator.state import keys
from orchestrator.telemetry import traceparent
from orchestrator.telemetry.redaction import redact_text
from orchestrator.workflow import catalogue
from workers.pool import await_
from workers.run import Ended
from workers.workshop import Workshops


class StepFailed(Exception):
    """What the task of a failed or skipped step ends with, so that Flower says FAILURE; the record has the rest."""


def register(app: Celery, canvas: Canvas, workshops: Workshops, *, outbox: bool) -> None:
    """Make the task of every specialist of the catalogue."""

    def add(specialist: str) -> None:
        queue = keys.queue(catalogue.profile(specialist).queue)

        @app.task(name=task_name(specialist), bind=True, max_retries=None, throws=(StepFailed,), typing=False)
        def run_step(self: Task, job_id: str, step: str) -> str:
            ended = await_(_run(workshops, job_id, step))
            return _report(self, canvas, ended, job_id, queue, outbox=outbox)

        _ = run_step

    for name in catalogue.profiles:
        add(name)


async def _run(workshops: Workshops, job_id: str, step: str) -> Ended:
    return await workshops.here().run(job_id, step)


def _report(task: Task, canvas: Canvas, ended: Ended, job_id: str, queue: str, *, outbox: bool) -> str:
    """Say to Celery how it ended: send what the canvas does not, retry, fail, or return a line for people."""
    request, told = task.request, redact_text(ended.message)
    if ended.how == "retry":
        raise task.retry(exc=StepFailed(told), countdown=ended.delay_s, queue=queue, argsrepr=request.argsrepr)
    goes_on = not outbox and ended.how == "succeeded"
    by_canvas = _sent_by_canvas(request) if goes_on else set[str]()
    request.surefoot_ready = list(ended.ready)
    if not by_canvas & set(ended.ready):
        request.chain = request.chord = None  # the rest of the canvas is only a picture from here on
    if not outbox:
        left = {step: specialist for step, specialist in ended.ready.items() if step not in by_canvas}
        canvas.send_steps(job_id, left, traceparent(job_id))
    if ended.how in {"failed", "skipped"}:
        raise StepFailed(f"{told}; surefoot show {job_id}")
    return told


def _sent_by_canvas(request: Any) -> set[str]:
    """The steps that Celery itself sends when this task succeeds: the next link, or the body of its chord."""
    links = [request.chain[-1]] if request.chain else []
    if request.chord:
        links.append(request.chord)
    return {step for link in links for step in _first_steps(link)}


def _first_steps(signature: Any) -> list[str]:
    """The steps whose messages go out when this signature is applied."""
    inside = signature["kwargs"]
    if signature["task"] == "celery.chord":
        header = inside["header"]
        return (
            _first_steps(header) if isinstance(header, dict) else [step for one in header for step in _first_steps(one)]
        )
    if signature["task"] == "celery.group":
        return [step for one in inside["tasks"] for step in _first_steps(one)]
    return [signature["args"][1]]
