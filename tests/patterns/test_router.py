"""A router sends a request to the parts that it needs. Workflows: `flows.py`."""

from collections.abc import Sequence

import pytest
from pydantic_core import from_json

from orchestrator import JobFailed
from orchestrator.patterns import Situation, by_embedding
from orchestrator.telemetry.names import Happening
from tests.support.stage import Stage
from tests.support.waiting import wait_until

pytestmark = pytest.mark.xdist_group("patterns")


def test_a_request_goes_where_the_rules_send_it(played: Stage) -> None:
    job = played.app.submit({"text": "fly me"}, workflow="routed")

    assert job.result(30) == {"who": "air", "got": ["router"], "with": {}}
    assert [step.name for step in job.steps] == ["router", "air"]


def test_it_may_need_several_parts_side_by_side(played: Stage) -> None:
    job = played.app.submit({"text": "fly me where it does not rain"}, workflow="routed")

    assert sorted(job.result(30)) == ["air", "sky"]
    assert {step.name: step.after for step in job.steps} == {"router": (), "air": ("router",), "sky": ("router",)}


def test_what_no_rule_knows_goes_to_the_fallback_here_a_whole_plan(played: Stage) -> None:
    job = played.app.submit({"text": "something"}, workflow="routed")

    assert job.result(30)["got"] == ["air", "bed", "router"]
    assert [step.name for step in job.steps] == ["router", "air", "bed", "pick"]


def test_the_decision_is_the_step_s_output(played: Stage) -> None:
    job = played.app.submit({"sure": {"air": 0.9, "sky": 0.75, "full": 0.71}}, workflow="routed-unsure")

    assert job.result(30) == ["air", "router", "sky"], "the join gets both"
    assert job.steps[0].output == {
        "routes": ["air", "sky"],  # most=2
        "confidence": {"air": 0.9, "sky": 0.75, "full": 0.71},
        "why": "told so",
        "fallback": False,
    }


def test_the_decision_is_in_the_trace(played: Stage) -> None:
    job = played.app.submit({"sure": {"sky": 0.8}}, workflow="routed-unsure")
    job.result(30)

    def decisions() -> list[str]:
        events = [event for text in job.spans for event in from_json(text).get("events", [])]
        return [event["attributes"]["decision"] for event in events if event["name"] == Happening.DECIDED]

    wait_until(decisions, "the span of the deciding step has arrived")
    assert '"confidence":{"sky":0.8}' in decisions()[0].replace(" ", "")


def test_what_is_not_sure_enough_goes_to_the_fallback(played: Stage) -> None:
    job = played.app.submit({"sure": {"air": 0.69}}, workflow="routed-unsure")

    assert job.result(30) == ["pick", "router"]
    assert job.steps[0].output["fallback"] is True
    assert job.steps[0].output["confidence"] == {"air": 0.69}


@pytest.mark.parametrize(
    ("workflow", "said"),
    [
        ("beside-itself", "'nowhere' is not one of the parts of this router: air"),
        ("wordless", "the decider must return a Routing"),
    ],
)
def test_a_decision_that_cannot_be_fails_the_job_and_says_why(played: Stage, workflow: str, said: str) -> None:
    with pytest.raises(JobFailed, match=said):
        played.app.submit({}, workflow=workflow).result(30)


async def test_routing_by_embedding_is_as_sure_as_the_nearest_example_is_near() -> None:
    words = ("fly", "rain", "warm")

    async def embed(texts: Sequence[str]) -> list[list[float]]:
        return [[float(text.split().count(word)) for word in words] for text in texts]

    decide = by_embedding(embed, {"air": ["fly"], "sky": ["rain", "warm"]}, text=lambda text: text)
    said = await decide(Situation("fly fly warm", {}))
    assert {label.route: round(label.confidence, 2) for label in said.labels} == {"air": 0.89, "sky": 0.45}
    assert said.why == "nearest examples: air: 'fly'; sky: 'warm'"
    nothing = await decide(Situation("", {}))
    assert {label.confidence for label in nothing.labels} == {0.0}
