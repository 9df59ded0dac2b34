"""What a tenant's jobs may spend: the file, and what of a job's budget it lets through."""

# pyright: reportPrivateUsage=false

import json
from pathlib import Path
from typing import Any

import pytest
from pydantic import BaseModel

from orchestrator import Budget, InvalidRequest, Orchestrator, Plan, Workflow
from orchestrator.settings import InvalidSettings
from orchestrator.state.client import without_loop as do
from orchestrator.state.steps import StepStore
from orchestrator.tenants import Tenants


class Anything(BaseModel):
    """A request that says nothing."""


def tenants(folder: Path, entries: Any) -> Tenants:
    path = folder / "tenants.json"
    path.write_text(json.dumps(entries))
    return Tenants(path)


def test_without_a_file_everything_is_as_the_job_and_its_workflow_say() -> None:
    usual = Budget(steps=9, tools={"a.b": 2}, at_ceiling="ask")
    assert Tenants(None).of("x").allow(Budget(usd=1, tools={"c.d": 3}), usual) == Budget(
        steps=9, usd=1, tools={"a.b": 2, "c.d": 3}, at_ceiling="ask"
    )


def test_a_job_gets_less_than_its_tenant_may_but_never_more(tmp_path: Path) -> None:
    acme = tenants(tmp_path, {"acme": {"job": {"tool_calls": 50, "usd": 1.5, "seconds": 60, "tools": {"a.*": 3}}}}).of(
        "acme"
    )
    assert acme.allow(Budget(tool_calls=7), Budget(tool_calls=99, usd=9, seconds=600)) == Budget(
        tool_calls=7, usd=1.5, seconds=60, tools={"a.*": 3}
    )
    assert acme.allow(Budget(tools={"a.*": 1}), Budget()).tools == {"a.*": 1}
    for asked, problem in (
        (Budget(tool_calls=51), "budget tool calls: this tenant's jobs may have at most 50"),
        (Budget(usd=1.51), "budget usd: this tenant's jobs may have at most 1.5"),
        (Budget(seconds=61), "budget seconds: this tenant's jobs may have at most 60"),
        (Budget(tools={"a.*": 4}), r"budget calls of a.\*: this tenant's jobs may have at most 3"),
    ):
        with pytest.raises(InvalidRequest, match=problem):
            acme.allow(asked, Budget())


def test_a_failed_job_that_is_resumed_gets_no_more_than_its_tenant_may(
    front: Orchestrator, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    Workflow("tenanted", request=Anything, plan=lambda _: Plan.chain("a"))
    monkeypatch.setattr(front._desk, "tenants", tenants(tmp_path, {"acme": {"job": {"tool_calls": 5, "seconds": 60}}}))
    job = front.submit({}, workflow="tenanted", tenant="acme", budget={"steps": 0})
    assert do(StepStore(front._desk.jobs._scripts, 30, 600).claim(job.id, "a")).answer == "OVER"
    for more in ({"tool_calls": 6}, {"seconds": 61}):
        with pytest.raises(InvalidRequest, match="this tenant's jobs may have at most"):
            job.resume({"steps": 1, **more})
    assert job.status == "failed"
    job.resume({"steps": 1, "tool_calls": 4, "seconds": 60})
    assert job.status == "running"


def test_the_star_is_everybody_else_and_a_day_is_in_the_ledgers_units(tmp_path: Path) -> None:
    some = tenants(tmp_path, {"acme": {}, "*": {"day": {"usd": 0.5, "tokens": 10}}})
    assert some.of("acme").day == {}
    assert some.of("anybody").day == {"usd": 500_000, "tokens": 10}


@pytest.mark.parametrize(
    ("entries", "problem"),
    [
        ({"acme": {"jobs": {}}}, "acme.jobs: Extra inputs"),
        ({"acme": {"job": {"stepps": 1}}}, "acme: budget: .*stepps"),
        ({"acme": {"job": {"usd": -1}}}, "acme: budget usd must be between 0"),
        ({"acme": {"day": {"steps": 1}}}, "acme: a day has no steps; it has tokens, usd"),
        ({"acme": {"day": {"usd": "1"}}}, "acme.day.usd"),
        ([], "Input should be an object"),
    ],
)
def test_a_wrong_file_is_refused_at_start_with_the_place(tmp_path: Path, entries: Any, problem: str) -> None:
    with pytest.raises(InvalidSettings, match=f"SUREFOOT_TENANTS=.*{problem}"):
        tenants(tmp_path, entries)


def test_a_file_that_is_not_there_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InvalidSettings, match="No such file"):
        Tenants(tmp_path / "none.json")
