"""A step that came to a worker without its specialist is left to others; only when none came does its job fail."""

from orchestrator import Plan, Step
from orchestrator.settings import load
from orchestrator.state import keys
from orchestrator.state.calls import Cost
from orchestrator.state.client import without_loop as do
from orchestrator.state.steps import Ending, Lease
from orchestrator.state.undo import Undone, work
from orchestrator.status import JobStatus
from tests.state.conftest import Stores
from tests.state.scenes import JOB
from tests.state.test_scripts import TRIP
from tests.support.valkey import Valkey
from workers.unknown import Unknown

WHY = "nobody knows a"


def refused(stores: Stores, patience_s: float) -> bool:
    return do(stores.steps.refuse(JOB, "a", WHY, patience_s)) == "FAILED"


def test_a_worker_that_knows_it_can_take_it_after_any_number_of_refusals(stores: Stores) -> None:
    stores.open(TRIP, JOB)
    assert not any(refused(stores, 600) for _ in range(5))
    assert stores.claim(JOB, "a").fence
    assert not refused(stores, 0), "it runs elsewhere: a late copy of its message says nothing"
    assert do(stores.jobs.read(JOB)).step("a").state == "running"


def test_the_time_counts_anew_once_somebody_knew_it(stores: Stores) -> None:
    stores.open(TRIP, JOB)
    assert not refused(stores, 600)
    stores.command("HSET", f"sf:{{0}}:job:{JOB}", "a.refused", "0:1")  # a long time ago, before the first attempt
    do(stores.steps.release(stores.claim(JOB, "a"), delay_s=0, grace_s=0, why={"message": "x"}))
    assert not refused(stores, 600)


def test_when_the_time_is_over_the_job_fails_and_can_be_resumed(stores: Stores) -> None:
    stores.open(TRIP, JOB)
    assert refused(stores, 0)
    failed = do(stores.jobs.read(JOB))
    assert (failed.status, failed.fields["error"], failed.step("a").attempts) == (JobStatus.FAILED, WHY, 0)
    assert not refused(stores, 0)
    do(stores.jobs.resume(JOB, {}, None))
    assert stores.claim(JOB, "a").fence


def test_a_resumed_job_gives_the_time_again_to_a_step_that_nobody_had_known_beside_the_one_that_failed(
    stores: Stores,
) -> None:
    stores.open(Plan([Step("a"), Step("b"), Step("c", after=["a", "b"])]), JOB)
    assert not refused(stores, 600)
    stores.command("HSET", keys.job(JOB), "a.refused", "0:1")  # a long time ago
    do(stores.steps.commit(stores.claim(JOB, "b"), Ending("failed", {"kind": "x", "message": "x"}, "x")))
    do(stores.jobs.resume(JOB, {}, None))
    assert not refused(stores, 600)
    assert not do(stores.jobs.read(JOB)).status.final


def abandoned(stores: Stores, step: str) -> None:
    """Its holder died: the lease ran out a second ago."""
    seconds = int(stores.command("TIME")[0])
    stores.command("HSET", keys.job(JOB), f"{step}.until", (seconds - 1) * 1_000)


def test_where_the_only_worker_that_knew_it_died_the_job_fails_after_the_time_and_can_be_resumed(
    stores: Stores,
) -> None:
    stores.open(TRIP, JOB)
    lost = stores.claim(JOB, "a")
    abandoned(stores, "a")
    assert not refused(stores, 600), "the time counts from the end of its lease"
    assert do(stores.steps.renew([lost])) == [], "its holder stood still only"
    assert not refused(stores, 0)
    abandoned(stores, "a")
    assert refused(stores, 0)
    failed = do(stores.jobs.read(JOB))
    assert (failed.status, failed.fields["error"], failed.fields["active"]) == (JobStatus.FAILED, WHY, "0")
    assert not refused(stores, 0)
    assert do(stores.steps.commit(lost, Ending("succeeded", {}))).answer == "DEAD"
    assert stores.command("ZCARD", keys.INDEXES["leases"]) == 0
    do(stores.jobs.resume(JOB, {}, None))
    assert stores.claim(JOB, "a").fence


def done(stores: Stores) -> None:
    """The job has done two things, and neither is to stay."""
    stores.open(Plan([Step("a"), Step("b", after=["a"]), Step("a", "c", ["b"])]), JOB)
    rollback = [{"tool": "t.undo", "arguments": {"of": 1}}, {"tool": "t.undo", "arguments": {"of": 2}}]
    do(stores.steps.commit(stores.claim(JOB, "a"), Ending("succeeded", {}, rollback=rollback)))
    do(stores.calls.begin(stores.claim(JOB, "b"), 1, "p", "t.book", Cost(), "keyed"))
    do(stores.jobs.cancel(JOB))


def take(stores: Stores, step: str) -> Lease:
    return Lease(JOB, work(step), do(stores.undos.claim(JOB, work(step))).claim.fence)


def test_what_nobody_knows_how_to_undo_is_listed_when_the_time_is_over_and_older_things_go_on(
    stores: Stores, server: Valkey
) -> None:
    done(stores)
    patient = Unknown(load(redis_url=server.url, unknown_s=600))
    patient.refuse(f"{JOB}.undo~b", "step.b")
    assert do(stores.jobs.read(JOB)).undo.pending == 2, "another worker may know it"
    hasty = Unknown(load(redis_url=server.url, unknown_s=0))
    for _ in range(2):  # a message that comes twice is one
        hasty.refuse(f"{JOB}.undo~b", "step.b")
    undo = do(stores.jobs.read(JOB)).undo
    assert (undo.pending, [(one["step"], one["tool"], one["call"]) for one in undo.left]) == (1, [("b", "t.book", 1)])
    assert "knows the specialist 'b'" in undo.left[0]["why"]
    hasty.refuse(f"{JOB}.undo~a", "step.a")
    undo = do(stores.jobs.read(JOB)).undo
    assert (undo.pending, [one.get("arguments") for one in undo.left]) == (0, [None, {"of": 2}, {"of": 1}])


def test_the_undoing_of_a_step_that_somebody_holds_is_not_given_up(stores: Stores) -> None:
    done(stores)
    assert do(stores.steps.refuse(JOB, work("b"), WHY, 0)) == "GIVE_UP"
    held = take(stores, "b")
    assert do(stores.steps.refuse(JOB, work("b"), WHY, 0)) == "NOTHING"
    assert do(stores.steps.refuse(JOB, work("a"), WHY, 0)) == "NOTHING", "it is not its turn"
    do(stores.undos.commit(held, Undone()))
    do(stores.undos.commit(take(stores, "a"), Undone()))


def test_an_undoing_whose_giver_up_died_is_given_up_by_the_next(stores: Stores, server: Valkey) -> None:
    done(stores)
    assert do(stores.steps.refuse(JOB, work("b"), WHY, 0)) == "GIVE_UP"
    take(stores, "b")  # and is killed before it commits
    abandoned(stores, work("b"))
    hasty = Unknown(load(redis_url=server.url, unknown_s=0))
    for step in ("b", "a"):
        hasty.refuse(f"{JOB}.undo~{step}", f"step.{step}")
    undo = do(stores.jobs.read(JOB)).undo
    assert (undo.pending, [one["step"] for one in undo.left]) == (0, ["b", "a", "a"])
    assert stores.command("TTL", keys.job(JOB)) > 0
