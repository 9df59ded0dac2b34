"""Fields of a form that tools ask for: put together, told apart from other questions, and found again."""

from typing import Any

import pytest

from orchestrator import InvalidRequest, forms
from orchestrator.answers import match
from orchestrator.state.records import JobRecord, Question

SCHEMA = {"type": "object", "properties": {"city": {"type": "string"}, "nights": {"type": "integer"}}}
FIRST = Question("a:1/ask-1", "ask-1", "where?", "form", "a", schema=SCHEMA)
SECOND = Question("b:1/ask-1", "ask-1", "where?", "form", "b", schema=SCHEMA)
PLAIN = Question("c/city", "city", "which city?", step="c", schema={"type": "string"})


def job(*asked: Question, **answered: str) -> JobRecord:
    """A job that asks these; what was answered is given by the last letter of its step."""
    fields = {f"q:{question.id}": question.text for question in asked}
    done = [question for question in (FIRST, SECOND, PLAIN) if question.step in answered]
    fields |= {f"d:{question.id}": question.text for question in done}
    fields |= {f"a:{question.id}": answered[question.step] for question in done}
    return JobRecord("0" * 32, {"status": "waiting", "request": "{}", **fields})


@pytest.mark.parametrize(
    ("record", "given", "expected"),
    [
        (job(FIRST), {"nights": 2, "city": "Graz"}, {FIRST.id: {"nights": 2, "city": "Graz"}}),
        (job(FIRST, PLAIN), {"city": "Graz", "nights": 2}, {"city": "Graz", FIRST.id: {"nights": 2}}),
        (job(FIRST, c='"Graz"'), {"city": "Wien"}, {FIRST.id: {"city": "Wien"}}),
        (job(SECOND, a='{"city":"Graz"}'), {"city": "Wien"}, {SECOND.id: {"city": "Wien"}}),
        (job(a='{"city":"Graz"}'), {"city": "Graz"}, {FIRST.id: {"city": "Graz"}}),
        (job(a='{"city":"Graz"}', c='"Wien"'), {"city": "Wien"}, {"city": "Wien"}),
        (job(FIRST), {FIRST.id: False}, {FIRST.id: False}),
    ],
    ids=["together", "a question of this name", "open before answered", "a later form", "again", "plain again", "no"],
)
def test_fields_go_into_the_form_that_asks_for_them(
    record: JobRecord, given: dict[str, Any], expected: dict[str, Any]
) -> None:
    assert forms.filled_in(record, given) == expected


def test_two_forms_with_the_same_field_are_told_apart_by_their_ids() -> None:
    with pytest.raises(InvalidRequest, match="2 forms ask for 'city'; answer one by its id: a:1/ask-1, b:1/ask-1"):
        forms.filled_in(job(FIRST, SECOND), {"city": "Graz"})
    assert match(job(FIRST, SECOND), {FIRST.id: {"city": "Graz"}}).answers == {FIRST.id: {"city": "Graz"}}


@pytest.mark.parametrize("value", [0, "", [], True, "no"])
def test_only_no_and_none_decline_a_form(value: Any) -> None:
    with pytest.raises(InvalidRequest, match=r'ask-1: .* is not of type "object"'):
        match(job(FIRST), {FIRST.id: value})
    for no in (False, None):
        assert match(job(FIRST), {FIRST.id: no}).answers == {FIRST.id: no}
