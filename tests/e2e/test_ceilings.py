"""What a job does at a ceiling: fail, ask a person, or finish with what it has."""

import pytest

from orchestrator import Budget, BudgetExhausted, InvalidRequest, Job, JobFailed, WaitingForInput
from orchestrator.budget import Amount
from tests.support.ledger import attempts, effects
from tests.support.stage import Stage
from tests.support.waiting import wait_until

BED = {"item": "bed"}


def sent(played: Stage, job: Job) -> list[str]:
    return [key for key, _ in attempts(played.ledger) if key.startswith(job.id)]


def asks(played: Stage, **budget: object) -> Job:
    job = played.app.submit(BED, workflow="journey", budget={**budget, "at_ceiling": "ask"})
    wait_until(lambda: job.status == "waiting", "the job asks")
    return job


def test_a_job_that_asks_goes_on_in_all_its_steps_with_one_answer(played: Stage) -> None:
    job = asks(played, tool_calls=3)  # three steps of two calls each, side by side
    with pytest.raises(WaitingForInput, match="tool calls 3 of 3 are used, and more is needed"):
        job.result(90)
    assert {(question.field, question.kind) for question in job.questions} == {("tool_calls", "budget")}
    before = len(job.questions)
    assert 1 <= before <= 3
    job.answer(tool_calls=6)
    assert len(job.result(90)) == 3
    assert job.spend.tool_calls.spent == 6
    assert len(sent(played, job)) == 3
    job.answer(tool_calls=6)  # the same answer again is the same answer
    with pytest.raises(InvalidRequest, match="does not ask for 'tool_calls'"):
        job.answer(tool_calls=7)
    assert job.spend.tool_calls.ceiling == 6


def test_it_asks_again_at_the_next_ceiling_and_resume_answers_too(played: Stage) -> None:
    job = asks(played, tool_calls=1, usd=1.0)
    job.resume(Budget(tool_calls=2))
    wait_until(lambda: job.status == "waiting" and "tool calls 2 of 2" in str(job.questions), "it asks again")
    with pytest.raises(InvalidRequest, match="less than or equal to"):
        job.answer(tool_calls=2)
    with pytest.raises(InvalidRequest, match="not of type"):
        job.answer(tool_calls="many")
    for less, problem in (
        ({"steps": 9}, "budget steps: this job is under way and can only be given more; it has no such ceiling"),
        ({"usd": 0.5}, "budget usd: this job is under way and can only be given more; it has 1"),
        ({"seconds": 9}, "budget seconds: this job is under way"),
    ):
        with pytest.raises(InvalidRequest, match=problem):
            job.resume({"tool_calls": 50, **less})
    job.resume({"tool_calls": 50, "usd": 2.5})
    assert len(job.result(90)) == 3
    assert (job.spend.tool_calls.ceiling, job.spend.usd.ceiling) == (50, 2_500_000)
    assert len(sent(played, job)) == len([key for key, _ in effects(played.ledger) if key.startswith(job.id)]) == 3


def test_steps_are_asked_for_before_they_start_and_count_once(played: Stage) -> None:
    job = asks(played, steps=2)
    assert {question.field for question in job.questions} == {"steps"}
    assert job.spend.steps.spent == 2
    job.resume({"steps": 5})
    assert len(job.result(90)) == 3
    assert job.spend.steps.spent == 5


def test_a_tool_that_may_not_be_called_so_often_is_asked_for_by_its_name(played: Stage) -> None:
    job = asks(played, tools={"desk.book": 0})
    assert {question.field for question in job.questions} == {"desk.book"}
    assert len(job.questions) == 3
    job.answer({"desk.book": 3})
    assert len(job.result(90)) == 3


def test_a_job_that_finishes_makes_what_it_can_and_says_what_is_missing(played: Stage) -> None:
    job = played.app.submit(BED, workflow="journey", budget=Budget(tool_calls=3, at_ceiling="finish"))
    result = job.result(90)
    states = {step.name: step.state for step in job.steps}
    left_out = {name for name, state in states.items() if state == "failed"}
    assert result.keys() == {"flight", "hotel", "table"} - left_out
    assert left_out
    assert states["finish"] == "succeeded"
    assert all("tool calls 3 of 3" in step.error["message"] for step in job.steps if step.name in left_out)
    assert job.spend.tool_calls.spent == 3


def test_a_step_that_waits_for_an_answer_when_a_job_finishes_gets_it(played: Stage) -> None:
    job = played.app.submit(BED, workflow="two-ask", budget=Budget(tool_calls=1, at_ceiling="finish"))
    wait_until(lambda: len(job.questions) == 3 and job.status == "waiting", "both ask")
    job.answer(nights=2, rooms=1)
    wait_until(lambda: any(asked.kind == "approval" for asked in job.questions), "it asks for approval")
    job.approve(next(asked.id for asked in job.questions if asked.kind == "approval"))
    wait_until(lambda: [asked.field for asked in job.questions] == ["date"] and job.status == "waiting", "one is left")
    job.answer(date="2027-03-12")
    job.result(90)
    states = {step.name: (step.state, step.output, step.error) for step in job.steps}
    assert states["careful"] == ("failed", None, {"kind": "budget", "message": "tool calls 1 of 1"})
    assert states["asking"] == ("succeeded", {"first": "before the question", "date": "2027-03-12"}, None)


def test_a_job_that_finishes_keeps_a_step_for_its_end(played: Stage) -> None:
    job = played.app.submit(BED, workflow="journey", budget=Budget(steps=3, at_ceiling="finish"))
    assert len(job.result(90)) == 1  # begin, one of three, and the end
    assert job.spend.steps.spent == 3
    assert len([step for step in job.steps if step.state == "failed"]) == 2

    none = played.app.submit(BED, workflow="journey", budget=Budget(steps=0, at_ceiling="finish"))
    with pytest.raises(BudgetExhausted, match="steps 0 of 0"):
        none.result(90)


def test_the_price_table_is_counted_and_what_it_refuses_is_not_sent(played: Stage) -> None:
    job = played.app.submit(BED, workflow="journey", budget=Budget(usd=0.02))
    with pytest.raises(BudgetExhausted, match=r"usd 0.02 of 0.02"):
        job.result(90)
    assert (job.spend.usd.spent, len(sent(played, job))) == (20_000, 2)
    with pytest.raises(InvalidRequest, match=r"budget usd 0.01 is below what is already spent: 0.02"):
        job.resume({"usd": 0.01})

    job = played.app.submit(BED, workflow="unpriced")
    with pytest.raises(
        JobFailed, match=r"no price is known for the tool desk.gift: name it under `tools` in SUREFOOT_P"
    ):
        job.result(90)
    assert (job.spend.usd.spent, len(sent(played, job))) == (10_000, 1)


def test_answers_are_read_up_to_the_ceiling_of_bytes_and_all_is_done_once_it_is_raised(played: Stage) -> None:
    job = played.app.submit(BED, workflow="journey", budget=Budget(answer_bytes=100))
    with pytest.raises(BudgetExhausted, match="answer bytes 100 of 100"):
        job.result(90)
    assert job.spend.answer_bytes == Amount(100, 0, 100)
    job.resume(Budget(answer_bytes=5_000))
    assert len(job.result(90)) == 3
    assert 100 < job.spend.answer_bytes.spent < 5_000
    assert len([key for key, _ in effects(played.ledger) if key.startswith(job.id)]) == 3

    job = asks(played, answer_bytes=100)
    job.answer(answer_bytes=5_000)
    assert len(job.result(90)) == 3


def test_nonsense_is_refused(played: Stage) -> None:
    with pytest.raises(InvalidRequest, match="at_ceiling must be fail, ask or finish, not 'stop'"):
        played.app.submit(BED, workflow="journey", budget={"at_ceiling": "stop"})
    job = asks(played, tool_calls=1)
    with pytest.raises(InvalidRequest, match="at_ceiling is said when a job is submitted"):
        job.resume(Budget(tool_calls=9, at_ceiling="fail"))
    with pytest.raises(InvalidRequest, match="is below what is already spent"):
        job.resume(Budget(tool_calls=0))
    with pytest.raises(InvalidRequest, match="only a failed job can be resumed"):
        job.resume(Budget(steps=99))
    job.cancel()
    runs = played.app.submit(BED, workflow="gated")
    wait_until(lambda: runs.steps[0].state == "running", "its step runs")
    with pytest.raises(InvalidRequest, match=f"only a failed job can be resumed; job {runs.id} is running"):
        runs.resume(Budget(steps=99))
    assert (runs.status, runs.steps[0].state, runs.steps[0].attempts) == ("running", "running", 1)
    runs.cancel()
