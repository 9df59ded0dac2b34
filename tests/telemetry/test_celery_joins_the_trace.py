"""Celery's own spans, in a real worker: a task's span hangs under the job's root, ours under the task's."""

from collections.abc import Iterator
from typing import Any

import pytest
from celery import Celery, signals
from celery.contrib.testing.worker import start_worker
from opentelemetry import trace

from orchestrator.application import application
from orchestrator.canvas import Canvas, Drafts
from orchestrator.settings import load
from orchestrator.state.sweeping import Redrive
from orchestrator.telemetry import Telemetry, names, traceparent
from orchestrator.telemetry.celery import OneRunAtATime
from orchestrator.telemetry.names import Outcome
from tests.support.waiting import wait_until
from tests.telemetry.collecting import Memory, new_job, recording


def leave_logging_alone(**_: Any) -> None:
    """Celery sets up logging only if nobody else says that they do."""


@pytest.fixture
def traced() -> Iterator[tuple[Celery, Telemetry, Memory]]:
    """A worker with one thread on an in-memory broker, instrumented."""
    app = Celery("traced", broker="memory://", backend="cache+memory://", set_as_current=False)
    app.conf.update(worker_hijack_root_logger=False, broker_connection_retry_on_startup=True)
    signals.setup_logging.connect(leave_logging_alone)
    with recording() as (telemetry, memory):
        telemetry.instrument_celery()
        telemetry.instrument_celery()

        @app.task(name="step.flights", bind=True, max_retries=3)
        def run_step(self: Any, job_id: str, fails: int) -> str:
            attempt = self.request.retries + 1
            with telemetry.spans.step(job_id, "flights", "flights", number=1, total=1, attempt=attempt) as step:
                again = attempt <= fails
                step.end_as(Outcome.RETRY if again else Outcome.SUCCEEDED)
            if again:
                raise self.retry(countdown=0)
            return "done"

        assert run_step
        try:
            worker: Any = start_worker(app, pool="solo", perform_ping_check=False, shutdown_timeout=20)
            with worker:
                yield app, telemetry, memory
        finally:
            OneRunAtATime().uninstrument()
            signals.setup_logging.disconnect(leave_logging_alone)


def send(app: Celery, job_id: str, fails: int) -> None:
    """As the store's scripts do it: the root's context in the headers, and nothing of the sender's."""
    task = app.tasks["step.flights"]
    result = task.apply_async((job_id, fails), headers={"traceparent": traceparent(job_id)})
    assert result.get(timeout=20) == "done"


def test_a_step_of_a_job_is_one_trace_also_over_retries(traced: tuple[Celery, Telemetry, Memory]) -> None:
    app, telemetry, memory = traced
    job_id = new_job()
    with telemetry.spans.open_job(job_id, "trip"):
        send(app, job_id, fails=2)

    def attempts() -> list[int]:
        telemetry.flush()
        found = [node.attributes.get(names.ATTEMPT) for node in memory.trace(job_id).nodes]
        return [number for number in found if number]

    def finished() -> int:
        telemetry.flush()
        return sum(node.name == "run/step.flights" for node in memory.trace(job_id).nodes)

    wait_until(lambda: finished() == 3, "the spans of three runs are kept")
    trace = memory.trace(job_id)
    assert list(memory.jobs) == [job_id]
    assert attempts() == [1, 2, 3]
    assert trace.root.name == "invoke_workflow trip"
    assert not any(node.orphan for node in trace.nodes)
    parents = {node.span_id: node.name for node in trace.nodes}
    assert {parents[n.parent_id] for n in trace.nodes if n.name == "invoke_agent flights"} == {"run/step.flights"}
    assert trace.failing is None


@pytest.fixture
def instrumented() -> Iterator[None]:
    """As a worker's process is, without the worker."""
    with recording() as (telemetry, _):
        telemetry.instrument_celery()
        try:
            yield
        finally:
            OneRunAtATime().uninstrument()


@pytest.mark.usefixtures("instrumented")
def test_what_the_sweeper_or_a_commit_enqueues_stays_in_its_job_s_trace() -> None:
    app, job_id = application(load(redis_url="redis://127.0.0.1:1")), new_job()
    app.conf.update(broker_url="memory://localhost", broker_transport="orchestrator.canvas:Drafting")
    canvas = Canvas(app)
    with Drafts.lock:
        Drafts.messages.clear()
        canvas.redrive(Redrive(job_id, "a", "a", "nobody knows it"), traceparent(job_id))
        canvas.send_steps(job_id, {"b": "b"}, traceparent(job_id))
        sent = {draft["headers"]["id"]: draft["headers"]["traceparent"] for draft in Drafts.messages}
    assert {name: carried.split("-")[1] for name, carried in sent.items()} == {
        f"{job_id}.a": job_id,
        f"{job_id}.b": job_id,
    }
    assert not trace.get_current_span().get_span_context().is_valid, (
        "the sweeper's thread is in no job's trace afterwards"
    )
