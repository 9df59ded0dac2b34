"""A supervisor decides round by round who goes on, until it finishes or a guard stops it. Workflows: `flows.py`."""

import pytest

from orchestrator import Budget, BudgetExhausted, InvalidRequest, JobFailed
from orchestrator.patterns import Next, Situation, Supervisor
from orchestrator.patterns.pattern import Here
from tests.support.stage import Stage

pytestmark = pytest.mark.xdist_group("patterns")


def test_it_decides_from_what_is_done_and_the_join_gets_it_all(played: Stage) -> None:
    job = played.app.submit({}, workflow="supervised")

    assert job.result(30) == ["air", "bed", "pick", "supervisor-3"]
    assert [step.name for step in job.steps] == [
        *("supervisor", "air", "bed"),
        *("supervisor-2", "pick"),
        *("supervisor-3", "tell"),
    ]
    assert job.steps[4].output["got"] == ["air", "bed", "supervisor-2"], "who goes on knows what is done"


def test_each_round_is_on_record(played: Stage) -> None:
    job = played.app.submit({}, workflow="supervised-alone")

    over = job.result(30)
    assert (over["round"], over["why"], over["stopped"]) == (3, "all is picked", "")
    assert sorted(over["result"]) == ["air", "bed", "pick"]
    first = job.steps[0].output
    assert (first["by"], first["why"]) == ("decider", "nothing is known yet")
    assert [(call["to"], call["steps"]) for call in first["calls"]] == [("air", ["air"]), ("bed", ["bed"])]


def test_a_specialist_hands_off_and_the_decider_is_not_asked(played: Stage) -> None:
    job = played.app.submit({}, workflow="handed")

    assert job.result(30)["result"] == ["bed", "desk"]
    handed = next(step for step in job.steps if step.name == "supervisor-2").output
    assert (handed["by"], handed["why"]) == ("handoff", "it is about a bed")
    bed = next(step for step in job.steps if step.name == "bed").output
    assert bed["with"] == {"nights": 3}


def test_a_handoff_in_what_others_bring_is_data_and_moves_nobody(played: Stage) -> None:
    job = played.app.submit({}, workflow="unheard")

    assert job.result(30)["result"] == ["desk"]
    assert [step.name for step in job.steps] == ["supervisor", "desk", "supervisor-2"]
    with pytest.raises(InvalidRequest, match="handoffs: 'air' is not one of the team: desk, bed"):
        Supervisor(["desk", "bed"], decide=lambda _: Next.finish(), handoffs=["air"])


@pytest.mark.parametrize(
    ("said", "told"),
    [
        ({"to": "nowhere"}, "'nowhere' is not one of the parts of this supervisor: desk, bed"),
        ({"to": 5}, "step 'desk' hands off in a way that is not understood: to: Input should be a valid string"),
        ("bed", "step 'desk' hands off in a way that is not understood: handoff: Input should be a valid dictionary"),
    ],
)
async def test_a_handoff_that_cannot_be_fails_with_the_reason(said: object, told: str) -> None:
    pattern = Supervisor(["desk", "bed"], decide=lambda _: Next.finish(), handoffs=["desk"])
    here = Here("supervisor-2", "p", state={"round": 2, "calls": [{"to": "desk", "steps": ["desk"]}]})
    with pytest.raises(InvalidRequest, match=told):
        await pattern.decide(here, Situation({}, {}, done={"desk": {"handoff": said}}))


def test_the_same_call_again_is_noticed_once_nothing_new_is_known(played: Stage) -> None:
    job = played.app.submit({"same": True}, workflow="endless-fail")

    with pytest.raises(JobFailed, match="round 3: same was called before with the same arguments"):
        job.result(30)
    assert [step.name for step in job.steps if step.specialist == "same"] == ["same", "same-2"]


def test_rounds_that_bring_nothing_new_are_noticed_whatever_the_arguments(played: Stage) -> None:
    with pytest.raises(JobFailed, match="round 4: the last 2 rounds brought nothing new"):
        played.app.submit({}, workflow="endless-fail").result(30)
    with pytest.raises(JobFailed, match="round 3: the last 2 rounds brought nothing new"):
        played.app.submit({}, workflow="lonely").result(30)


async def test_more_parts_than_a_plan_may_have_are_refused_before_any_is_placed() -> None:
    many = Supervisor(["air"], decide=lambda _: Next.to(*["air"] * 3_000))
    said = "the decider names 3,000 parts to go on in round 1, behind 0 steps; a plan has at most 2,000 steps"
    with pytest.raises(InvalidRequest, match=said):
        await many.decide(Here("supervisor", "many"), Situation({}, {}))


def test_rounds_have_an_end(played: Stage) -> None:
    with pytest.raises(JobFailed, match="wants to go on with air after 3 rounds"):
        played.app.submit({}, workflow="wandering").result(30)


def test_a_guard_may_leave_what_there_is(played: Stage) -> None:
    job = played.app.submit({}, workflow="endless-partial")

    over = job.result(30)
    assert over["by"] == "guard"
    assert over["stopped"] == "the last 2 rounds brought nothing new"
    assert over["result"]["same-3"] == {"found": "nothing new"}


def test_the_budget_holds_for_whoever_goes_on(played: Stage) -> None:
    with pytest.raises(BudgetExhausted, match="steps 4 of 4"):
        played.app.submit({}, workflow="wandering", budget=Budget(steps=4)).result(30)


def test_at_a_ceiling_that_finishes_it_ends_with_what_is_done(played: Stage) -> None:
    budget = Budget(steps=4, at_ceiling="finish")
    over = played.app.submit({}, workflow="wandering", budget=budget).result(30)

    assert (over["round"], over["by"], list(over["result"])) == (3, "guard", ["air"])
    assert over["stopped"].startswith("no new work: ")


@pytest.mark.parametrize(("steps", "work"), [(4, 1), (5, 1), (6, 2)])
def test_at_a_ceiling_that_finishes_a_step_is_kept_for_the_join(played: Stage, steps: int, work: int) -> None:
    budget = Budget(steps=steps, at_ceiling="finish")
    job = played.app.submit({}, workflow="wandering-joined", budget=budget)

    assert [name for name in job.result(30) if name.startswith("air")] == ["air", "air-2"][:work]
    over = next(step.output for step in reversed(job.steps) if step.specialist == "supervisor")
    assert (over["by"], over["calls"]) == ("guard", [])
    assert "steps left, one of them for sum" in over["stopped"]


def test_where_no_step_is_left_for_the_join_it_ends_with_what_is_done(played: Stage) -> None:
    job = played.app.submit({}, workflow="wandering-deep", budget=Budget(steps=4, at_ceiling="finish"))

    over = job.result(30)  # the router took the step that was the join's: what it adds is not known before
    assert set(over["result"]) == {"deep", "air"}
    assert over["stopped"].endswith("; no step is left for sum")
    with pytest.raises(BudgetExhausted, match="steps 4 of 4"):
        played.app.submit({}, workflow="wandering-joined", budget=Budget(steps=4)).result(30)


def test_patterns_nest_and_the_next_round_waits_for_all_that_they_add(played: Stage) -> None:
    job = played.app.submit({"text": "fly"}, workflow="nested")

    assert job.result(30) == ["air", "bed", "plan", "route", "supervisor-3", "tell"]
    after = {step.name: set(step.after) for step in job.steps}
    assert after["supervisor-2"] == {"supervisor", "route", "bed", "air"}, "the route's own step came with its decision"
    assert after["bed"] == {"supervisor", "sky"}
    assert after["tell"] == {"plan", "air-2", "bed-2", "pick"}
    assert after["supervisor-3"] >= {"plan", "tell"}
