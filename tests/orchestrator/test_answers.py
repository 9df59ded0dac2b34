"""Answers to a request's questions: one by one, from many at once, by whom and when, and those that do not count."""

# pyright: reportPrivateUsage=false

import datetime as dt
from typing import Any

import pytest
from pydantic import BaseModel, model_validator
from pydantic_core import PydanticCustomError

from orchestrator import InvalidRequest, Orchestrator, Plan, Workflow
from orchestrator.cli.answering import _values
from orchestrator.state.records import Question
from orchestrator.status import JobStatus
from tests.orchestrator.test_submissions import Wish, at_once, messages, perform


class Span(BaseModel):
    since: int
    until: int

    @model_validator(mode="after")
    def _in_order(self) -> "Span":
        if self.until < self.since:
            raise PydanticCustomError("rule", "not before {since}", {"since": self.since, "field": "until"})
        return self


@pytest.fixture(scope="module", autouse=True)
def workflows() -> None:
    Workflow("told", request=Wish, plan=lambda _: Plan.chord(["a", "b"], "c"))
    Workflow("span", request=Span, plan=lambda _: Plan.chain("a"))


def test_answers_may_come_one_after_the_other(front: Orchestrator) -> None:
    job = front.submit({}, workflow="told")
    job.answer(day="monday", by="ann")
    assert (job.status, [q.field for q in job.questions]) == (JobStatus.WAITING, ["item"])
    job.answer(day="monday")
    job.answer(item="bed")
    assert (job.status, job.record.fields["total"]) == (JobStatus.RUNNING, "3")
    answered = {question.field: (question.answer, question.by) for question in job.answered}
    assert answered == {"day": ("monday", "ann"), "item": ("bed", "")}
    assert all(q.asked_at and q.answered_at and q.asked_at <= q.answered_at for q in job.answered)


def test_a_rule_that_two_answers_break_is_asked_again_and_both_can_be_mended(front: Orchestrator) -> None:
    job = front.submit({}, workflow="span")
    job.answer(until=3)
    job.answer(since=2)
    assert job.status is JobStatus.RUNNING

    job = front.submit({}, workflow="span")
    job.answer(until=3)
    job.answer(since=5)  # until is asked again
    assert [(q.id, q.prompt) for q in job.questions] == [("request/2/until", "not before 5: until")]
    with pytest.raises(InvalidRequest, match="not before 5"):
        job.answer(until=4)
    job.answer(until=7)
    assert (job.status, job.record.fields["request"]) == (JobStatus.RUNNING, '{"since":5,"until":7}')
    job.answer(until=7)
    with pytest.raises(InvalidRequest, match="answered before, with something else; the first answer stays"):
        job.answer(until=8)


def test_twenty_threads_that_each_answer_a_part_start_the_plan_once(front: Orchestrator) -> None:
    for _ in range(5):
        job = front.submit({}, workflow="told")
        at_once(20, lambda i, job=job: job.answer(**({"day": "monday"} if i % 2 else {"item": "bed"})))
        assert (job.status, messages(front, job), job.questions) == (JobStatus.RUNNING, 2, [])
        assert job.record.fields["request"] == '{"item":"bed","day":"monday","count":1}'


@pytest.mark.parametrize("by", ["", 7, "x" * 201])
def test_who_answers_has_a_name_or_says_nothing(front: Orchestrator, by: Any) -> None:
    job = front.submit({"item": "bed"}, workflow="told")
    with pytest.raises(InvalidRequest, match="by must be a text of 1 to 200 characters"):
        job.answer(day="monday", by=by)
    assert job.status is JobStatus.WAITING


def test_a_name_of_any_characters_is_kept_as_it_is(front: Orchestrator) -> None:
    job = front.submit({"item": "bed"}, workflow="told")
    name = 'ann "step":"b"\n{0} \\ ü/\u2028'
    job.answer(day="monday", by=name)
    assert [question.by for question in job.answered] == [name]


@pytest.mark.parametrize(
    ("answers", "problem"),
    [
        *((what, "answers must be a dict") for what in ("x", 5, 0, [], [("day", 1)])),
        *(({what: "monday"}, "an answer names its question by id or field, a text") for what in (5, None, ("day",))),
        ({"day": object()}, "the answer to 'day' is not JSON"),
        ({"day": "\ud800"}, "the answer to 'day' is not JSON"),
        ({"day": float("nan")}, "the answer to 'day' is not JSON: a number in it is not finite"),
        ({"day": [float("inf")]}, "the answer to 'day' is not JSON: a number in it is not finite"),
        ({"day": 10**5_000}, "the answer to 'day' is not JSON: Exceeds the limit"),
        ({"day": "x" * 300_000}, "the answer to 'day' has 300,002 bytes; at most 262,144"),
    ],
)
def test_what_is_no_answer_is_refused_and_the_question_stays(front: Orchestrator, answers: Any, problem: str) -> None:
    job = front.submit({"item": "bed"}, workflow="told")
    with pytest.raises(InvalidRequest, match=problem):
        job.answer(answers)
    assert [question.field for question in job.questions] == ["day"]


def test_an_answer_is_read_as_it_will_be_read_again(front: Orchestrator) -> None:
    job = front.submit({"item": "bed"}, workflow="told")
    job.answer(day=dt.date(2027, 3, 12))
    job.answer(day="2027-03-12")
    assert [question.answer for question in job.answered] == ["2027-03-12"]


@pytest.mark.parametrize(
    ("schema", "said", "meant"),
    [
        ({"type": "string"}, "555", "555"),
        ({"type": "string"}, '"so"', '"so"'),
        ({"anyOf": [{"type": "string"}, {"type": "null"}]}, "555", "555"),
        ({"anyOf": [{"type": "string"}, {"type": "null"}]}, "null", None),
        ({"$ref": "#/$defs/Size", "$defs": {"Size": {"enum": ["1", "2"]}}}, "2", "2"),
        ({"type": "integer"}, "555", 555),
        ({"type": "integer"}, "many", "many"),
        ({}, "555", 555),
        ({}, "so", "so"),
    ],
)
def test_what_is_typed_is_text_where_only_a_text_fits(schema: Any, said: str, meant: Any) -> None:
    assert _values([Question("a/day", "day", "?", step="a", schema=schema)], [f"day={said}"]) == {"day": meant}


def test_one_command_does_not_answer_twice() -> None:
    with pytest.raises(InvalidRequest, match="'day' is answered twice"):
        _values([], ["day=1", "day=2"])


def test_answers_to_unknown_questions_and_after_the_end_are_refused(front: Orchestrator) -> None:
    job = front.submit({"item": "bed"}, workflow="told")
    with pytest.raises(InvalidRequest, match="does not ask for 'color'; it asks for day"):
        job.answer(color="red")
    job.answer(day="monday")
    for step in "abc":
        perform(front, job, step)
    assert job.status is JobStatus.SUCCEEDED
    job.answer(day="monday")  # the same answer again, even now
    for wrong, problem in ({"day": "friday"}, "answered before"), ({"color": "red"}, "it asks for nothing"):
        with pytest.raises(InvalidRequest, match=problem):
            job.answer(wrong)
