"""What is kept of spans that are still open, and of texts that are none."""

import json
from typing import Any

from orchestrator.telemetry import Telemetry
from orchestrator.telemetry.timeline import title_of
from tests.telemetry.collecting import collector, new_job, recording


def a_step(telemetry: Telemetry, job_id: str) -> Any:
    return telemetry.spans.step(job_id, "a", "a", number=1, total=1, attempt=1)


def test_what_leaves_before_the_span_around_it_has_ended_takes_that_along() -> None:
    with recording() as (telemetry, memory):
        job_id = new_job()
        with telemetry.spans.open_job(job_id, "trip"):
            pass
        with a_step(telemetry, job_id):
            for number in range(2):
                with telemetry.spans.tool(job_id, "t.x", {}, key=f"k{number}") as call:
                    call.answer("done")
                assert telemetry.flush()
            rows = [json.loads(row) for row in memory.jobs[job_id]]
            told = [row["name"] for row in rows if row.get("open")]
            killed_now = memory.trace(job_id)
        telemetry.flush()
        ended = memory.trace(job_id)
    assert told == ["invoke_agent a"]
    assert [node.name for node in killed_now.nodes if node.orphan] == []
    step = killed_now.root.children[0]
    assert (title_of(step), len(step.children)) == ("invoke_agent a (step 1 of 1, not ended)", 2)
    assert title_of(ended.root.children[0]) == "invoke_agent a (step 1 of 1)"
    assert len(ended.nodes) == len(killed_now.nodes) == 4


def test_a_collector_gets_spans_that_have_ended_only() -> None:
    with collector() as received, recording(received.url) as (telemetry, _):
        job_id = new_job()
        with a_step(telemetry, job_id):
            with telemetry.spans.tool(job_id, "t.x", {}, key="k") as call:
                call.answer("done")
            telemetry.flush()
            assert [span.name for _, span in received.spans] == ["execute_tool t.x"]
        telemetry.flush()
        assert [span.name for _, span in received.spans] == ["execute_tool t.x", "invoke_agent a"]


def test_a_text_that_is_no_unicode_costs_no_span() -> None:
    with recording() as (telemetry, memory):
        job_id = new_job()
        with telemetry.spans.tool(job_id, "t.x", {"half": "\ud83d"}, key="k") as call:
            call.answer({"half": "\ud83d"})
        assert telemetry.flush()
        assert len(memory.trace(job_id).nodes) == 2
