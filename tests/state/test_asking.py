"""What a step asks people: all it lacks at once, each answer once, an approval for exactly what was shown."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import Any

import pytest
from pydantic import BaseModel, Field, model_validator
from pydantic_core import PydanticCustomError

from orchestrator import InvalidRequest, Plan
from orchestrator.state.client import without_loop as do
from orchestrator.state.records import Question
from orchestrator.state.steps import Lease
from tests.state.conftest import Stores
from workers.asking import Asking, Patience
from workers.verdict import Parked, Stop, Verdict

JOB = "0" * 31 + "8"
ANY_TIME = Patience()


class Stay(BaseModel):
    nights: int = Field(description="how many nights?", examples=[3], ge=1)
    rooms: int = Field(description="how many rooms?")
    breakfast: bool = False

    @model_validator(mode="after")
    def _enough(self) -> "Stay":
        if self.rooms > 3 * self.nights:
            raise PydanticCustomError("rule", "too many rooms", {"field": "rooms"})
        return self


class Step:
    """Attempts of one step, one after the other, each answered by people in between."""

    def __init__(self, stores: Stores) -> None:
        self.stores = stores
        stores.open(Plan.chain("a"), JOB)

    def attempt(self, act: Callable[[Asking], Awaitable[Any]]) -> Any:
        """What the specialist's code gets; or the questions with which it is parked."""
        lease = self.stores.claim(JOB, "a")

        async def run() -> Any:
            try:
                return await act(Asking(self.stores.calls, lease, lacking))
            except Stop as stop:
                return await self.park(lease, stop.verdict)

        answer = asyncio.run(run())
        if not isinstance(answer, list) or not answer or not isinstance(answer[0], Question):
            self.stores.command("HSET", f"sf:{{0}}:job:{JOB}", "a.until", 1)  # free for the next attempt
        return answer

    async def park(self, lease: Lease, verdict: Verdict) -> list[Question]:
        assert isinstance(verdict, Parked)
        assert await self.stores.steps.park(lease, verdict.questions) == "OK"
        return (await self.stores.jobs.read(JOB)).questions

    def answer(self, **answers: Any) -> None:
        open_now = {question.field: question.id for question in do(self.stores.jobs.read(JOB)).questions}
        do(self.stores.jobs.answer(JOB, {open_now[field]: value for field, value in answers.items()}, by="ann"))


async def lacking(questions: Sequence[Question]) -> None:
    raise Stop(Parked(questions))


@pytest.fixture
def step(stores: Stores) -> Step:
    return Step(stores)


def test_a_model_is_asked_field_by_field_all_at_once(step: Step) -> None:
    asked = step.attempt(lambda asking: asking.ask(Stay, "", None, ANY_TIME))
    assert [(q.id, q.field, q.kind, q.step) for q in asked] == [
        ("a/nights", "nights", "input", "a"),
        ("a/rooms", "rooms", "input", "a"),
    ]
    nights = asked[0]
    assert (nights.prompt, nights.example, nights.schema["minimum"]) == ("how many nights?", 3, 1)
    step.answer(nights=2)
    step.answer(rooms=1)
    assert step.attempt(lambda asking: asking.ask(Stay, "", None, ANY_TIME)) == Stay(nights=2, rooms=1)


def test_answers_that_together_break_a_rule_are_asked_again_with_the_reason(step: Step) -> None:
    step.attempt(lambda asking: asking.ask(Stay, "", None, ANY_TIME))
    step.answer(nights=1, rooms=9)
    (again,) = step.attempt(lambda asking: asking.ask(Stay, "", None, ANY_TIME))
    assert (again.id, again.field, again.prompt) == ("a/2/rooms", "rooms", "too many rooms: how many rooms?")
    step.answer(rooms=2)
    assert step.attempt(lambda asking: asking.ask(Stay, "", None, ANY_TIME)) == Stay(nights=1, rooms=2)


def test_what_is_asked_side_by_side_is_asked_at_once(step: Step) -> None:
    async def both(asking: Asking) -> Any:
        names = ("one", "two", "three")
        return await asyncio.gather(*(asking.ask(name, "", None, ANY_TIME) for name in names))

    assert {question.field for question in step.attempt(both)} == {"one", "two", "three"}
    step.answer(one=1, two=2, three=3)
    assert step.attempt(both) == [1, 2, 3]


def test_who_goes_from_call_to_call_holds_no_question_back_and_what_it_asks_next_is_asked_too(step: Step) -> None:
    async def restless(asking: Asking) -> None:
        while True:
            with asking.beside():
                await asyncio.sleep(0)

    async def asks_behind_a_call(asking: Asking) -> Any:
        with asking.beside():
            await asyncio.sleep(0)
        return await asking.ask("two", "", None, ANY_TIME)

    async def all_three(asking: Asking) -> Any:
        async with asyncio.timeout(60):
            one = asking.ask("one", "", None, ANY_TIME)
            return await asyncio.gather(restless(asking), asks_behind_a_call(asking), one)

    assert {question.field for question in step.attempt(all_three)} == {"one", "two"}


def test_an_approval_is_for_exactly_these_details_and_survives_attempts(step: Step) -> None:
    async def book(asking: Asking, usd: int, hotel: str = "Ritz") -> Any:
        return await asking.approve("book it?", {"hotel": hotel, "usd": usd}, None)

    (asked,) = step.attempt(lambda asking: book(asking, 100))
    assert (asked.kind, asked.schema, asked.details) == ("approval", {"type": "boolean"}, {"hotel": "Ritz", "usd": 100})
    step.answer(**{asked.field: True})
    for _ in range(3):  # later attempts, for whatever reason, do not ask again
        assert step.attempt(lambda asking: book(asking, 100)) is True

    (other,) = step.attempt(lambda asking: book(asking, 101))
    assert other.id != asked.id
    step.answer(**{other.field: False})
    assert step.attempt(lambda asking: book(asking, 101)) is False
    (elsewhere,) = step.attempt(lambda asking: book(asking, 100, "Plaza"))
    assert elsewhere.id not in {asked.id, other.id}


def test_an_approval_is_used_once(step: Step) -> None:
    async def twice(asking: Asking) -> Any:
        first = await asking.approve("pay?", {"usd": 5}, None)
        return first, await asking.approve("pay?", {"usd": 5}, None)

    (first,) = step.attempt(twice)
    step.answer(**{first.field: True})
    (second,) = step.attempt(twice)
    assert second.field == f"{first.field}-2"
    step.answer(**{second.field: False})
    assert step.attempt(twice) == (True, False)


def test_details_in_another_order_are_the_same_details(step: Step) -> None:
    (asked,) = step.attempt(lambda asking: asking.approve("pay?", {"usd": 5, "to": {"b": 1, "a": 2}}, None))
    step.answer(**{asked.field: True})
    assert step.attempt(lambda asking: asking.approve("pay?", {"to": {"a": 2, "b": 1}, "usd": 5}, None)) is True


def test_a_deadline_brings_its_default_a_no_or_the_job_s_end(step: Step) -> None:
    async def all_three(asking: Asking) -> Any:
        default = Patience(60, {"nights": 2, "rooms": 1})
        return await asyncio.gather(
            asking.ask(Stay, "", None, default),
            asking.approve("pay?", 1, 60.0),
            asking.ask("must", "", None, Patience(60)),
        )

    asked = step.attempt(all_three)
    assert {q.field.partition("-")[0]: q.otherwise for q in asked} == {
        "nights": "2", "rooms": "1", "approve": "false", "must": "",
    }  # fmt: skip
    assert {q.deadline_s for q in asked} == {60}


@pytest.mark.parametrize("deadline_s", [0, -1, float("nan"), float("inf"), 1e30])
def test_a_deadline_that_is_none_is_refused(deadline_s: float) -> None:
    with pytest.raises(InvalidRequest, match="deadline_s must be more than 0"):
        Patience(deadline_s)


def test_a_default_without_a_deadline_is_refused() -> None:
    with pytest.raises(InvalidRequest, match="say deadline_s too"):
        Patience(None, 3)
