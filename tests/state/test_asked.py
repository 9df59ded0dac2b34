"""A call whose tool asked people: kept and paid once, never sent again, no effect, and gone on with by another call."""

from typing import Any

import pytest

from orchestrator import Plan, Step
from orchestrator.state.calls import NOTHING, Cost
from orchestrator.state.client import without_loop as do
from orchestrator.state.steps import Ending, Lease
from tests.state.conftest import Stores
from tests.state.scenes import JOB
from workers.replay import continues

KEPT: dict[str, Any] = {"questions": [{"key": "k", "message": "which?", "schema": {}}], "request_state": "s"}


@pytest.fixture
def lease(stores: Stores) -> Lease:
    stores.open(Plan([Step("a"), Step("b", after=["a"])]), JOB, tool_calls=5)
    lease = stores.claim(JOB, "a")
    assert do(stores.calls.begin(lease, 1, "p", "t.x", Cost(), "keyed")).answer == "GO"
    return lease


def spent(stores: Stores) -> tuple[int, int]:
    line = do(stores.jobs.read(JOB)).spend.tool_calls
    return line.spent, line.reserved


def states(stores: Stores, lease: Lease) -> list[tuple[int, str, str]]:
    return [(row.number, row.asked, row.state) for row in do(stores.calls.recall(lease))]


def test_it_is_kept_and_paid_once_and_never_sent_again(stores: Stores, lease: Lease) -> None:
    assert do(stores.calls.settle(lease, 1, "asked", KEPT, Cost())) == "OK"
    once = stores.dump()
    for state in ("asked", "done", "unknown", "unsent"):  # the first stays
        assert do(stores.calls.settle(lease, 1, state, None, Cost())) == "OK"
    begun = do(stores.calls.begin(lease, 1, "p", "t.x", Cost(), "keyed"))
    assert (begun.answer, begun.before, begun.value) == ("REPLAY", "asked", KEPT)
    assert stores.dump() == once
    assert spent(stores) == (1, 0)
    assert [event.data for event in do(stores.jobs.events(JOB)) if event.type == "call"] == [
        {"tool": "t.x", "number": 1, "outcome": "asked"}
    ]


def test_what_goes_on_with_it_is_a_call_of_its_own(stores: Stores, lease: Lease) -> None:
    do(stores.calls.settle(lease, 1, "asked", KEPT, Cost()))
    assert do(stores.calls.begin(lease, 2, continues(1), "t.x", Cost(), "keyed")).answer == "GO"
    assert do(stores.calls.begin(lease, 2, continues(9), "t.x", Cost(), "keyed")).answer == "DIVERGED"
    do(stores.calls.settle(lease, 2, "done", {"ok": 1}, Cost()))
    assert states(stores, lease) == [(1, "p", "asked"), (2, "continues 1", "done")]
    assert spent(stores) == (2, 0)


def test_of_a_call_whose_holder_died_it_can_be_learned_later_and_costs_nothing_more(
    stores: Stores, lease: Lease
) -> None:
    stores.command("HSET", f"sf:{{0}}:job:{JOB}", "a.until", 0)
    now = stores.claim(JOB, "a")
    assert do(stores.calls.settle(lease, 1, "asked", KEPT, Cost())) == "STALE"
    assert do(stores.calls.settle(now, 1, "asked", KEPT, NOTHING)) == "OK"
    assert states(stores, now) == [(1, "p", "asked")]
    assert spent(stores) == (1, 0)


@pytest.mark.parametrize(("gone_on_with", "undone"), [(None, ()), ("rejected", ()), ("done", ("a",))])
def test_it_is_no_effect_what_went_on_with_it_is(
    stores: Stores, lease: Lease, gone_on_with: Any, undone: tuple[str, ...]
) -> None:
    do(stores.calls.settle(lease, 1, "asked", KEPT, Cost()))
    if gone_on_with:
        do(stores.calls.begin(lease, 2, continues(1), "t.x", Cost(), "keyed"))
        do(stores.calls.settle(lease, 2, gone_on_with, None, Cost()))
    do(stores.jobs.cancel(JOB))
    assert do(stores.jobs.read(JOB)).undo.steps == undone


def test_a_job_that_failed_and_is_resumed_still_has_it(stores: Stores, lease: Lease) -> None:
    do(stores.calls.settle(lease, 1, "asked", KEPT, Cost()))
    do(stores.steps.commit(lease, Ending("failed", {"kind": "x", "message": "x"}, "x")))
    do(stores.jobs.resume(JOB, {}, None))
    assert states(stores, stores.claim(JOB, "a")) == [(1, "p", "asked")]
