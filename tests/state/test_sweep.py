"""What the sweeper finds, what it leaves alone, and how patiently it looks again."""

from concurrent.futures import ThreadPoolExecutor
from threading import Barrier

import pytest

from orchestrator import Plan, Step
from orchestrator.outcome import failure
from orchestrator.state import keys
from orchestrator.state.client import without_loop as do
from orchestrator.state.records import Question
from orchestrator.state.scripts import Scripts
from orchestrator.state.steps import Ending, Lease
from orchestrator.state.sweeping import Found, SweepStore
from orchestrator.status import JobStatus
from tests.state.conftest import Stores, stores_on
from tests.support.valkey import Valkey
from tests.support.waiting import wait_until

JOB = "0" * 31 + "6"
DONE = Ending("succeeded", {"ok": 1})
OTHER = JOB[:-1] + "7"
PAIR = Plan([Step("a"), Step("b")])


def swept(stores: Stores) -> Found:
    return do(stores.sweeper.sweep())


def names(found: Found) -> list[str]:
    return sorted(lost.step for lost in found.steps)


def let_lease_run_out(stores: Stores, lease: Lease) -> None:
    stores.command("ZADD", keys.INDEXES["leases"], 1, f"{lease.job_id}.{lease.step}")
    stores.command("HSET", keys.job(lease.job_id), f"{lease.step}.until", 1)


def test_a_lease_that_really_ran_out_is_found(server: Valkey, stores: Stores) -> None:
    brief = stores_on(server.url, lease_s=0.05)
    stores.open(PAIR, JOB)
    lease = brief.claim(JOB, "a")
    found: list[Found] = []
    wait_until(lambda: found.append(swept(stores)) or found[-1], "the lease ran out")
    assert (found[-1].lost_leases, names(found[-1])) == (1, ["a"])
    assert stores.command("LLEN", keys.redrive_queue("a")) == 1
    assert do(stores.steps.commit(lease, DONE)).answer == "OK"  # late, but nobody took it meanwhile
    assert do(stores.steps.claim(JOB, "a")).answer == "DONE"
    assert stores.command("ZCARD", keys.INDEXES["again"]) == 0


def test_a_renewed_lease_is_not_lost(server: Valkey, stores: Stores) -> None:
    brief = stores_on(server.url, lease_s=2)
    stores.open(PAIR, JOB)
    lease = brief.claim(JOB, "a")
    first = stores.command("ZSCORE", keys.INDEXES["leases"], f"{JOB}.a")

    def renewed() -> bool:
        assert do(brief.steps.renew([lease])) == []
        assert swept(stores).lost_leases == 0
        return time_over(stores, first)

    wait_until(renewed, "the first lease would be over by now")


def time_over(stores: Stores, score: bytes) -> bool:
    return clock_ms(stores) > float(score)


def clock_ms(stores: Stores) -> int:
    seconds, micros = map(int, stores.command("TIME"))
    return seconds * 1000 + micros // 1000


def test_only_the_lost_message_of_a_queue_is_redriven(server: Valkey, stores: Stores) -> None:
    """Steps offered later were claimed: this one's message is gone."""
    brisk = stores_on(server.url, grace_s=0.02)
    stores.open(Plan([Step("a", f"s{i}") for i in range(5)]), JOB)
    lost = stores.command("LPOP", "a.{0}") and "s4"  # the list's head is the newest message
    seen: list[str] = []
    stores.open(Plan([Step("a", f"t{i}") for i in range(60)]), JOB[:-1] + "7")

    def works_on() -> bool:
        message = stores.command("RPOP", "a.{0}")
        assert message, "found before the queue was empty"
        job, _, step = message.partition(b'"id": "')[2].partition(b'"')[0].decode().partition(".")
        stores.claim(job, step)
        seen.extend(names(do(brisk.sweeper.sweep())))
        return bool(seen)

    wait_until(works_on, "the lost message is found")
    assert seen == [lost]


def test_ten_thousand_ready_steps_behind_one_slow_worker_are_left_alone(server: Valkey, stores: Stores) -> None:
    brisk = stores_on(server.url, grace_s=0.05)
    jobs = [f"{i:032x}" for i in range(10)]
    for job in jobs:
        stores.open(Plan([Step("a", f"s{i}") for i in range(1_000)]), job)
    assert stores.command("LLEN", "a.{0}") == 10_000
    for i in range(150):  # it takes the oldest, three graces and more go by
        assert stores.command("RPOP", "a.{0}")
        stores.claim(jobs[0], f"s{i}")
        assert not do(brisk.sweeper.sweep())
    assert stores.command("EXISTS", keys.redrive_queue("a")) == 0
    assert stores.command("ZCARD", keys.FAMILIES["ready"] + "a") == 10_000 - 150


def test_a_queue_that_nobody_works_off_is_left_alone(server: Valkey, stores: Stores) -> None:
    """No worker is up: the messages are there, and copies of them would help nobody."""
    brisk = stores_on(server.url, grace_s=0.02)
    stores.open(PAIR, JOB)
    offered = stores.command("ZSCORE", keys.FAMILIES["ready"] + "a", f"{JOB}.a")
    ten_graces_later = b"%d" % (int(offered) + 200)
    wait_until(lambda: not do(brisk.sweeper.sweep()) and time_over(stores, ten_graces_later), "ten graces go by")
    assert stores.command("EXISTS", keys.redrive_queue("a")) == 0


@pytest.mark.parametrize("how", ["lease", "message", "retry"])
def test_many_sweepers_answer_a_step_once(server: Valkey, stores: Stores, how: str) -> None:
    stores.open(Plan([Step("a", f"s{i}") for i in range(20)]), JOB)
    if how == "message":
        stores.command("DEL", "a.{0}")
        stores.command("ZADD", keys.FAMILIES["seen"] + "a", 1, 10**15)  # known for long
    for i in range(20 if how != "message" else 0):
        lease = stores.claim(JOB, f"s{i}")
        if how == "lease":
            let_lease_run_out(stores, lease)
        else:
            do(stores.steps.release(lease, delay_s=0, grace_s=0, why={"message": "x"}))
    sweepers, start = [stores_on(server.url, grace_s=30) for _ in range(10)], Barrier(10)

    def one(sweeper: Stores) -> Found:
        start.wait(20)
        return swept(sweeper)

    if how == "retry":
        wait_until(lambda: time_over(stores, newest_wait(stores)), "all delays are over")
    with ThreadPoolExecutor(10) as threads:
        found = list(threads.map(one, sweepers))
    assert sorted(name for each in found for name in names(each)) == sorted(f"s{i}" for i in range(20))
    assert stores.command("LLEN", keys.redrive_queue("a")) == 20
    for sweeper in sweepers:
        sweeper.client.close()


def newest_wait(stores: Stores) -> bytes:
    return stores.command("ZRANGE", keys.INDEXES["again"], -1, -1, "WITHSCORES")[1]


def test_at_most_the_limit_is_answered_and_the_rest_next_time(stores: Stores) -> None:
    stores.open(Plan([Step("a", f"s{i}") for i in range(25)]), JOB)
    for i in range(25):
        let_lease_run_out(stores, stores.claim(JOB, f"s{i}"))
    small = SweepStore(stores.scripts, 0.2, 600, batch=1)
    sizes = [len(do(small.sweep()).steps) for _ in range(3)]
    assert sizes == [20, 5, 0]


def test_a_passed_deadline_fails_the_job_and_stops_what_runs(server: Valkey, stores: Stores) -> None:
    stores.open(PAIR, JOB, seconds=3_600)
    listener = stores_on(server.url).client
    told: list[bytes] = list(listener.messages(keys.STOPS, 0.01))
    lease = stores.claim(JOB, "a")
    stores.command("ZADD", keys.INDEXES["deadlines"], 1, JOB)  # it passes
    stores.command("HSET", keys.job(JOB), "deadline", 1)
    assert swept(stores).expired_jobs == 1
    record = do(stores.jobs.read(JOB))
    assert (record.status, record.fields["reason"]) == (JobStatus.FAILED, "deadline")
    assert failure(record).startswith(f"job {JOB} failed at step 1 of 2 (a): the deadline has passed")
    wait_until(lambda: told.extend(listener.messages(keys.STOPS, 0.05)) or told == [JOB.encode()], "it is told to stop")
    assert do(stores.steps.commit(lease, DONE)).answer == "DEAD"
    assert do(stores.steps.claim(JOB, "b")).answer == "DEAD"
    assert not swept(stores)
    listener.close()


def test_a_waiting_job_has_no_deadline(stores: Stores) -> None:
    stores.open(Plan.chain("a"), JOB, seconds=3_600)
    do(stores.steps.park(stores.claim(JOB, "a"), [Question("a/day", "day", "which?", step="a")]))
    assert stores.command("ZCARD", keys.INDEXES["deadlines"]) == 0
    stores.command("HSET", keys.job(JOB), "deadline", 1)  # as if it had waited for longer than it had
    assert not swept(stores)
    do(stores.jobs.answer(JOB, {"a/day": 1}))
    claim = do(stores.steps.claim(JOB, "a"))
    assert claim.answer == "CLAIMED"
    assert claim.seconds_left is not None
    assert claim.seconds_left > 3_500


def test_steps_of_a_job_that_is_gone_are_forgotten(stores: Stores) -> None:
    stores.open(PAIR, JOB)
    let_lease_run_out(stores, stores.claim(JOB, "a"))
    stores.command("DEL", keys.job(JOB), "a.{0}", "b.{0}")
    stores.command("ZADD", keys.FAMILIES["ready"] + "b", 1, f"{JOB}.b")
    found = swept(stores)
    assert (found.lost_leases, found.steps) == (1, ())
    wait_until(lambda: not swept(stores) and not stores.command("ZCARD", keys.FAMILIES["ready"] + "b"), "both are gone")
    assert not swept(stores)
    assert stores.command("EXISTS", *(keys.INDEXES[name] for name in ("leases", "again", "waits"))) == 0
    assert stores.command("EXISTS", keys.FAMILIES["ready"] + "b", keys.redrive_queue("a"), "b.again.{0}") == 0


def test_the_index_of_finished_jobs_is_kept_as_long_as_they_are(stores: Stores) -> None:
    stores.open(PAIR, JOB)
    do(stores.jobs.cancel(JOB))
    assert swept(stores).retired_jobs == 0
    assert stores.command("ZCARD", keys.jobs("cancelled")) == 1
    stores.command("ZADD", keys.jobs("cancelled"), 1, JOB)  # it was cancelled long ago
    assert swept(stores).retired_jobs == 1
    assert stores.command("ZCARD", keys.jobs("cancelled")) == 0


def test_where_the_broker_is_elsewhere_the_caller_enqueues(server: Valkey, stores: Stores) -> None:
    stores.open(PAIR, JOB)
    let_lease_run_out(stores, stores.claim(JOB, "a"))
    elsewhere = SweepStore(Scripts(stores.client, message=""), 0.001, 600)
    assert do(elsewhere.waiting_queues())[0] == ["b.{0}"]
    found: list[str] = []

    def both() -> bool:
        queues, asked_ms = do(elsewhere.waiting_queues())
        found.extend(names(do(elsewhere.sweep(queues, asked_ms))))
        return {"a", "b"} <= set(found)

    wait_until(both, "both are answered")
    assert stores.command("EXISTS", keys.redrive_queue("a"), keys.redrive_queue("b")) == 0


@pytest.mark.parametrize("busy", [False, True], ids=["an empty queue", "a busy queue"])
def test_a_lost_join_is_found_by_the_first_sweep_a_grace_after_it_could_be_seen(stores: Stores, busy: bool) -> None:
    """So it waits for a grace and two sweeps at most: 3 s with the default settings."""
    stores.open(Plan.chord(["b", "c"], "a"), JOB)
    for step in ("b", "c"):
        do(stores.steps.commit(stores.claim(JOB, step), DONE))
    assert stores.command("RPOP", "a.{0}")  # a worker fetches it and dies
    freed = stores.command("ZSCORE", keys.FAMILIES["ready"] + "a", f"{JOB}.a")
    wait_until(lambda: time_over(stores, freed), "a millisecond goes by")
    if busy:
        stores.open(Plan([Step("a", f"s{i}") for i in range(3)]), OTHER)
        stores.claim(OTHER, "s0")  # what was offered later is claimed; two others still wait
    assert not swept(stores)
    seen = clock_ms(stores)

    def found() -> bool:
        asked = clock_ms(stores)
        joins = swept(stores).lost_joins
        assert joins or asked < seen + 200, "missed"
        return bool(joins)

    wait_until(found, "the join is re-driven")
    assert stores.command("LLEN", keys.redrive_queue("a")) == 1
    assert not swept(stores)
