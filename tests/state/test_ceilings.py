"""Ceilings of single tools, kinds of tokens, and the warning at 80 %."""

from typing import Any

import pytest

from orchestrator import InvalidRequest, Plan, Step
from orchestrator.answers import match
from orchestrator.budget import LARGEST, Over, Spend
from orchestrator.state.calls import Cost
from orchestrator.state.client import without_loop as do
from orchestrator.state.records import Question
from orchestrator.state.steps import Ending, Lease
from tests.state.conftest import Stores
from workers.ceiling import question

JOB = "0" * 31 + "7"
PLAN = Plan([Step("a"), Step("b", after=["a"])])


def spend(stores: Stores) -> Spend:
    return do(stores.jobs.read(JOB)).spend


def warnings(stores: Stores) -> list[dict[str, Any]]:
    return [event.data for event in do(stores.jobs.events(JOB)) if event.type == "budget"]


def begin(stores: Stores, lease: Lease, number: int, cost: Cost) -> tuple[str, str]:
    begun = do(stores.calls.begin(lease, number, "p", "t.x", cost))
    return begun.answer, str(begun.over or begun.before)


def test_a_tool_has_a_ceiling_of_its_own_beside_that_of_all(stores: Stores) -> None:
    stores.open(PLAN, JOB, tool_calls=3, **{"tools/t.book*": 1, "tools/t.*": 2})
    claim = do(stores.steps.claim(JOB, "a"))
    assert set(claim.globs) == {"t.book*", "t.*"}
    lease = Lease(JOB, "a", claim.fence)
    book, other = Cost(globs=("t.book*", "t.*")), Cost(globs=("t.*",))
    assert begin(stores, lease, 1, book) == ("GO", "")
    assert begin(stores, lease, 2, book) == ("OVER", "calls of t.book* 1 of 1")
    assert begin(stores, lease, 3, other) == ("GO", "")
    assert begin(stores, lease, 4, other) == ("OVER", "calls of t.* 2 of 2")
    assert begin(stores, lease, 5, Cost()) == ("GO", "")
    assert begin(stores, lease, 6, Cost()) == ("OVER", "tool calls 3 of 3")
    assert do(stores.calls.settle(lease, 1, "done", {}, book)) == "OK"
    assert do(stores.calls.settle(lease, 3, "unsent", None, other)) == "OK"
    tools = spend(stores).tools
    assert (tools["t.book*"].spent, tools["t.book*"].reserved, tools["t.book*"].free) == (1, 0, 0)
    assert (tools["t.*"].spent, tools["t.*"].reserved, tools["t.*"].free) == (1, 0, 1)
    do(stores.jobs.cancel(JOB))  # what is still out counts as spent, on every line
    assert spend(stores).tool_calls.spent == 2
    assert all(line.reserved == 0 for line in spend(stores).lines.values())


@pytest.mark.parametrize(("ceilings", "told"), [({}, []), ({"usd": 0}, ["t.x", "t.y"]), ({"usd": 5}, ["t.x", "t.y"])])
def test_that_a_tool_counts_as_nothing_is_told_once_where_money_has_a_ceiling(
    stores: Stores, ceilings: dict[str, int], told: list[str]
) -> None:
    stores.open(PLAN, JOB, **ceilings)
    lease, priced, free = stores.claim(JOB, "a"), Cost(), Cost(unpriced=True)
    calls = [("t.x", priced), ("t.x", free), ("t.y", free), ("t.x", free), ("t.y", free)]
    news = [
        tool
        for number, (tool, cost) in enumerate(calls, 1)
        if do(stores.calls.begin(lease, number, "p", tool, cost)).unpriced
    ]
    events = [event.data for event in do(stores.jobs.events(JOB)) if event.type == "unpriced"]
    kept = do(stores.jobs.read(JOB)).fields.get("unpriced", "")
    assert (news, events, kept) == (told, told, "".join(f"{tool}," for tool in told))
    assert spend(stores).usd.spent == 0


def test_input_and_output_tokens_have_ceilings_and_count_together(stores: Stores) -> None:
    stores.open(PLAN, JOB, tokens=100, input_tokens=80, output_tokens=50)
    lease = stores.claim(JOB, "a")
    bound = Cost(tool_calls=0, input_tokens=60, output_tokens=30)
    assert begin(stores, lease, 1, bound) == ("GO", "")
    assert begin(stores, lease, 2, Cost(0, output_tokens=21)) == ("OVER", "output tokens 30 of 50")
    assert do(stores.calls.settle(lease, 1, "done", {}, Cost(0, input_tokens=60, output_tokens=5))) == "OK"
    assert begin(stores, lease, 3, Cost(0, input_tokens=21)) == ("OVER", "input tokens 60 of 80")
    assert begin(stores, lease, 4, Cost(0, input_tokens=20, output_tokens=15)) == ("GO", "")
    assert begin(stores, lease, 5, Cost(0, output_tokens=1)) == ("OVER", "tokens 100 of 100")
    assert spend(stores).of("tokens").free == 0


def test_what_cost_more_than_was_reserved_is_charged_and_recorded_once(stores: Stores) -> None:
    stores.open(PLAN, JOB, output_tokens=100)
    lease = stores.claim(JOB, "a")
    assert begin(stores, lease, 1, Cost(0, input_tokens=60, output_tokens=30)) == ("GO", "")
    used = Cost(0, input_tokens=10, output_tokens=500)
    assert (
        do(stores.calls.settle(lease, 1, "done", {}, used)) == "OVERRUN 500 output tokens, at most 30 could be expected"
    )
    assert do(stores.calls.settle(lease, 1, "done", {}, used)) == "OK"
    assert (spend(stores).output_tokens.spent, spend(stores).tokens.spent) == (500, 510)
    said = [event.data for event in do(stores.jobs.events(JOB)) if event.type == "overrun"]
    assert said == [{"kind": "output_tokens", "number": 1, "used": 500}, {"kind": "tokens", "number": 1, "used": 510}]
    assert begin(stores, lease, 2, Cost(0, output_tokens=1)) == ("OVER", "output tokens 500 of 100")


def test_the_largest_amounts_are_counted_exactly(stores: Stores) -> None:
    stores.open(PLAN, JOB, usd=LARGEST)
    lease = stores.claim(JOB, "a")
    cost = Cost(micro_usd=LARGEST - 1)
    assert begin(stores, lease, 1, cost) == ("GO", "")
    assert spend(stores).usd.free == 1
    assert do(stores.calls.settle(lease, 1, "done", {}, cost)) == "OK"
    assert (spend(stores).usd.spent, spend(stores).usd.reserved) == (LARGEST - 1, 0)
    assert begin(stores, lease, 2, Cost(micro_usd=2))[0] == "OVER"
    assert begin(stores, lease, 3, Cost(micro_usd=1))[0] == "GO"


def test_at_80_per_cent_it_warns_once_a_kind_and_again_after_a_raise(stores: Stores) -> None:
    stores.open(PLAN, JOB, steps=2, tool_calls=5)
    lease = stores.claim(JOB, "a")
    low = [do(stores.calls.begin(lease, number, "p", "t.x", Cost())).low for number in range(1, 6)]
    assert low == [(), (), (), ("tool_calls",), ()]
    assert warnings(stores) == [{"kind": "tool_calls", "used": 4, "ceiling": 5}]
    assert begin(stores, lease, 6, Cost())[0] == "OVER"
    do(stores.steps.commit(lease, Ending("failed", {}, "tool calls 5 of 5", "budget")))
    do(stores.jobs.resume(JOB, {"tool_calls": 10, "tools/t.*": 4}, None))
    assert do(stores.jobs.read(JOB)).spend.tools["t.*"].free == 4
    lease = stores.claim(JOB, "a")
    for number in range(7, 10):
        begin(stores, lease, number, Cost())
    assert warnings(stores)[1:] == [{"kind": "tool_calls", "used": 8, "ceiling": 10}]
    do(stores.steps.commit(lease, Ending("succeeded", {})))
    assert do(stores.steps.claim(JOB, "b")).low
    assert warnings(stores)[2:] == [{"kind": "steps", "used": 2, "ceiling": 2}]


def test_a_step_that_was_claimed_while_its_job_finishes_has_not_been_paid_for_that(stores: Stores) -> None:
    beside = [Step("a"), Step("b"), Step("c"), Step("d", after=["a", "b", "c"])]
    stores.open(Plan(beside), JOB, at_ceiling="finish", steps=9)
    paid = stores.claim(JOB, "b")
    do(stores.steps.give_back(paid, 1))
    do(stores.steps.commit(stores.claim(JOB, "a"), Ending("failed", {}, "tool calls 0 of 0", "finish")))
    do(stores.steps.give_back(stores.claim(JOB, "c"), 1))  # as when its worker stops before it has left the step out
    claims = {name: do(stores.steps.claim(JOB, name)) for name in "bc"}
    assert {name: (claim.finishing, bool(claim.before), claim.paid) for name, claim in claims.items()} == {
        "b": ("tool calls 0 of 0", True, True),
        "c": ("tool calls 0 of 0", True, False),
    }
    assert spend(stores).steps.spent == 2


def over(stores: Stores, lease: Lease) -> Question:
    begun = do(stores.calls.begin(lease, 1, "p", "t.x", Cost()))
    assert begun.over is not None
    return question(lease.step, begun.over)


def test_a_step_that_asks_for_what_was_raised_meanwhile_runs_on(stores: Stores) -> None:
    stores.open(Plan([Step("a"), Step("b")]), JOB, tool_calls=0)
    first, second = stores.claim(JOB, "a"), stores.claim(JOB, "b")
    asked, too_late = over(stores, first), over(stores, second)
    assert do(stores.steps.park(first, [asked])) == "OK"
    raised = {asked.id: {"tool_calls": 5}}
    assert do(stores.jobs.answer(JOB, {asked.id: 5}, ceilings=raised)) == ["a"]
    assert do(stores.steps.park(second, [too_late])) == "ANSWERED"
    assert do(stores.jobs.read(JOB)).questions == []


def test_an_old_answer_again_does_not_lower_what_was_raised_since(stores: Stores) -> None:
    stores.open(Plan([Step("a")]), JOB, tool_calls=0)
    lease = stores.claim(JOB, "a")
    first = over(stores, lease)
    do(stores.steps.park(lease, [first]))
    for _ in range(2):
        do(stores.jobs.answer(JOB, {first.id: 1}, ceilings={first.id: {"tool_calls": 1}}))
    lease = stores.claim(JOB, "a")
    assert begin(stores, lease, 1, Cost()) == ("GO", "")
    begun = do(stores.calls.begin(lease, 2, "p", "t.x", Cost()))
    assert begun.over is not None
    second = question("a", begun.over)
    assert second.id != first.id
    do(stores.steps.park(lease, [second]))
    do(stores.jobs.answer(JOB, {second.id: 9}, ceilings={second.id: {"tool_calls": 9}}))
    do(stores.jobs.answer(JOB, {first.id: 1}, ceilings={first.id: {"tool_calls": 1}}))
    assert spend(stores).tool_calls.ceiling == 9


def test_who_answers_lower_than_it_was_raised_meanwhile_lowers_nothing(stores: Stores) -> None:
    stores.open(Plan([Step("a"), Step("b")]), JOB, tool_calls=0)
    first, second = stores.claim(JOB, "a"), stores.claim(JOB, "b")
    asked, other = over(stores, first), over(stores, second)
    do(stores.steps.park(first, [asked]))
    do(stores.steps.park(second, [other]))
    assert do(stores.jobs.answer(JOB, {asked.id: 3}, ceilings={asked.id: {"tool_calls": 3}})) == ["a"]
    lease = stores.claim(JOB, "a")
    assert [begin(stores, lease, number, Cost())[0] for number in (1, 2, 3, 4)] == ["GO", "GO", "GO", "OVER"]
    assert do(stores.jobs.answer(JOB, {other.id: 2}, ceilings={other.id: {"tool_calls": 2}})) == ["b"]
    assert (spend(stores).tool_calls.ceiling, spend(stores).tool_calls.free) == (3, 0)


def test_ceilings_that_come_with_an_answer_are_raised_although_others_gave_it_before(stores: Stores) -> None:
    stores.open(Plan([Step("a")]), JOB, tool_calls=0, tokens=10, usd=10)
    lease = stores.claim(JOB, "a")
    asked = over(stores, lease)
    do(stores.steps.park(lease, [asked]))
    raised = {asked.id: {"tool_calls": 5}}
    assert do(stores.jobs.answer(JOB, {asked.id: 5}, ceilings=raised)) == ["a"]
    for _ in range(2):
        assert do(stores.jobs.answer(JOB, {asked.id: 5}, more={"tool_calls": 5, "tokens": 20, "usd": 9})) == []
        assert [spend(stores).of(kind).ceiling for kind in ("tool_calls", "tokens", "usd")] == [5, 20, 10]
    with pytest.raises(InvalidRequest, match="answered"):
        do(stores.jobs.answer(JOB, {asked.id: 6}, more={"tokens": 30}))
    assert spend(stores).tokens.ceiling == 20


def test_a_step_that_was_given_out_only_to_ask_is_not_counted(stores: Stores) -> None:
    stores.open(Plan([Step("a")]), JOB, at_ceiling="ask", steps=0)
    claim = do(stores.steps.claim(JOB, "a"))
    assert claim.over is not None
    assert claim.over == Over("steps", "0", "0")
    lease = Lease(JOB, "a", claim.fence)
    asked = question("a", claim.over)
    do(stores.steps.park(lease, [asked]))
    assert spend(stores).steps.spent == 0
    do(stores.jobs.answer(JOB, {asked.id: 1}, ceilings={asked.id: {"steps": 1}}))
    claim = do(stores.steps.claim(JOB, "a"))
    assert (claim.over, spend(stores).steps.spent) == (None, 1)
    do(stores.steps.release(Lease(JOB, "a", claim.fence), delay_s=0, grace_s=0, why={}))
    stores.claim(JOB, "a")
    assert spend(stores).steps.spent == 1


def test_money_is_asked_and_raised_in_dollars(stores: Stores) -> None:
    stores.open(Plan([Step("a")]), JOB, usd=1_500_000)
    lease = stores.claim(JOB, "a")
    begin(stores, lease, 1, Cost(micro_usd=1_500_000))
    begun = do(stores.calls.begin(lease, 2, "p", "t.x", Cost(micro_usd=1)))
    assert begun.over is not None
    asked = question("a", begun.over)
    assert asked.prompt.startswith("usd 1.5 of 1.5 are used")
    do(stores.steps.park(lease, [asked]))
    record = do(stores.jobs.read(JOB))
    assert match(record, {"usd": 2.25}).ceilings == {asked.id: {"usd": 2_250_000}}
    with pytest.raises(InvalidRequest, match="usd"):
        match(record, {"usd": 1.5})
    do(stores.jobs.answer(JOB, {asked.id: 2.01}, ceilings={asked.id: {"usd": 2_010_000}}))
    assert match(do(stores.jobs.read(JOB)), {"usd": 2.01}).answers == {}  # the same again, 2.01 * 10**6 is not whole
