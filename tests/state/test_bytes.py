"""Bytes of answers: a call gets what is left, alone; what it does not use is free; a lost answer costs nothing."""

from orchestrator import Plan, Step
from orchestrator.budget import Amount
from orchestrator.state import keys
from orchestrator.state.calls import Begun, Cost
from orchestrator.state.client import without_loop as do
from orchestrator.state.steps import Lease
from tests.state.conftest import Stores

JOB = "0" * 31 + "b"
WANTED = Cost(answer_bytes=100)


def begin(stores: Stores, lease: Lease, number: int) -> Begun:
    return do(stores.calls.begin(lease, number, "p", "t.x", WANTED))


def line(stores: Stores) -> Amount:
    return do(stores.jobs.read(JOB)).spend.answer_bytes


def opened(stores: Stores, ceiling: int) -> Lease:
    stores.open(Plan([Step("a")]), JOB, answer_bytes=ceiling)
    return stores.claim(JOB, "a")


def test_calls_go_side_by_side_while_the_largest_answer_fits_and_then_one_by_one(stores: Stores) -> None:
    lease = opened(stores, 250)
    assert [begin(stores, lease, number).cost.answer_bytes for number in (1, 2)] == [100, 100]
    assert begin(stores, lease, 3).answer == "BUSY"  # 50 are left, and others may not use theirs
    assert [call["number"] for call in do(stores.jobs.calls(JOB))] == [1, 2]
    do(stores.calls.settle(lease, 1, "done", "x" * 98, WANTED))
    assert begin(stores, lease, 3).answer == "BUSY"
    do(stores.calls.settle(lease, 2, "done", "x" * 88, WANTED))
    third = begin(stores, lease, 3)
    assert (third.answer, third.cost.answer_bytes, line(stores)) == ("GO", 60, Amount(190, 60, 250))
    assert begin(stores, lease, 4).answer == "BUSY"
    do(stores.calls.settle(lease, 3, "unknown", None, third.cost))  # it was cut off: all 60 were read
    over = begin(stores, lease, 4).over
    assert str(over) == "answer bytes 250 of 250"
    assert line(stores) == Amount(250, 0, 250)


def test_what_is_refused_or_not_sent_or_never_answered_costs_what_came_of_it(stores: Stores) -> None:
    lease = opened(stores, 1_000)
    for number, state, value in ((1, "rejected", "no"), (2, "unsent", None), (3, "unknown", None)):
        begin(stores, lease, number)
        cost = WANTED if state == "rejected" else Cost()
        do(stores.calls.settle(lease, number, state, value, cost))  # pyright: ignore[reportArgumentType] - a State
    assert line(stores) == Amount(4, 0, 1_000)  # "no" with its quotes


def test_the_bytes_of_a_dead_holder_are_free_again_though_its_call_counts_as_sent(stores: Stores) -> None:
    lease = opened(stores, 60)
    assert begin(stores, lease, 1).cost.answer_bytes == 60
    stores.command("HSET", keys.job(JOB), "a.until", 1)  # it died
    next_one = stores.claim(JOB, "a")
    again = begin(stores, next_one, 1)
    assert (again.answer, again.cost.answer_bytes) == ("AGAIN", 60)
    assert do(stores.jobs.read(JOB)).spend.tool_calls == Amount(1, 1, None)
    stores.command("ZADD", keys.INDEXES["begun"], 1, f"{JOB}.a:1")
    stores.command("HSET", keys.job(JOB), "a.until", 1)  # this one too, and the sweeper comes first
    do(stores.sweeper.sweep())
    assert line(stores) == Amount(0, 0, 60)
    last = stores.claim(JOB, "a")
    begin(stores, last, 1)
    do(stores.jobs.cancel(JOB))
    assert line(stores) == Amount(0, 0, 60)


def test_the_warning_is_about_what_came_not_about_what_might_come(stores: Stores) -> None:
    lease = opened(stores, 100)
    assert begin(stores, lease, 1).low == ()
    do(stores.calls.settle(lease, 1, "done", "x" * 78, WANTED))
    assert begin(stores, lease, 2).low == ("answer_bytes",)


def test_without_a_ceiling_the_bytes_are_counted_and_nobody_waits(stores: Stores) -> None:
    lease = opened(stores, -1)
    for number in range(1, 9):
        assert begin(stores, lease, number).answer == "GO"
    do(stores.calls.settle(lease, 1, "done", "x" * 40, WANTED))
    assert line(stores) == Amount(42, 700, None)
