"""A step that came to a worker without its specialist is left to others; only when none came does its job fail."""

from orchestrator.state.client import without_loop as do
from orchestrator.status import JobStatus
from tests.state.conftest import Stores
from tests.state.scenes import JOB
from tests.state.test_scripts import TRIP

WHY = "nobody knows a"


def refused(stores: Stores, patience_s: float) -> bool:
    return do(stores.steps.refuse(JOB, "a", WHY, patience_s))


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
