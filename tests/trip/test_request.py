"""A trip's request: names become codes, what is missing is asked at once, broken rules name the field to ask again."""

from datetime import date, timedelta
from typing import Any

import pytest

from orchestrator import intake
from orchestrator.cli import render
from orchestrator.errors import InvalidRequest
from orchestrator.workflow import catalogue
from workers.trip.request import FARTHEST_DAYS, TripRequest, today
from workers.trip.understanding import understand

SENTENCE = "Four days of hiking around Denver from New York, 12 to 15 March, two people, under 2,500 USD"
START = today() + timedelta(days=90)
WHOLE: dict[str, Any] = {
    "origin": "NYC",
    "destination": "DEN",
    "start_date": str(START),
    "nights": 3,
    "travellers": 2,
}


def taken(fields: Any) -> intake.Intake:
    return intake.take(catalogue.workflow("trip"), fields, 200_000)


def asked(fields: Any) -> list[str]:
    return [question.field for question in taken(fields).questions]


def test_the_demo_s_sentence_is_understood_fully() -> None:
    trip = taken(SENTENCE).model
    assert isinstance(trip, TripRequest)
    assert (trip.origin, trip.destination, trip.travellers, trip.money_usd) == ("NYC", "DEN", 2, 2_500.0)
    assert (trip.start_date.month, trip.start_date.day, trip.nights, trip.interests) == (3, 12, 3, ["hiking"])
    assert trip.return_date == trip.start_date + timedelta(days=3)


def test_without_dates_it_lacks_exactly_the_start_date() -> None:
    got = taken(SENTENCE.replace("12 to 15 March, ", ""))
    assert [question.field for question in got.questions] == ["start_date"]
    assert got.questions[0].prompt == "On which day does the trip start?"
    assert got.questions[0].example == "2027-03-12"
    assert got.fields["nights"] == 3


def test_what_is_missing_is_asked_all_at_once_with_an_example() -> None:
    questions = taken("I want a holiday").questions
    assert [question.field for question in questions] == ["origin", "destination", "start_date", "nights", "travellers"]
    assert all(question.prompt.endswith(("?", "code")) and question.example is not None for question in questions)


@pytest.mark.parametrize(
    "said", ["$150 a night", "at least $2,000", "half a million dollars", "two thousand five hundred"]
)
def test_money_that_is_no_sum_for_the_trip_is_asked_and_not_dropped(said: str) -> None:
    got = taken(SENTENCE.replace("under 2,500 USD", said if "hundred" not in said else f"{said} euros"))
    assert [question.field for question in got.questions] == ["money_usd"]
    assert "is no sum for the whole trip: How much may" in got.questions[0].prompt
    assert asked({**WHOLE, "money_usd": said}) == ["money_usd"]
    assert taken({**WHOLE, "money_usd": "1500"}).fields["money_usd"] == 1_500.0


def test_what_is_not_understood_is_asked_and_not_dropped() -> None:
    got = taken(f"{SENTENCE}, near a place with good zorbing, no hotel")
    assert [question.field for question in got.questions] == ["interests"]
    told = "not understood: 'zorbing', 'no hotel' (understood: hiking). Name all that matters, or []: What is"
    assert got.questions[0].prompt.startswith(told)
    assert '(e.g. interests=["hiking"])' in str(render.question_text(got.questions[0]))
    for said, interests in (("zorbing, hiking", ["zorbing", "hiking"]), (["hiking"], ["hiking"]), ("", []), ([], [])):
        assert taken({**got.fields, "interests": said}).fields["interests"] == interests


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"destination": "nyc"}, "destination"),
        ({"destination": "JFK"}, "destination"),
        ({"start_date": "2020-01-01"}, "start_date"),
        ({"start_date": str(today() + timedelta(days=FARTHEST_DAYS + 1))}, "start_date"),
        ({"start_date": "9999-12-31"}, "start_date"),
        ({"nights": 0}, "nights"),
        ({"nights": 31}, "nights"),
        ({"travellers": 0}, "travellers"),
        ({"travellers": 10}, "travellers"),
        ({"end_date": str(START + timedelta(days=4))}, "end_date"),
        ({"nights": None, "end_date": str(START)}, "end_date"),
        ({"nights": None, "end_date": str(START - timedelta(days=1))}, "end_date"),
    ],
)
def test_a_broken_rule_asks_for_its_field_and_says_why(change: dict[str, Any], field: str) -> None:
    fields = {name: value for name, value in {**WHOLE, **change}.items() if value is not None}
    got = taken(fields)
    assert [question.field for question in got.questions] == [field]
    assert ":" in got.questions[0].prompt


def test_what_is_missing_and_what_is_broken_is_asked_at_once() -> None:
    broken: dict[str, Any] = {"origin": "NYC", "start_date": "2020-01-01", "nights": 99, "travellers": 0}
    asked_at_once = taken(broken).questions
    assert {question.field for question in asked_at_once} == {"destination", "start_date", "nights", "travellers"}
    prompts = {question.field: question.prompt for question in asked_at_once}
    assert prompts["nights"] == "a trip takes 1 to 30 nights, not 99: How many nights does the trip take?"


def test_an_end_date_says_the_nights_and_with_nights_the_start() -> None:
    end = START + timedelta(days=5)
    without_nights = {**WHOLE, "end_date": str(end)}
    del without_nights["nights"]
    assert taken(without_nights).fields["nights"] == 5
    without_start = {**WHOLE, "end_date": str(end)}
    del without_start["start_date"]
    assert taken(without_start).fields["start_date"] == str(end - timedelta(days=3))
    assert "end_date" not in taken(without_nights).fields


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ({"colour": "red"}, "colour"),
        ({"travellers": "many"}, "travellers"),
        ({"money_usd": -5}, "money_usd"),
        ({"money_usd": float("nan")}, "not finite"),
        ({"start_date": "soon"}, "start_date"),
        ({"origin": 7}, "origin"),
        ({"origin": ""}, "origin"),
        ({"origin": "Atlantis"}, "Atlantis"),
        ({"origin": "Springfield"}, "SGF"),
        ({"destination": "x" * 100_000}, "destination"),
        ({"interests": ["x" * 41]}, "interests"),
        ({"interests": "x" * 41}, "interests"),
        ({"interests": {"unread": "x"}}, "interests"),
        ({"end_date": 3.5}, "end_date"),
    ],
)
def test_what_is_wrong_is_refused_by_name(change: dict[str, Any], named: str) -> None:
    with pytest.raises(InvalidRequest, match=named) as refused:
        taken({**WHOLE, **change})
    assert len(str(refused.value)) < 2_000


@pytest.mark.parametrize(
    ("said", "code"),
    [
        ("new york", "NYC"), ("den", "DEN"), ("Denver", "DEN"), ("The Big Apple", "NYC"), ("Zürich", "ZRH"),
        ("zurich", "ZRH"), ("Portland, Maine", "PWM"), ("Portland, ME", "PWM"), ("Paris, TX", "PRX"),
        ("St. Louis", "STL"),        ("Paris, France", "PAR"), ("Springfield, Illinois", "SPI"), ("São Paulo", "GRU"),
    ],
)  # fmt: skip
def test_a_place_may_be_named(said: str, code: str) -> None:
    fields = {**WHOLE, "origin": "SEA" if code != "SEA" else "NYC", "destination": said}
    assert taken(fields).fields["destination"] == code


def test_a_stored_request_is_read_again_as_the_same() -> None:
    first = taken({**WHOLE, "money_usd": 2_500, "interests": ["hiking"]})
    again = taken(first.fields)
    assert again.model == first.model
    assert again.fields == first.fields


def test_every_field_that_can_be_asked_has_a_prompt_and_an_example() -> None:
    for name, field in TripRequest.model_fields.items():
        assert field.description
        assert field.examples or name == "money_source"


def test_understanding_knows_no_field_that_the_request_does_not() -> None:
    assert set(understand(SENTENCE + " €5", date(2026, 11, 23))) <= set(TripRequest.model_fields)
