"""What dead attempts leave in the ledger, what people are asked about, what is counted, and whose turn it is."""

import pytest

from orchestrator import Plan, Step
from orchestrator.state import keys
from orchestrator.state.calls import Cost
from orchestrator.state.client import without_loop as do
from orchestrator.state.presence import PresenceStore
from orchestrator.state.records import Question
from orchestrator.state.steps import Ending
from orchestrator.status import JobStatus
from tests.state.conftest import Stores
from tests.state.test_sweep import DONE, JOB, OTHER, PAIR, let_lease_run_out, swept
from tests.support.waiting import wait_until

CALL = Cost(micro_usd=100)


def spend(stores: Stores) -> tuple[int, int]:
    line = do(stores.jobs.read(JOB)).spend.tool_calls
    return line.spent, line.reserved


def call_may_be_orphaned(stores: Stores) -> None:
    """The lease under which it was begun would be over by now, had it not been renewed."""
    stores.command("ZADD", keys.INDEXES["begun"], 1, f"{JOB}.a:1")


def test_a_call_under_a_lease_that_is_kept_stays_reserved(stores: Stores) -> None:
    stores.open(PAIR, JOB, tool_calls=3)
    lease = stores.claim(JOB, "a")
    do(stores.calls.begin(lease, 1, "p", "t.x", CALL))
    call_may_be_orphaned(stores)
    assert not swept(stores)
    until = stores.command("HGET", keys.job(JOB), "a.until")
    assert stores.command("ZSCORE", keys.INDEXES["begun"], f"{JOB}.a:1") == until, "it is looked at again then"
    assert spend(stores) == (0, 1)
    do(stores.calls.settle(lease, 1, "done", 1, CALL))
    assert (spend(stores), stores.command("ZCARD", keys.INDEXES["begun"])) == ((1, 0), 0)


@pytest.mark.parametrize(
    "how", ["its holder died", "given back", "the step waits", "another attempt goes on", "it ended"]
)
def test_what_an_orphaned_call_reserved_is_spent(stores: Stores, how: str) -> None:
    stores.open(PAIR, JOB, tool_calls=3)
    lease = stores.claim(JOB, "a")
    do(stores.calls.begin(lease, 1, "p", "t.x", CALL))
    if how in {"its holder died", "another attempt goes on"}:
        let_lease_run_out(stores, lease)
    if how == "another attempt goes on":
        stores.claim(JOB, "a")
    if how == "given back":
        do(stores.steps.release(lease, delay_s=9, grace_s=9, why={"message": "x"}))
    if how == "the step waits":
        do(stores.steps.park(lease, [Question("a/day", "day", "which?", step="a")]))
        do(stores.steps.commit(stores.claim(JOB, "b"), DONE))
        assert do(stores.jobs.status(JOB)) is JobStatus.WAITING
    if how == "it ended":
        do(stores.steps.commit(lease, DONE))
    call_may_be_orphaned(stores)

    assert spend(stores) == (0, 1)
    assert swept(stores).orphaned_reservations == 1
    assert spend(stores) == (1, 0)
    assert swept(stores).orphaned_reservations == 0
    assert do(stores.jobs.calls(JOB))[0]["state"] == "unknown"
    assert stores.command("ZCARD", keys.INDEXES["begun"]) == 0


def test_a_late_answer_to_an_orphaned_call_is_kept_and_charged_once(stores: Stores) -> None:
    stores.open(PAIR, JOB, tool_calls=3)
    lease = stores.claim(JOB, "a")
    do(stores.calls.begin(lease, 1, "p", "t.x", CALL))
    let_lease_run_out(stores, lease)
    call_may_be_orphaned(stores)
    assert swept(stores).orphaned_reservations == 1
    for _ in range(2):  # its holder was only paused
        assert do(stores.calls.settle(lease, 1, "done", {"booked": 1}, CALL)) == "OK"
    assert spend(stores) == (1, 0)
    again = stores.claim(JOB, "a")
    assert do(stores.calls.begin(again, 1, "p", "t.x", CALL)).answer == "REPLAY"
    assert spend(stores) == (1, 0)


def test_the_end_of_a_job_settles_its_calls_once(stores: Stores) -> None:
    stores.open(PAIR, JOB, tool_calls=3)
    do(stores.calls.begin(stores.claim(JOB, "a"), 1, "p", "t.x", CALL))
    do(stores.jobs.cancel(JOB))
    call_may_be_orphaned(stores)
    assert swept(stores).orphaned_reservations == 0
    assert (spend(stores), stores.command("ZCARD", keys.INDEXES["begun"])) == ((1, 0), 0)


def test_calls_in_doubt_are_counted_until_they_are_answered(stores: Stores) -> None:
    for job in (JOB, OTHER):
        stores.open(PAIR, job)
        for step in ("a", "b"):
            asked = [Question(f"{step}/call-1", "call-1", "did it happen?", "in_doubt", step)]
            do(
                stores.steps.park(
                    stores.claim(job, step), [*asked, Question(f"{step}/day", "day", "which?", step=step)]
                )
            )
    wait_until(lambda: do(stores.sweeper.doubts()).oldest_s > 0, "time passes")
    doubts = do(stores.sweeper.doubts())
    assert (doubts.calls, doubts.jobs) == (4, 2)
    do(stores.jobs.answer(JOB, {"a/call-1": {"happened": True}}))
    assert (do(stores.sweeper.doubts()).calls, do(stores.sweeper.doubts()).jobs) == (3, 2)
    do(stores.jobs.cancel(OTHER))
    assert (do(stores.sweeper.doubts()).calls, do(stores.sweeper.doubts()).jobs) == (1, 1)
    assert stores.command("ZCARD", keys.INDEXES["doubts"]) == 1


def test_the_census_counts_jobs_queues_and_leases(stores: Stores) -> None:
    stores.open(PAIR, JOB)
    stores.open(Plan([Step("a", f"s{i}") for i in range(5)]), OTHER)
    let_lease_run_out(stores, stores.claim(JOB, "a"))
    stores.claim(OTHER, "s0")
    swept(stores)
    census = do(stores.sweeper.census())
    assert (census.jobs[JobStatus.RUNNING], census.jobs[JobStatus.QUEUED]) == (2, 0)
    assert {name: depth for name, (depth, _) in census.queues.items()} == {"a": 4, "b": 1}
    assert all(oldest_s >= 0 for _, oldest_s in census.queues.values())
    assert (census.leases, census.again) == (1, 1)
    assert census.oldest[JobStatus.RUNNING] >= census.oldest[JobStatus.QUEUED] == 0
    assert census.memory > 100_000
    assert census.memory_limit == 0


def test_the_census_counts_every_job_that_ever_came_to_a_status(stores: Stores) -> None:
    stores.open(PAIR, JOB)
    lease = stores.claim(JOB, "a")
    asked = Question("a/day", "day", "which day?", step="a")
    do(stores.steps.park(lease, [asked]))
    do(stores.steps.commit(stores.claim(JOB, "b"), Ending("succeeded", {})))
    do(stores.jobs.answer(JOB, {"a/day": "Monday"}))
    do(stores.jobs.cancel(JOB))
    do(stores.jobs.cancel(JOB))
    stores.open(PAIR, OTHER)
    came = do(stores.sweeper.census()).reached
    assert came == {("queued", "w"): 2, ("running", "w"): 2, ("waiting", "w"): 1, ("cancelled", "w"): 1}


def test_the_census_tells_processes_that_live_from_those_that_fell_silent(stores: Stores) -> None:
    present = PresenceStore(stores.scripts)
    for name in ("w1", "w2", "w3"):
        do(present.beat(name, {}))
    stores.command("ZADD", keys.INDEXES["workers"], do(present.clock_ms()) - 60_000, "w1")
    do(present.leave("w2"))
    census = do(stores.sweeper.census())
    assert (census.alive, census.silent) == (1, 1)


def test_who_may_not_ask_how_much_memory_there_is_is_told_the_rest(stores: Stores) -> None:
    stores.command("ACL", "SETUSER", "default", "-info")
    try:
        census = do(stores.sweeper.census())
    finally:
        stores.command("ACL", "SETUSER", "default", "+info")
    assert (census.memory, census.memory_limit, census.leases) == (0, 0, 0)


def test_of_many_sweepers_one_has_its_turn(stores: Stores) -> None:
    assert [do(stores.sweeper.turn(60)) for _ in range(3)] == [True, False, False]
    stores.command("DEL", keys.INDEXES["turn"])
    assert do(stores.sweeper.turn(0.001))
    wait_until(lambda: do(stores.sweeper.turn(60)), "the next has its turn")


def test_what_became_of_a_dead_attempts_call_is_learned_once_and_costs_nothing_more(stores: Stores) -> None:
    stores.open(Plan.chain("a"), JOB, tool_calls=5)
    do(stores.calls.begin(stores.claim(JOB, "a"), 1, "p", "t.x", CALL))
    stores.command("HSET", keys.job(JOB), "a.until", 1)  # its holder died
    again = stores.claim(JOB, "a")
    for _ in range(3):
        assert do(stores.calls.settle(again, 1, "unknown", None, CALL)) == "OK"
        (row,) = do(stores.calls.recall(again))
        assert (row.state, row.sends, row.unsettled, row.changed_something) == ("unknown", 1, True, True)
    for _ in range(3):
        assert do(stores.calls.settle(again, 1, "done", {"n": 1}, CALL)) == "OK"
    assert do(stores.calls.stored(again, 1)) == {"n": 1}
    line = do(stores.jobs.read(JOB)).spend.tool_calls
    assert (line.spent, line.reserved) == (1, 0)
    assert stores.command("ZCARD", keys.INDEXES["begun"]) == 0
