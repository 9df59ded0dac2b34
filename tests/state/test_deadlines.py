"""Questions with a deadline: what nobody answers in time takes its default, or its job is cancelled."""

from dataclasses import replace

import pytest

from orchestrator import InvalidRequest, Plan, Step
from orchestrator.state import keys
from orchestrator.state.client import without_loop as do
from orchestrator.state.records import JobRecord, Question
from orchestrator.state.scripts import Scripts
from orchestrator.state.steps import Ending
from orchestrator.state.sweeping import Found, Redrive, SweepStore
from orchestrator.status import JobStatus
from tests.state.conftest import Stores, nothing_left_behind

JOB = "0" * 31 + "7"
PLAN = Plan([Step("a"), Step("b", after=["a"])])
DAY = Question("a/day", "day", "which day?", step="a", deadline_s=3600, otherwise='{"list": [], "n": 1.0}')


def parked(stores: Stores, *questions: Question) -> JobRecord:
    stores.open(PLAN, JOB, seconds=60)
    assert do(stores.steps.park(stores.claim(JOB, "a"), questions)) == "OK"
    return record(stores)


def record(stores: Stores) -> JobRecord:
    return do(stores.jobs.read(JOB))


def time_runs_out(stores: Stores) -> None:
    for member in stores.command("ZRANGE", keys.INDEXES["deadlines"], 0, -1):
        stores.command("ZADD", keys.INDEXES["deadlines"], 1, member)


def test_a_question_says_when_it_was_asked_and_until_when(stores: Stores) -> None:
    (asked,) = parked(stores, DAY).questions
    (member, score), now_ms = (
        stores.command("ZRANGE", keys.INDEXES["deadlines"], 0, -1, "WITHSCORES"),
        int(stores.command("TIME")[0]) * 1000,
    )
    assert member.decode() == f"{JOB} a/day"
    assert asked.asked_at is not None
    assert asked.deadline is not None
    assert asked.deadline == asked.asked_at + 3600
    assert float(score) == pytest.approx(1000 * asked.deadline, abs=2)
    assert abs(1000 * asked.asked_at - now_ms) < 60_000
    assert replace(asked, asked_at=None) == DAY


def test_nothing_happens_before_its_time(stores: Stores) -> None:
    parked(stores, DAY)
    assert not do(stores.sweeper.sweep())
    assert record(stores).status is JobStatus.WAITING


def test_its_default_counts_exactly_as_it_was_said_and_the_step_goes_on(stores: Stores) -> None:
    parked(stores, DAY)
    stores.command("DEL", "a.{0}")
    time_runs_out(stores)
    found = do(stores.sweeper.sweep())
    assert (found.unanswered, found.expired_jobs) == (1, 0)
    now = record(stores)
    assert (now.status, now.questions, now.fields["a:a/day"]) == (JobStatus.RUNNING, [], '{"list": [], "n": 1.0}')
    assert [(done.field, done.by, done.answer) for done in now.answered] == [
        ("day", "deadline", {"list": [], "n": 1.0})
    ]
    assert stores.command("LLEN", "a.{0}") == 1, "its message is out in the same script"
    assert "deadline" in now.fields, "the job's own clock goes on"
    assert do(stores.steps.claim(JOB, "a")).answer == "CLAIMED"
    with pytest.raises(InvalidRequest, match="was answered before"):
        do(stores.jobs.answer(JOB, {"a/day": "monday"}, by="late"))


def test_where_the_broker_is_elsewhere_the_sweeper_is_told_whom_to_enqueue(stores: Stores) -> None:
    parked(stores, DAY)
    time_runs_out(stores)
    elsewhere = SweepStore(Scripts(stores.client, ""), 0.2, 600)
    assert do(elsewhere.expired_jobs()) == (Found(unanswered=1, steps=(Redrive(JOB, "a", "a", "a"),)), False)


def test_a_step_that_asks_more_waits_for_the_rest(stores: Stores) -> None:
    parked(stores, DAY, Question("a/city", "city", "where?", step="a"))
    time_runs_out(stores)
    do(stores.sweeper.sweep())
    assert [question.field for question in record(stores).questions] == ["city"]
    assert record(stores).status is JobStatus.WAITING
    assert do(stores.jobs.answer(JOB, {"a/city": "Denver"}, by="ann")) == ["a"]


def test_without_a_default_the_job_is_cancelled(stores: Stores) -> None:
    parked(stores, replace(DAY, otherwise=""))
    time_runs_out(stores)
    assert do(stores.sweeper.sweep()).unanswered == 1
    assert record(stores).status is JobStatus.CANCELLED
    do(stores.sweeper.sweep())
    assert stores.command("ZCARD", keys.INDEXES["deadlines"]) == 0
    nothing_left_behind(stores)


def test_an_answer_in_time_leaves_nothing_in_the_index(stores: Stores) -> None:
    parked(stores, DAY)
    assert do(stores.jobs.answer(JOB, {"a/day": "monday"}, by="ann")) == ["a"]
    assert [m for m in stores.command("ZRANGE", keys.INDEXES["deadlines"], 0, -1) if m != JOB.encode()] == []


def test_a_failed_job_s_question_is_still_open_when_it_is_resumed(stores: Stores) -> None:
    stores.open(Plan([Step("a"), Step("b")]), JOB)
    do(stores.steps.park(stores.claim(JOB, "a"), [DAY]))
    do(stores.steps.commit(stores.claim(JOB, "b"), Ending("failed", {"kind": "x"}, "x")))
    assert record(stores).status is JobStatus.FAILED
    time_runs_out(stores)
    assert do(stores.sweeper.sweep()).unanswered == 0
    do(stores.jobs.resume(JOB, {}, None))
    assert [question.field for question in record(stores).questions] == ["day"]
    time_runs_out(stores)
    assert do(stores.sweeper.sweep()).unanswered == 1
    assert record(stores).answers["a/day"] == {"list": [], "n": 1.0}
