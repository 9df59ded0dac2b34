"""The trace of a real job: what was validated, how long steps waited, what was stored, what a person did."""

from collections.abc import Iterator
from typing import Any

import pytest
from pydantic_core import from_json

from orchestrator import Budget, BudgetExhausted, Job, JobFailed
from orchestrator.state import keys
from orchestrator.state.client import SyncClient, without_loop
from orchestrator.telemetry import names
from orchestrator.telemetry.names import Happening
from orchestrator.telemetry.timeline import title_of
from orchestrator.telemetry.tree import Trace
from tests.support.stage import Stage, stage
from tests.support.waiting import wait_until

BED = {"item": "bed"}


@pytest.fixture(scope="module")
def traced(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    with stage(tmp_path_factory.mktemp("stage"), trace=True) as here:
        here.worker("--concurrency", "50")
        yield here


def spans(job: Job) -> list[dict[str, Any]]:
    return [from_json(text) for text in job.spans]


def events(job: Job, what: Happening) -> list[tuple[str, dict[str, Any]]]:
    return [
        (span["name"], event["attributes"])
        for span in spans(job)
        for event in span.get("events", [])
        if event["name"] == what
    ]


def tree(job: Job) -> Trace:
    trace = Trace.read(job.spans)
    assert trace is not None
    return trace


def shown(job: Job, name: str) -> str:
    """The span as `surefoot trace` shows it."""
    return next(title_of(node) for node in tree(job).nodes if node.name.startswith(name))


def arrived(job: Job, name: str) -> None:
    wait_until(lambda: name in [span["name"] for span in spans(job)], f"the span {name!r} has arrived")


def test_a_job_that_asks_shows_its_checks_and_the_answer(traced: Stage) -> None:
    job = traced.app.submit({}, workflow="journey")
    job.answer(item="bed")
    job.result(90)
    arrived(job, "invoke_agent finish")
    assert events(job, Happening.VALIDATED) == [
        ("invoke_workflow journey", {"questions": 1, "steps": 0}),
        ("answer", {"questions": 0, "steps": 5}),
    ]
    stored = dict(events(job, Happening.CHECKPOINT))
    assert stored["invoke_agent begin"] == {"freed": 3}
    assert stored["invoke_agent finish"] == {"freed": 0}
    steps = [span for span in spans(job) if span["name"].startswith(names.INVOKE_AGENT)]
    assert len(steps) == 5
    assert all(span["attributes"][names.QUEUE_WAIT_MS] >= 0 for span in steps)


def test_a_ceiling_and_what_followed_are_in_the_trace(traced: Stage) -> None:
    job = traced.app.submit(BED, workflow="journey", budget=Budget(tool_calls=1, steps=5))
    with pytest.raises(BudgetExhausted):
        job.result(90)
    stopped = job.record.fields["failing"]
    wait_until(lambda: events(job, Happening.BUDGET_REFUSED), "the refusal has arrived")
    assert {said["ceiling"] for _, said in events(job, Happening.BUDGET_REFUSED)} == {"tool calls 1 of 1"}
    job.resume(Budget(tool_calls=50))
    job.result(90)
    arrived(job, "resume")
    wait_until(lambda: len(events(job, Happening.BUDGET_LOW)) == 2, "both warnings have arrived")
    assert sorted(said["ceiling"] for _, said in events(job, Happening.BUDGET_LOW)) == ["steps", "tool calls"]
    resumed = next(span for span in spans(job) if span["name"] == "resume")
    (failed,) = {span["span_id"] for span in spans(job) if f"({stopped}): tool calls 1 of 1" in span["message"]}
    assert resumed["links"] == [f"{job.id}-{failed}"]
    assert shown(job, "resume") == f"resume (goes on from attempt 1 of step {stopped}: failed)"


def test_a_resume_after_a_deadline_and_the_answer_to_a_step_are_linked_with_what_they_go_on_from(traced: Stage) -> None:
    late = traced.app.submit(BED | {"times": 99, "seconds": 600}, workflow="flaky", budget=Budget(seconds=3_600))
    wait_until(lambda: late.steps[0].state == "retrying", "its first attempt has ended, the next one is far away")
    client = traced.app._client  # pyright: ignore[reportPrivateUsage]
    without_loop(client.command("ZADD", keys.INDEXES["deadlines"], 1, late.id))
    with pytest.raises(JobFailed, match="deadline"):
        late.result(30)
    late.resume(Budget(seconds=7_200))
    late.cancel()
    asked = traced.app.submit(BED, workflow="asking")
    wait_until(lambda: asked.status == "waiting", "it asks")
    asked.answer(date="2027-03-12")
    asked.result(90)
    arrived(late, "invoke_agent flaky")
    arrived(late, "resume")
    arrived(asked, "invoke_agent finish")
    assert shown(late, "resume") == "resume (goes on from attempt 1 of step flaky: retry)"
    assert shown(asked, "answer") == "answer (goes on from attempt 1 of step asking: waiting)"
    again = "invoke_agent asking (step 1 of 2, goes on from attempt 1 of step asking: waiting)"
    assert again in [title_of(node) for node in tree(asked).nodes]


def test_cancelling_is_in_the_trace_and_a_second_submission_is_not(traced: Stage) -> None:
    job = traced.app.submit({}, workflow="journey", key="once")
    again = traced.app.submit({}, workflow="journey", key="once")
    job.cancel()
    arrived(job, "cancel")
    assert again.id == job.id
    roots = [span for span in spans(job) if not span.get("parent_id")]
    assert [span["name"] for span in roots] == ["invoke_workflow journey"]
    client = SyncClient(traced.server.url, patience_s=2)
    kept = without_loop(client.command("KEYS", keys.spans("*")))
    client.close()
    assert {key.decode() for key in kept} <= {keys.spans(known.id) for known in traced.app.jobs()}


def test_a_fork_and_its_source_are_linked_in_both_traces(traced: Stage) -> None:
    source = traced.app.submit(BED, workflow="journey")
    source.result(90)
    fork = source.fork(after="begin")
    arrived(source, "fork")
    arrived(fork, "invoke_workflow journey")
    links = {(job.id, span["name"]): span.get("links") for job in (source, fork) for span in spans(job)}
    assert links[source.id, "fork"] == [f"{fork.id}-{fork.id[16:]}"]
    assert links[fork.id, "invoke_workflow journey"] == [f"{source.id}-{source.id[16:]}"]
    assert shown(source, "fork") == f"fork (job {fork.id})"
    assert shown(fork, "invoke_workflow") == f"invoke_workflow journey (job {source.id})"


def test_a_step_that_the_budget_does_not_let_begin_is_where_the_trace_fails(traced: Stage) -> None:
    job = traced.app.submit(BED, workflow="journey", budget=Budget(steps=1))
    with pytest.raises(BudgetExhausted):
        job.result(90)
    wait_until(lambda: any(b'"error.type":"budget"' in row for row in job.spans), "the refusal has arrived")
    failed = tree(job).failed_step
    assert failed is not None
    assert failed.attributes[names.STEP_TOTAL] == 5
    assert "steps 1 of 1" in failed.message
