"""A trace is whole: one root, nothing without a parent, every call of the journal in it; and it says what failed."""

import re

import pytest

from orchestrator import Job
from orchestrator.telemetry import names
from orchestrator.telemetry.names import Happening, Kind
from tests.traces.conftest import ATTEMPTS, attempts_of, trace_of, unspanned

pytestmark = pytest.mark.xdist_group("traces")
ALL = (*ATTEMPTS, "redelivery", "look-up", "model", "invalid data")
CALL_NOTHING = {"redelivery", "timeout", "invalid data", "unhandled"}


@pytest.mark.parametrize("name", ALL)
def test_every_call_of_the_journal_has_its_span_under_one_root(jobs: dict[str, Job], name: str) -> None:
    job, trace = jobs[name], trace_of(jobs[name])
    assert trace.root.span_id == job.id[16:]
    assert [node.name for node in trace.nodes if not node.parent_id] == [trace.root.name]
    assert [node.name for node in trace.nodes if node.orphan] == []
    assert job.calls or name in CALL_NOTHING
    assert unspanned(job) == set()
    assert trace.unreadable == 0


def test_only_what_was_killed_has_not_ended(jobs: dict[str, Job]) -> None:
    still_open = {name: [node.name for node in trace_of(job).nodes if node.open] for name, job in jobs.items()}
    assert {name for name, nodes in still_open.items() if nodes} == {"kill and re-drive"}
    assert still_open["kill and re-drive"] == ["run/step.gate-keeper", "invoke_agent gate-keeper"]


KINDS = {
    "timeout": (Kind.TIMEOUT, "step 2 of 2 (sleepy): no answer within 0.3 s"),
    "rejected": (Kind.REJECTED, r"step 2 of 2 (declined): desk.refuse: .*sold out"),
    "invalid data": (Kind.INVALID_DATA, r"step 1 of 1 (wrong): the output is no Booked: "),
    "unhandled": (Kind.UNHANDLED, "step 2 of 3 (broken): RuntimeError: no bed"),
    "unavailable": (Kind.UNAVAILABLE, r"step 1 of 1 (flaky): desk.flaky: down for now .*attempt 2 of 2"),
}


@pytest.mark.parametrize("name", KINDS)
def test_a_failed_step_says_which_of_how_many_the_kind_and_the_cause(jobs: dict[str, Job], name: str) -> None:
    kind, cause = KINDS[name]
    step = trace_of(jobs[name]).failed_step
    assert step is not None
    assert (step.attributes[names.ERROR_TYPE], step.attributes[names.OUTCOME]) == (kind, "failed")
    assert re.match(cause.replace("(", r"\(").replace(")", r"\)"), step.message), step.message
    place = (step.attributes[names.STEP_NUMBER], step.attributes[names.STEP_TOTAL])
    assert f"step {place[0]} of {place[1]}" in step.message


def test_a_step_stopped_by_the_budget_says_so_and_so_does_the_call_that_was_not_sent(jobs: dict[str, Job]) -> None:
    refused = [
        node for node in trace_of(jobs["budget stop"]).nodes if node.attributes.get(names.ERROR_TYPE) == "budget"
    ]
    step, call = refused
    assert step.message == "step 2 of 3 (book-twice): tool calls 1 of 1"
    assert (call.name, call.message) == ("execute_tool desk.book", "tool calls 1 of 1")
    assert (call.attributes[names.STEP_NUMBER], call.attributes[names.STEP_TOTAL]) == (2, 3)


def test_a_call_in_doubt_says_so_and_what_was_asked_about_it_is_there(jobs: dict[str, Job]) -> None:
    doubts = [node for node in trace_of(jobs["in doubt"]).nodes if node.attributes.get(names.ERROR_TYPE) == "in doubt"]
    (call,) = doubts
    assert (call.attributes[names.OUTCOME], call.attributes[names.STEP_NUMBER]) == ("in doubt", 2)
    assert "did bank.send happen?" in call.message
    again = [node for node in trace_of(jobs["in doubt"]).nodes if node.name == "execute_tool bank.send"][-1]
    assert (again.status, again.attributes[names.OUTCOME]) == ("unset", "succeeded")
    first, look_up = [node for node in trace_of(jobs["look-up"]).nodes if node.name.startswith(names.EXECUTE_TOOL)]
    assert (first.attributes[names.ERROR_TYPE], first.attributes[names.OUTCOME]) == ("outcome unknown", "succeeded")
    assert (look_up.name, look_up.attributes[names.EFFECT]) == ("execute_tool bank.find_payment", "look-up")
    assert look_up.parent_id == first.span_id


def test_a_pause_and_what_is_tried_again_are_events_of_their_attempts(jobs: dict[str, Job]) -> None:
    def told(name: str, what: Happening) -> list[tuple[str, object]]:
        return [
            (node.name, event["attributes"].get("prompt", event["attributes"].get("why")))
            for node in attempts_of(jobs[name])
            for event in node.events
            if event["name"] == what
        ]

    assert told("pause and resume", Happening.ASKED) == [("invoke_agent asking", "which day?")]
    ((name, why),) = told("retry", Happening.AGAIN)
    assert name == "invoke_agent flaky"
    assert "down for now" in str(why)
    assert [stage.name for stage in trace_of(jobs["pause and resume"]).nodes if stage.name == "answer"]


def test_a_model_call_has_its_tokens(jobs: dict[str, Job]) -> None:
    (chat,) = [node for node in trace_of(jobs["model"]).nodes if node.name.startswith(names.CHAT)]
    assert (chat.attributes[names.INPUT_TOKENS], chat.attributes[names.OUTPUT_TOKENS]) == (40, 10)
    assert "the blue room" in chat.attributes[names.OUTPUT_MESSAGES]
