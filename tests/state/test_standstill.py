"""Jobs that should move and do not: each cause is found and named; what merely takes its time is none."""

from collections.abc import Callable

import pytest

from orchestrator import Plan, Step
from orchestrator.state import keys
from orchestrator.state.client import without_loop as do
from orchestrator.state.records import Question
from orchestrator.state.standstill import Standstill, StandstillStore
from orchestrator.state.steps import Ending
from tests.state.conftest import Stores

JOB, OTHER = "0" * 31 + "c", "0" * 31 + "d"
LONG_AGO = 1_000
"""The score of what happened decades ago."""


def found(stores: Stores, patience_s: float = 60.0, tenant: str | None = None) -> list[Standstill]:
    return do(StandstillStore(stores.client, stores.jobs).find(patience_s, tenant, 50))


def nobody_serves_its_queue(stores: Stores) -> None:
    stores.command("ZADD", keys.FAMILIES["ready"] + "a", LONG_AGO, f"{JOB}.a")


def nobody_knows_it(stores: Stores) -> None:
    do(stores.steps.refuse(JOB, "a", "nobody knows a", 600))
    stores.command("HSET", keys.job(JOB), "a.refused", f"0:{LONG_AGO}")


def the_only_worker_that_knew_it_is_gone(stores: Stores) -> None:
    no_sweeper_looks(stores)
    do(stores.steps.refuse(JOB, "a", "nobody knows a", 600))


def somebody_knew_it_after_all(stores: Stores) -> None:
    nobody_knows_it(stores)
    do(stores.steps.release(stores.claim(JOB, "a"), delay_s=0, grace_s=0, why={"message": "down", "delay_s": 0.5}))
    silent(stores)


def no_sweeper_looks(stores: Stores) -> None:
    stores.claim(JOB, "a")
    stores.command("HSET", keys.job(JOB), "a.until", LONG_AGO)


def another_version_s_record(stores: Stores) -> None:
    stores.command("HSET", keys.job(JOB), "format", "0")
    silent(stores)


def no_retry_comes(stores: Stores) -> None:
    do(stores.steps.release(stores.claim(JOB, "a"), delay_s=0, grace_s=0, why={"message": "down", "delay_s": 0.5}))
    silent(stores)


def silent(stores: Stores) -> None:
    """Nothing was heard of the job for decades."""
    stores.command("DEL", keys.events(JOB))
    stores.command("XADD", keys.events(JOB), f"{LONG_AGO}-1", "type", "queued", "step", "", "data", "")


@pytest.mark.parametrize(
    ("happens", "cause", "remedy"),
    [
        (nobody_serves_its_queue, "no worker takes it", "surefoot worker --queues a"),
        (nobody_knows_it, "no worker that it came to knows the specialist 'a'", "SUREFOOT_WORKFLOWS"),
        (
            the_only_worker_that_knew_it_is_gone,
            "no worker that it came to knows the specialist 'a'",
            "SUREFOOT_WORKFLOWS",
        ),
        (
            somebody_knew_it_after_all,
            "attempt 1 is to be followed by another, and no worker takes it: down",
            "--queues a",
        ),
        (no_sweeper_looks, "its worker is gone, and nobody looks", "surefoot sweeper"),
        (another_version_s_record, "its record has format 0, this version reads 1", "worker of the version"),
        (no_retry_comes, "attempt 1 is to be followed by another, and no worker takes it: down", "--queues a"),
    ],
)
def test_each_cause_is_named_with_what_helps(
    stores: Stores, happens: Callable[[Stores], None], cause: str, remedy: str
) -> None:
    stores.open(Plan([Step("a"), Step("b", after=["a"])]), JOB)
    stores.open(Plan([Step("a")]), OTHER)  # a moment old: it moves
    happens(stores)
    (one,) = found(stores)
    assert (one.record.id, one.cause) == (JOB, cause)
    assert remedy in one.remedy
    assert one.for_s > 1e9
    assert [each.record.id for each in found(stores, tenant="t")] == [JOB]
    assert found(stores, tenant="somebody else") == []


def test_what_is_not_undone_stands_still_though_its_job_has_ended(stores: Stores) -> None:
    stores.open(Plan([Step("a"), Step("b", after=["a"])]), JOB)
    rollback = [{"tool": "t.undo", "arguments": {}}]
    do(stores.steps.commit(stores.claim(JOB, "a"), Ending("succeeded", {}, rollback=rollback)))
    do(stores.jobs.cancel(JOB))
    assert found(stores) == []
    stores.command("ZADD", keys.FAMILIES["ready"] + "a", LONG_AGO, f"{JOB}.undo~a")
    (one,) = found(stores)
    assert (one.step, one.cause) == ("undo~a", "no worker takes it")


def test_what_runs_waits_for_a_person_or_for_its_next_attempt_is_not_stuck(stores: Stores) -> None:
    stores.open(Plan([Step("a"), Step("b"), Step("c")]), JOB)
    stores.claim(JOB, "a")  # a long call under a lease that is renewed
    asked = [Question("b/day", "day", "which day?", step="b")]
    do(stores.steps.park(stores.claim(JOB, "b"), asked))
    hour = {"message": "come back in an hour", "delay_s": 3_600}
    do(stores.steps.release(stores.claim(JOB, "c"), delay_s=3_600, grace_s=1, why=hour))
    assert found(stores, patience_s=1) == []
    stores.open(Plan([Step("a")]), OTHER)
    do(stores.steps.park(stores.claim(OTHER, "a"), [Question("a/day", "day", "which day?", step="a")]))
    assert found(stores, patience_s=0.0) == []
