"""A planner writes the whole plan, which is checked before anything of it runs. Workflows: `flows.py`."""

import pytest

from orchestrator import Budget, JobFailed
from tests.support.stage import Stage

pytestmark = pytest.mark.xdist_group("patterns")


def test_the_plan_is_carried_out_and_solved_from_all_of_it(played: Stage) -> None:
    job = played.app.submit({}, workflow="planned")

    assert job.result(30) == ["air", "bed", "pick", "planner"]
    assert {step.name: set(step.after) for step in job.steps} == {
        "planner": set(),
        "air": {"planner"},
        "bed": {"planner"},
        "pick": {"planner", "air", "bed"},
        "tell": {"planner", "air", "bed", "pick"},
    }
    assert [step["name"] for step in job.steps[0].output["steps"]] == ["air", "bed", "pick"]
    assert job.steps[0].output["repaired"] == []


WRONG = [
    ("unknown", "'magic': there is no specialist 'magic'; choose from air, sky, bed, pick"),
    ("cycle", "the plan has a cycle: "),
    ("no input", "'other' cannot do without the output of 'bed': let it come after a step of that name"),
    ("no pick", "the solving step 'tell' cannot do without the output of 'pick': plan such a step"),
    ("long", "the plan has 23 steps, more than the 10 it may have"),
]


@pytest.mark.parametrize(("broken", "problem"), WRONG)
def test_a_wrong_plan_is_repaired_once(played: Stage, broken: str, problem: str) -> None:
    job = played.app.submit({"broken": [broken]}, workflow="planned")

    assert job.result(30) == ["air", "bed", "pick", "planner"]
    assert any(problem in told for told in job.steps[0].output["repaired"])


@pytest.mark.parametrize(("broken", "problem"), WRONG)
def test_a_plan_that_stays_wrong_fails_the_job_and_nothing_of_it_runs(played: Stage, broken: str, problem: str) -> None:
    job = played.app.submit({"broken": [broken, "stubborn"]}, workflow="planned")

    with pytest.raises(JobFailed, match="no valid plan, asked twice") as failed:
        job.result(30)
    assert problem in str(failed.value)
    assert [step.name for step in job.steps] == ["planner"]


def test_a_plan_over_the_job_s_budget_is_refused_before_it_begins(played: Stage) -> None:
    job = played.app.submit({}, workflow="planned", budget=Budget(steps=4))

    with pytest.raises(
        JobFailed, match="over budget: the plan takes 3 steps and the solving one, the budget has 3 left"
    ):
        job.result(30)
    assert played.app.submit({}, workflow="planned", budget=Budget(steps=5)).result(30)
