"""Spans as libraries record them, and what is kept of those that never end."""

import json
from typing import Any

import pytest
from opentelemetry import trace
from opentelemetry.trace import SpanKind, Status, StatusCode

from orchestrator.telemetry import Telemetry
from orchestrator.telemetry.recording import MOST, Recorder, Recording, Scope
from orchestrator.telemetry.timeline import title_of
from tests.telemetry.collecting import collector, new_job, recording


def a_step(telemetry: Telemetry, job_id: str) -> Any:
    return telemetry.spans.step(job_id, "a", "a", number=1, total=1, attempt=1)


def one() -> tuple[Recording, list[Recording]]:
    done: list[Recording] = []
    span = Recorder(done.append, Scope("library")).start_span("GET", kind=SpanKind.CLIENT)
    assert isinstance(span, Recording)
    return span, done


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


def test_a_span_takes_what_it_is_told_until_it_ends_and_no_more_than_so_much() -> None:
    span, done = one()
    span.set_attributes({f"a{n}": n for n in range(MOST + 5)})
    span.set_attribute("a0", "again")
    for n in range(MOST + 5):
        span.add_event(f"e{n}")
        span.add_link(trace.SpanContext(1, n + 1, is_remote=True))
    span.update_name("POST")
    span.end(end_time=span.start_time + 7)
    span.end()
    span.set_attribute("a1", "late")
    span.add_event("late")
    span.set_status(StatusCode.ERROR)
    assert done == [span]
    assert (span.name, span.end_time - span.start_time, span.is_recording()) == ("POST", 7, False)
    assert (len(span.attributes), len(span.events), len(span.links)) == (MOST, MOST, MOST)
    assert (span.attributes["a0"], span.attributes["a1"]) == ("again", 1)
    assert span.status.is_unset


def test_a_status_that_says_ok_stays_and_one_that_says_nothing_changes_nothing() -> None:
    span, _ = one()
    span.set_status(StatusCode.ERROR, "no")
    span.set_status(StatusCode.UNSET)
    assert (span.status.status_code, span.status.description) == (StatusCode.ERROR, "no")
    span.set_status(Status(StatusCode.OK))
    span.set_status(StatusCode.ERROR, "too late")
    assert span.status.is_ok


def test_an_error_that_passes_through_the_span_of_a_library_is_recorded() -> None:
    done: list[Recording] = []
    recorder = Recorder(done.append, Scope("library"))
    with pytest.raises(KeyError), recorder.start_as_current_span("outer") as outer:
        with recorder.start_as_current_span("inner", end_on_exit=False):
            assert trace.get_current_span().is_recording()
        raise KeyError("gone")
    assert done == [outer]
    assert done[0].status.description == "KeyError: 'gone'"
    ((name, _, said),) = done[0].events
    assert (name, said["exception.type"]) == ("exception", "KeyError")
    assert "raise KeyError" in said["exception.stacktrace"]


def test_a_text_that_is_no_unicode_costs_no_span() -> None:
    with recording() as (telemetry, memory):
        job_id = new_job()
        with telemetry.spans.tool(job_id, "t.x", {"half": "\ud83d"}, key="k") as call:
            call.answer({"half": "\ud83d"})
        assert telemetry.flush()
        assert len(memory.trace(job_id).nodes) == 2
