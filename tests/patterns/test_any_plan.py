"""Any plan that a planner may write runs in an order that it allows, in any interleaving, and is solved once, last."""

import asyncio
from collections.abc import Iterator

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from orchestrator import InvalidRequest, Plan, Step
from orchestrator.patterns import Draft, PlanExecuteSolve, PlannedStep, Situation
from orchestrator.patterns.pattern import Here
from orchestrator.state.client import without_loop as do
from orchestrator.state.steps import Ending, Lease, growth
from orchestrator.status import JobStatus
from orchestrator.workflow import Profile, catalogue
from tests.state.conftest import Stores, stores_on
from tests.support.valkey import valkey

JOB = "0" * 31 + "5"
SIMPLE = settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


@pytest.fixture(scope="module")
def stores() -> Iterator[Stores]:
    for name in ("a", "b", "solve"):
        catalogue.profiles[name] = Profile(name)
    with valkey() as server:
        one = stores_on(server.url)
        yield one
        one.client.close()


@st.composite
def drafts(draw: st.DrawFn) -> Draft:
    """Any steps at all; two in three of the dependencies point back, so that many of them are plans."""
    names = draw(st.lists(st.sampled_from([f"s{i}" for i in range(9)]), min_size=1, max_size=9))
    steps: list[PlannedStep] = []
    for i, name in enumerate(names):
        others = names if draw(st.integers(0, 2)) == 0 else names[:i]
        after = draw(st.lists(st.sampled_from(others), max_size=3)) if others else []
        steps.append(PlannedStep(specialist=draw(st.sampled_from("ab")), name=name, after=after))
    return Draft(steps=steps)


def is_plan(draft: Draft) -> bool:
    """Found out another way than the pattern's: names once, and steps can be taken away one by one."""
    left = {step.name: set(step.after) for step in draft.steps}
    if len(left) < len(draft.steps):
        return False
    while free := [name for name, after in left.items() if not after & set(left)]:
        for name in free:
            del left[name]
    return not left


@SIMPLE
@given(draft=drafts(), data=st.data())
def test_whatever_is_planned_runs_in_order_or_is_refused(stores: Stores, draft: Draft, data: st.DataObject) -> None:
    pattern = PlanExecuteSolve(["a", "b"], planner=lambda _: draft, solve="solve")
    deciding = pattern.decide(Here("planner", "w", taken=frozenset({"planner"})), Situation({}, pattern.choices()))
    if not is_plan(draft):
        with pytest.raises(InvalidRequest, match="no valid plan"):
            asyncio.run(deciding)
        return
    grown = [(one.step, one.before) for one in asyncio.run(deciding).grown]
    stores.command("FLUSHALL")
    stores.open(Plan([Step("a", "planner")]), JOB)
    lease = stores.claim(JOB, "planner")
    growing = growth(do(stores.jobs.read(JOB)), "planner", grown)
    ready = set(do(stores.steps.commit(lease, Ending("succeeded", "plan", growth=growing))).ready)
    planned, done = {step.name: set(step.after) for step in draft.steps}, dict[str, str]()
    while ready:
        name = data.draw(st.sampled_from(sorted(ready)))
        claim = do(stores.steps.claim(JOB, name))
        wanted = set(planned) if name == "solve" else planned[name]
        assert claim.inputs == {"planner": "plan"} | {before: done[before] for before in wanted}
        done[name] = f"{name} did"
        lease = Lease(JOB, name, claim.fence)
        ready = (ready - {name}) | set(do(stores.steps.commit(lease, Ending("succeeded", done[name]))).ready)
    assert list(done)[-1] == "solve"
    assert set(done) == {*planned, "solve"}
    assert do(stores.jobs.read(JOB)).status is JobStatus.SUCCEEDED
