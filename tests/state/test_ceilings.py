"""Ceilings of single tools, kinds of tokens, and the warning at 80 %."""

from typing import Any

from orchestrator import Plan, Step
from orchestrator.budget import LARGEST, Spend
from orchestrator.state.calls import Cost
from orchestrator.state.client import without_loop as do
from orchestrator.state.steps import Ending, Lease
from tests.state.conftest import Stores

JOB = "0" * 31 + "7"
PLAN = Plan([Step("a"), Step("b", after=["a"])])


def spend(stores: Stores) -> Spend:
    return do(stores.jobs.read(JOB)).spend


def warnings(stores: Stores) -> list[dict[str, Any]]:
    return [event.data for event in do(stores.jobs.events(JOB)) if event.type == "budget"]


def begin(stores: Stores, lease: Lease, number: int, cost: Cost) -> tuple[str, str]:
    begun = do(stores.calls.begin(lease, number, "p", "t.x", cost))
    return begun.answer, begun.before


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
    stores.claim(JOB, "b")
    assert warnings(stores)[2:] == [{"kind": "steps", "used": 2, "ceiling": 2}]
