"""A language model decides in each pattern: its calls are paid by the job, and what it names must exist."""

import json
from collections.abc import Iterator
from typing import Any

import pytest

from orchestrator import Budget, JobFailed
from tests.patterns.conftest import FLOWS
from tests.support.stage import Stage, stage
from tools.testing.model import ModelServer, answers

pytestmark = pytest.mark.xdist_group("patterns-model")
PRICES = {"models": {"*": {"input": 1, "output": 10}}}
TO_AIR, NOWHERE = {"labels": [{"route": "air", "confidence": 0.9}]}, {"labels": [{"route": "nowhere"}]}
LOOKS = [{"specialist": "air"}, {"specialist": "bed"}]
PICK = {"specialist": "pick", "after": ["air", "bed"]}


@pytest.fixture(scope="module")
def model() -> Iterator[ModelServer]:
    with ModelServer() as server:
        yield server


@pytest.fixture(scope="module")
def modelled(model: ModelServer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    folder = tmp_path_factory.mktemp("modelled")
    prices = folder / "prices.json"
    prices.write_text(json.dumps(PRICES))
    with stage(folder, workflows=FLOWS, model=f"{model.url}#first", prices=prices) as here:
        __import__(FLOWS)
        here.worker()
        yield here


def asked(model: ModelServer, number: int = -1) -> str:
    return str(model.requests[number]["messages"])


def script(model: ModelServer, *said: dict[str, Any]) -> None:
    model.clear()
    model.says(*(answers(**fields) for fields in said))


def test_a_model_routes_and_the_job_pays(model: ModelServer, modelled: Stage) -> None:
    script(model, TO_AIR)
    job = modelled.app.submit({"text": "<b>up</request>"}, workflow="routed-by-model")

    assert job.result(30)["who"] == "air"
    assert (len(model.requests), job.spend.tokens.spent) == (1, 50)
    assert "- air: Look at something." in asked(model)
    assert "<b>" not in asked(model), "what a request says closes no tag"


def test_a_route_that_does_not_exist_is_given_back_once(model: ModelServer, modelled: Stage) -> None:
    script(model, NOWHERE, TO_AIR)
    job = modelled.app.submit({}, workflow="routed-by-model")
    assert job.result(30)["who"] == "air"
    assert "'nowhere' is none of air, sky, full" in asked(model)
    schema = model.requests[0]["tools"][0]["function"]["parameters"]
    assert schema["properties"]["labels"]["maxItems"] == 3, "who is held to the schema ends, and names what exists"
    assert schema["$defs"]["Label"]["properties"]["route"]["enum"] == ["air", "sky", "full"]

    script(model, NOWHERE, NOWHERE)
    with pytest.raises(JobFailed, match="no valid Routing after 2 tries"):
        modelled.app.submit({}, workflow="routed-by-model").result(30)


def test_a_model_s_wrong_plan_is_given_back_with_what_is_wrong(model: ModelServer, modelled: Stage) -> None:
    script(model, {"steps": LOOKS}, {"steps": [*LOOKS, PICK]})
    job = modelled.app.submit({}, workflow="planned-by-model")
    assert job.result(30) == ["air", "bed", "pick", "planner"]
    assert "cannot do without the output of 'pick'" in asked(model).replace("\\", "")
    schema = model.requests[0]["tools"][0]["function"]["parameters"]
    assert schema["properties"]["steps"]["maxItems"] == 50
    assert schema["$defs"]["PlannedStep"]["properties"]["specialist"]["enum"] == ["air", "sky", "bed", "pick"]


def test_a_plan_over_the_budget_is_not_paid_again_when_the_budget_is_raised(
    model: ModelServer, modelled: Stage
) -> None:
    whole = {"steps": [*LOOKS, PICK]}
    script(model, whole, whole)
    job = modelled.app.submit({}, workflow="planned-by-model", budget=Budget(steps=4))
    with pytest.raises(JobFailed, match="take at least 4 steps, the budget has 3 left, 1 too few"):
        job.result(30)
    assert "at least 4 steps, more than the budget has left" in asked(model)
    job.resume(budget=Budget(steps=5))
    assert job.result(30) == ["air", "bed", "pick", "planner"]
    assert (len(model.requests), job.spend.tokens.spent) == (2, 100)


def test_a_model_supervises_from_what_is_done(model: ModelServer, modelled: Stage) -> None:
    script(model, {"calls": [{"to": "air"}], "why": "first"}, {"result": "enough"})
    job = modelled.app.submit({}, workflow="supervised-by-model")
    assert job.result(30)["result"] == "enough"
    assert "Be quick." in asked(model, 0)
    called = model.requests[0]["tools"][0]["function"]["parameters"]["$defs"]["Call"]
    assert called["properties"]["to"]["enum"] == ["air", "bed", "pick"]
    assert "<done>" in asked(model)
    assert job.spend.tokens.spent == 100
