"""The trace of each pattern, word for word: what was decided, and the steps that came of it."""

from collections.abc import Iterator
from typing import Any

import pytest
from pydantic_core import from_json

from orchestrator import Job
from orchestrator.telemetry import names
from tests.support.stage import Stage
from tests.support.waiting import wait_until

pytestmark = pytest.mark.xdist_group("patterns")
GOLDEN = {
    "routed": """
invoke_workflow routed surefoot.validated
  invoke_agent router (router) succeeded surefoot.decided surefoot.checkpoint
  invoke_agent air (air) succeeded surefoot.checkpoint
  invoke_agent sky (sky) succeeded surefoot.checkpoint
""",
    "planned": """
invoke_workflow planned surefoot.validated
  invoke_agent planner (planner) succeeded surefoot.decided surefoot.checkpoint
  invoke_agent air (air) succeeded surefoot.checkpoint
  invoke_agent bed (bed) succeeded surefoot.checkpoint
  invoke_agent pick (pick) succeeded surefoot.checkpoint
  invoke_agent tell (tell) succeeded surefoot.checkpoint
""",
    "supervised": """
invoke_workflow supervised surefoot.validated
  invoke_agent supervisor (supervisor) succeeded surefoot.decided surefoot.checkpoint
  invoke_agent air (air) succeeded surefoot.checkpoint
  invoke_agent bed (bed) succeeded surefoot.checkpoint
  invoke_agent supervisor (supervisor-2) succeeded surefoot.decided surefoot.checkpoint
  invoke_agent pick (pick) succeeded surefoot.checkpoint
  invoke_agent supervisor (supervisor-3) succeeded surefoot.decided surefoot.checkpoint
  invoke_agent tell (tell) succeeded surefoot.checkpoint
""",
}


def told(job: Job) -> list[str]:
    """The job's span and those of its steps, by number; without times, ids and the messages that carried the steps."""
    spans = [from_json(text) for text in job.spans]
    steps = [span for span in spans if span["name"].startswith(names.INVOKE_AGENT)]
    roots = [span for span in spans if span["name"].startswith(names.INVOKE_WORKFLOW)]
    numbered = sorted(steps, key=lambda span: span["attributes"][names.STEP_NUMBER])
    return [_line(span, "") for span in roots] + [_line(span, "  ") for span in numbered]


def _line(span: dict[str, Any], indent: str) -> str:
    said: dict[str, Any] = span["attributes"]
    step = [f"({said[names.STEP]})", said[names.OUTCOME]] if names.STEP in said else []
    return indent + " ".join([span["name"], *step, *_events(span)])


def _events(span: dict[str, Any]) -> Iterator[str]:
    return (event["name"] for event in span.get("events", []))


@pytest.mark.parametrize("workflow", GOLDEN)
def test_the_trace_says_what_was_decided_and_what_came_of_it(played: Stage, workflow: str) -> None:
    job = played.app.submit({"text": "fly in the rain"}, workflow=workflow)
    job.result(30)
    golden = GOLDEN[workflow].strip().split("\n")
    wait_until(lambda: len(told(job)) >= len(golden), "all spans have arrived")
    assert told(job) == golden
    spans = {span["span_id"]: span for span in map(from_json, job.spans)}
    (root,) = [span for span in spans.values() if not span.get("parent_id")]
    assert {span["parent_id"] for span in spans.values() if span is not root} <= set(spans), "one tree"
