"""A job's end settles everything, whatever was going on; resuming it goes on from there."""

import pytest

from orchestrator import Plan, Step
from orchestrator.state import keys
from orchestrator.state.calls import Cost
from orchestrator.state.client import without_loop as do
from orchestrator.state.steps import Ending
from orchestrator.status import JobStatus
from tests.state.conftest import Stores

JOB = "0" * 31 + "2"
PLAN = Plan([Step("a"), Step("b"), Step("c", after=["a", "b"])])
DONE = Ending("succeeded", {"ok": 1})


def pass_the_deadline(stores: Stores) -> None:
    stores.command("ZADD", keys.INDEXES["deadlines"], 1, JOB)
    stores.command("HSET", keys.job(JOB), "deadline", 1)
    assert do(stores.sweeper.sweep()).expired_jobs == 1


@pytest.mark.parametrize("how", ["cancelled", "failed"])
def test_what_ran_at_the_end_is_held_by_nobody_and_is_not_redriven(stores: Stores, how: str) -> None:
    stores.open(PLAN, JOB, tool_calls=5, seconds=3600)
    held = [stores.claim(JOB, name) for name in "ab"]
    do(stores.calls.begin(held[0], 1, "p", "t.x", Cost()))

    if how == "cancelled":
        do(stores.jobs.cancel(JOB))
    else:
        pass_the_deadline(stores)

    assert stores.command("ZCARD", keys.INDEXES["leases"]) == 0
    assert do(stores.steps.renew(held)) == held
    assert {do(stores.steps.commit(lease, DONE)).answer for lease in held} == {"DEAD"}
    assert not do(stores.sweeper.sweep())
    line = do(stores.jobs.read(JOB)).spend.tool_calls
    assert (line.spent, line.reserved) == (1, 0)  # it may have been sent
    assert do(stores.jobs.status(JOB)) is JobStatus(how)


def test_the_last_of_a_great_many_steps_are_let_go_too(stores: Stores) -> None:
    stores.open(Plan([Step("a", f"a{n}") for n in range(2_000)]), JOB, seconds=3600)
    for name in ("a998", "a1001"):
        stores.claim(JOB, name)
    pass_the_deadline(stores)
    assert do(stores.jobs.read(JOB)).fields["failing"] == "a998"
    assert stores.command("ZCARD", keys.INDEXES["leases"]) == 0
    assert stores.command("KEYS", keys.FAMILIES["ready"] + "*") == []


@pytest.mark.parametrize("how", ["cancelled", "failed"])
def test_nobody_waits_any_more_for_the_queued_steps_of_a_job_that_has_ended(stores: Stores, how: str) -> None:
    stores.open(PLAN, JOB, seconds=3600)
    stores.open(PLAN, other := JOB[:-1] + "3")
    lease = stores.claim(JOB, "a")
    if how == "cancelled":
        do(stores.jobs.cancel(JOB))
    else:
        do(stores.steps.commit(lease, Ending("failed", {"kind": "x"}, "x")))
    assert do(stores.jobs.status(JOB)) is JobStatus(how)
    queues = keys.FAMILIES["ready"]
    waiting = [stores.command("ZRANGE", f"{queues}{queue}", 0, -1) for queue in "ab"]
    assert waiting == [[f"{other}.{step}".encode()] for step in "ab"]
    assert do(stores.steps.claim(JOB, "b")).answer == "DEAD"


def test_a_call_that_the_end_cut_off_is_charged_once_and_may_be_sent_again(stores: Stores) -> None:
    stores.open(PLAN, JOB, tool_calls=2, seconds=3600)
    lease = stores.claim(JOB, "a")
    do(stores.calls.begin(lease, 1, "p", "t.x", Cost()))
    pass_the_deadline(stores)
    do(stores.jobs.resume(JOB, {}, 3600))

    lease = stores.claim(JOB, "a")
    begun = do(stores.calls.begin(lease, 1, "p", "t.x", Cost()))
    assert (begun.answer, begun.before) == ("AGAIN", "unknown")
    assert do(stores.calls.settle(lease, 1, "done", {"n": 7}, Cost())) == "OK"
    line = do(stores.jobs.read(JOB)).spend.tool_calls
    assert (line.spent, line.reserved) == (2, 0)
    assert do(stores.calls.begin(lease, 2, "p", "t.x", Cost())).answer == "OVER"
