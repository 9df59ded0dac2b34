"""What is refused, what is asked, and that nothing is stored of what is refused."""

# pyright: reportPrivateUsage=false, reportUnknownLambdaType=false

import json
import math
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel

from orchestrator import (
    AsyncOrchestrator,
    Budget,
    InvalidRequest,
    JobNotFound,
    Orchestrator,
    Plan,
    Step,
    StoreUnavailable,
    Workflow,
)
from orchestrator.canvas import WireForms
from orchestrator.settings import InvalidSettings, load
from orchestrator.state.client import without_loop
from orchestrator.status import JobStatus
from orchestrator.workflow import Profile, catalogue
from tests.support.valkey import valkey

NO_NAMES = (5, True, b"x", ["a"], "\ud800", "x" * 201)


class Order(BaseModel):
    item: str
    count: int = 1
    weight: float = 0


@pytest.fixture(scope="module")
def app() -> Iterator[Orchestrator]:
    for name in "abcd":
        catalogue.profiles[name] = Profile(name)
    Workflow("order", request=Order, plan=lambda _: Plan.chord(["a", "b"], "c"))
    Workflow("bad-plan", request=Order, plan=lambda _: [])  # pyright: ignore[reportArgumentType]
    with valkey() as server:
        yield Orchestrator(redis_url=server.url, workflows=(), trace=False)


def stored(app: Orchestrator) -> int:
    return len(without_loop(app._client.command("KEYS", "*")))


@pytest.mark.parametrize(
    ("request_", "options", "problem"),
    [
        ({"item": 3}, {}, "item: Input should be a valid string"),
        ({"item": "x", "count": "many"}, {}, "count"),
        ("free text", {}, "takes no free text"),
        (7, {}, "a request is text, a dict or Order, not int"),
        ({"item": "x" * 300_000}, {}, "at most 262,144"),
        ({"item": "x"}, {"workflow": "nothing"}, "unknown workflow 'nothing'; known: "),
        ({"item": "x"}, {"workflow": "bad-plan"}, "must return a Plan"),
        ({"item": "x"}, {"budget": {"steps": -1}}, "budget steps must be between 0"),
        ({"item": "x"}, {"budget": {"stepps": 1}}, "its ceilings are steps, tool_calls"),
        ({"item": "x"}, {"tenant": ""}, "tenant must be a text of 1 to 200"),
        ({"item": "x"}, {"key": "k" * 201}, "key must be a text of 1 to 200"),
        *(({"item": "x"}, {"tenant": name}, "tenant must be a text of 1 to 200") for name in (None, *NO_NAMES)),
        *(({"item": "x"}, {"key": name}, "key must be a text of 1 to 200") for name in NO_NAMES),
        *(({"item": "x"}, {"budget": what}, "budget must be a Budget or a dict") for what in (0, False, "", [])),
        ({"item": "x"}, {"workflow": []}, r"unknown workflow \[\]; known: "),
        ({"item": "x", "weight": math.nan}, {}, "the request is not JSON: a number in it is not finite"),
        ({"item": "x", "weight": "inf"}, {}, "the request is not JSON: a number in it is not finite"),
        ({"item": "\ud800"}, {}, "the request is not JSON"),
        ({"item": "x", "note": [10**4_999]}, {}, "the request is not JSON: Exceeds the limit"),
        ({"item": "ü" * 140_000}, {}, "the request has 280,0"),
    ],
)
def test_what_is_wrong_is_refused_and_nothing_is_stored(
    app: Orchestrator, request_: Any, options: Any, problem: str
) -> None:
    before = stored(app)
    with pytest.raises(InvalidRequest, match=problem):
        app.submit(request_, **({"workflow": "order"} | options))
    assert stored(app) == before


def test_what_is_missing_is_asked_and_answered_once(app: Orchestrator) -> None:
    job = app.submit({"count": 2}, workflow="order")
    assert [question.id for question in job.questions] == ["request/item"]
    with pytest.raises(InvalidRequest, match="does not ask for 'colour'; it asks for item"):
        job.answer(colour="red")
    job.answer(item="bed")
    assert job.status is JobStatus.RUNNING
    job.answer({"request/item": "bed"})
    with pytest.raises(InvalidRequest, match="answered before, with something else"):
        job.answer(item="sofa")
    assert job.cancel() is job.cancel() is JobStatus.CANCELLED
    with pytest.raises(InvalidRequest, match="only a failed job can be resumed"):
        job.resume()


def test_a_job_that_is_not_there_is_said_to_be(app: Orchestrator) -> None:
    with pytest.raises(JobNotFound):
        app.job("f" * 32)
    for name in (None, "", *NO_NAMES):
        with pytest.raises(InvalidRequest, match="job must be a text of 1 to 200 characters, not"):
            app.job(name)  # pyright: ignore[reportArgumentType]


@pytest.mark.parametrize("tenant", ["", *NO_NAMES])
def test_no_tenant_is_not_every_tenant(app: Orchestrator, tenant: Any) -> None:
    app.submit({"item": "x"}, workflow="order", tenant="somebody")
    for look in (app.jobs, app.stuck):
        with pytest.raises(InvalidRequest, match="tenant must be a text of 1 to 200 characters, not"):
            look(tenant=tenant)


@pytest.mark.parametrize("limit", ["5", None, 1.5, True, math.nan, -1, []])
def test_a_limit_that_is_no_number_of_jobs_is_refused(app: Orchestrator, limit: Any) -> None:
    with pytest.raises(InvalidRequest, match="limit must be a number of jobs from 1, not"):
        app.jobs(limit=limit)
    with pytest.raises(InvalidRequest, match="limit must be a number of jobs from 1, not"):
        app.stuck(limit=limit)


@pytest.mark.parametrize(
    ("ask", "problem"),
    [
        *((lambda job, what=what: job.result(what), "timeout must be a number") for what in ("5", math.nan, [])),
        *((lambda job, what=what: list(job.events(what)), "after must be the id") for what in ("x", None, 5, "1-2-3")),
        *((lambda job, what=what: job.fork(what), "after must be the name") for what in (5, None)),
        *((lambda job, what=what: job.fork("a", what), "request must be a dict") for what in ("x", 5, [], True)),
        *((lambda job, what=what: job.fork("a", budget=what), "budget must be a") for what in (0, [], False, "x")),
        *((lambda job, what=what: job.fork("a", key=what), "key must be a text") for what in (5, "", "\ud800")),
        *((lambda job, what=what: job.resume(what), "budget must be a Budget") for what in (0, [], False, "x")),
        *((lambda job, what=what: job.approve(what), "a question's id is a text") for what in (None, 5, [], {})),
    ],
)
def test_what_no_job_can_be_asked_is_refused_by_name(
    app: Orchestrator, ask: Callable[[Any], Any], problem: str
) -> None:
    job = app.submit({"item": "x"}, workflow="order", key="one and the same")
    with pytest.raises(InvalidRequest, match=problem):
        ask(job)


async def test_the_asyncio_twin_refuses_the_same(app: Orchestrator) -> None:
    twin = AsyncOrchestrator(redis_url=app.settings.redis_url, workflows=(), trace=False)
    nothing: Any = 0
    job = await twin.submit({"item": "x"}, workflow="order", key="one and the same")
    for asked, problem in (
        (twin.submit({"item": "x"}, workflow="order", budget=nothing), "budget must be a Budget"),
        (twin.jobs(tenant=""), "tenant must be a text"),
        (twin.job(nothing), "job must be a text"),
        (job.answer(nothing), "answers must be a dict"),
        (job.result(timeout=math.nan), "timeout must be a number of seconds"),
    ):
        with pytest.raises(InvalidRequest, match=problem):
            await asked
    await twin.close()


def test_a_workflow_s_budget_is_checked_when_it_is_defined() -> None:
    usual = Workflow("usual", request=Order, plan=lambda _: Plan.chain("a"), budget={"steps": 3})
    assert usual.budget == Budget(steps=3)
    with pytest.raises(InvalidRequest, match="budget steps must be"):
        Workflow("unusual", request=Order, plan=lambda _: Plan.chain("a"), budget={"steps": -3})


def test_a_page_of_jobs_is_asked_for_by_number_and_status(app: Orchestrator) -> None:
    with pytest.raises(InvalidRequest, match="limit must be a number of jobs from 1, not 0"):
        app.jobs(limit=0)
    with pytest.raises(InvalidRequest, match="limit must be a number of jobs from 1, not 0"):
        app.stuck(limit=0)
    for lost in ("lost", "", []):
        with pytest.raises(InvalidRequest, match=r"unknown status .*; one of queued"):
            app.jobs(status=lost)  # pyright: ignore[reportArgumentType]


@pytest.mark.parametrize("amount", [-1, math.nan, math.inf, 1e30, True, "5", 1.5])
@pytest.mark.parametrize("kind", ["steps", "tool_calls", "tokens"])
def test_a_budget_is_a_whole_number_that_can_be_counted(kind: str, amount: Any) -> None:
    with pytest.raises(InvalidRequest, match=f"budget {kind}"):
        Budget(**{kind: amount})
    assert Budget.of({kind: 0}).ceilings()[kind] == 0


def test_money_is_counted_in_whole_millionths() -> None:
    assert Budget(usd=0.1 + 0.2).ceilings()["usd"] == 300_000


@pytest.mark.parametrize(
    ("make", "problem"),
    [
        (lambda: Plan([]), "at least one step"),
        (lambda: Plan.chain("a", "a"), "two steps are named 'a'"),
        (lambda: Plan([Step("a", after=["b"]), Step("b", after=["a"])]), "cycle: "),
        (lambda: Plan([Step("a", after=["x"])]), "comes after 'x', which is not in the plan"),
        (lambda: Plan([Step("a", name=f"s{i}") for i in range(2_001)]), "at most 2000 steps"),
        (lambda: Step("A b"), "use 1 to 64 of a-z"),
        (lambda: Step("a.b"), "use 1 to 64 of a-z"),
        (lambda: Step("a", after="b"), "not the string"),
        (lambda: Step("a", arguments={"x": math.nan}), "not JSON"),
        (lambda: Step("a", arguments={"x": object()}), "not JSON"),
        (lambda: Step("a", arguments={"x": json.loads("[" * 300 + "]" * 300)}), "not JSON"),
    ],
)
def test_a_plan_that_cannot_be_is_refused(make: Any, problem: str) -> None:
    with pytest.raises(InvalidRequest, match=problem):
        make()


@st.composite
def plans(draw: st.DrawFn) -> Plan:
    count = draw(st.integers(1, 25))
    steps: list[Step] = []
    for i in range(count):
        after = draw(st.lists(st.integers(0, i - 1), unique=True, max_size=4)) if i else []
        steps.append(Step(draw(st.sampled_from("abcd")), name=f"s{i}", after=[f"s{n}" for n in after]))
    return Plan(draw(st.permutations(steps)))


@given(plans())
def test_any_acyclic_plan_has_waves_numbers_and_first_messages(plan: Plan) -> None:
    for name in "abcd":
        catalogue.profiles.setdefault(name, Profile(name))
    order = sorted(plan.numbers, key=plan.numbers.__getitem__)
    assert sorted(plan.numbers.values()) == list(range(1, len(plan.steps) + 1))
    assert all(order.index(dep) < order.index(step.name) for step in plan.steps for dep in step.after)
    assert set(WIRES.first_messages(plan)) == set(plan.waves[0])


WIRES = WireForms(load(redis_url="unix:///none"))


@pytest.mark.parametrize(
    ("settings", "problem"),
    [
        ({"lease_s": 0}, "SUREFOOT_LEASE_S=0"),
        ({"attempts": "many"}, "SUREFOOT_ATTEMPTS='many'"),
        ({"log_format": "xml"}, "SUREFOOT_LOG_FORMAT='xml'"),
        ({"redis_url": "http://me:p@ss@h"}, r"^SUREFOOT_REDIS_URL='http://\*\*\*@h'"),
        ({"broker_url": "kafka://me:pass@h"}, r"^SUREFOOT_BROKER_URL='kafka://\*\*\*@h'"),
    ],
)
def test_a_setting_that_makes_no_sense_is_named(settings: dict[str, Any], problem: str) -> None:
    with pytest.raises(InvalidSettings, match=problem):
        Orchestrator(**settings)


def test_without_a_server_the_error_says_what_to_do(tmp_path: Any) -> None:
    with pytest.raises(StoreUnavailable, match="surefoot up"):
        Orchestrator(home=tmp_path)
    away = Orchestrator(redis_url=f"unix://{tmp_path}/none", workflows=(), redis_patience_s=0.1, trace=False)
    with pytest.raises(StoreUnavailable, match=r"does not answer.*SUREFOOT_REDIS_URL"):
        away.job("f" * 32)
