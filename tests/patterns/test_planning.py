"""A planner writes the whole plan, which is checked before anything of it runs. Workflows: `flows.py`."""

import re

import pytest

from orchestrator import Budget, InvalidRequest, JobFailed, Plan
from orchestrator.patterns import Draft, PlanExecuteSolve, PlannedStep, Router, Routing, Situation
from orchestrator.patterns.pattern import Here
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
        JobFailed,
        match="over budget: the plan and its solving step take at least 4 steps, the budget has 3 left, 1 too few",
    ):
        job.result(30)
    assert [step.name for step in job.steps] == ["planner"]
    job.resume(budget=Budget(steps=5))
    assert job.result(30)


def test_what_a_specialist_says_it_takes_is_counted_before_anything_is_spent(played: Stage) -> None:
    job = played.app.submit({}, workflow="planned-dear", budget=Budget(tool_calls=5, seconds=600))

    said = "take at least 6 tool calls, "
    with pytest.raises(JobFailed, match=f"{said}the budget has 5 left, 1 too few") as failed:
        job.result(30)
    assert "seconds" not in str(failed.value)
    assert [step.name for step in job.steps] == ["planner"]
    job = played.app.submit({"broken": ["long"]}, workflow="planned-dear", budget=Budget(tool_calls=6, seconds=600))
    assert job.result(30) == ["dear", "dear-2", "planner"], "the second plan fits"
    left = next(step.output["left"] for step in job.steps if step.name == "dear")
    assert (left["tool_calls"], left["steps"], 560 < left["seconds"] < 600) == (6, None, True)
    assert job.steps[0].output["repaired"] == [
        "over budget: the plan and its solving step take at least 9 tool calls, more than the budget has left"
    ], "what a model is told does not change with what is left"


async def test_a_planner_out_of_its_mind_is_told_little() -> None:
    there = PlannedStep(specialist="air")
    for steps, told in (
        ([there] * 1_000_000, "is wrong with it: the plan has 1000000 steps, more than the 50 it may have"),
        ([PlannedStep(specialist=f"no-{n}") for n in range(50)], "choose from air; and 40 more"),
        ([PlannedStep(specialist="x" * 100_000)], "xxx…; "),
        ([PlannedStep(specialist="air", name="../../etc")], "step name '../../etc': use 1 to 64 of a-z"),
    ):
        pattern = PlanExecuteSolve(["air"], planner=lambda _, steps=steps: Draft(steps=steps), solve="sum")
        with pytest.raises(InvalidRequest, match=re.escape(told)) as refused:
            await pattern.decide(Here("planner", "mad"), Situation({}, {}))
        assert len(str(refused.value)) < 2_000


DEAR = [PlannedStep(specialist="dear", name="dear"), PlannedStep(specialist="dear", name="later", after=["dear"])]
LEFT = [
    ({"steps": 3, "tool_calls": 6, "usd": 500_000, "seconds": 20, "tokens": 300}, ""),
    ({"steps": 2}, "at least 3 steps, the budget has 2 left, 1 too few"),
    ({"tool_calls": 4}, "at least 6 tool calls, the budget has 4 left, 2 too few"),
    ({"tools/desk.b*": 3}, "at least 4 calls of desk.b*, the budget has 3 left, 1 too few"),
    ({"tools/desk.search": 0}, ""),
    ({"usd": 400_000}, "at least 0.5 usd, the budget has 0.4 left, 0.1 too few"),
    ({"output_tokens": 90}, "at least 100 output tokens, the budget has 90 left, 10 too few"),
    ({"tokens": 299}, "at least 300 tokens, the budget has 299 left, 1 too few"),
    ({"seconds": 19}, "at least 20 seconds, the budget has 19 left, 1 too few"),
]


@pytest.mark.parametrize(("left", "problem"), LEFT)
def test_the_least_of_a_plan_is_held_against_each_ceiling(left: dict[str, int | None], problem: str) -> None:
    pattern = PlanExecuteSolve(["dear"], planner=lambda _: Draft(), solve="sum")
    found = pattern.problems(Draft(steps=DEAR), Situation({}, {}, left={**left, "answer_bytes": None}), exact=True)
    assert [told.partition(" take ")[2] for told in found] == [problem] * bool(problem)


def test_a_part_takes_what_is_in_it_and_of_time_its_longest_way() -> None:
    side = Plan.chord(["dear", "air"], "dear-too")
    deep = Router(["dear"], decide=lambda _: Routing.to("dear"), fallback="dear")
    choices = PlanExecuteSolve({"side": side, "deep": deep}, planner=lambda _: Draft(), solve="sum").choices()
    assert choices["deep"].least == {"steps": 1}, "what it will add is not known"
    least = choices["side"].least
    assert (least["steps"], least["tool_calls"], least["seconds"], least["usd"]) == (3, 6, 20, 500_000)
