"""Tasks in a real worker with the asyncio pool: limits, revoke, retry, canvas, context, ten thousand at once."""

from typing import Any

import pytest
from celery import chain, chord

from tests.support.waiting import wait_until
from tests.worker_pool.conftest import Theatre


def test_soft_and_hard_limits_revoke_and_a_task_that_leaves(theatre: Theatre, tasks: Any) -> None:
    theatre.worker("-c", "10")
    tasks.soft.delay()
    wait_until(lambda: theatre.noted("done") == ["cleaned up"], "the soft limit was caught")
    tasks.hard.delay()
    wait_until(
        lambda: theatre.noted("done")[1:] == ["cleaned", "finally"], "the hard limit ended it, and it cleaned up"
    )
    assert "Hard time limit (0.1s) exceeded" in theatre.log()
    revoked = tasks.long.delay()
    wait_until(lambda: len(theatre.noted("started")) == 2, "the next one runs")
    tasks.app.control.revoke(revoked.id, terminate=True)
    wait_until(lambda: len(theatre.noted("done")) == 4, "it was ended, and it cleaned up")
    tasks.leave.delay()
    tasks.write.delay("alive")
    wait_until(lambda: theatre.noted("done")[-1] == "alive", "the worker goes on")
    assert theatre.waiting() == 0


def test_a_task_revoked_while_it_waits_for_room_never_runs(theatre: Theatre, tasks: Any) -> None:
    theatre.worker("-c", "1", "--prefetch-multiplier", "4")
    tasks.nap.delay("first", 1.0)
    second = tasks.nap.delay("second", 0)
    wait_until(lambda: theatre.log().count("received") == 2, "both were fetched")
    tasks.app.control.revoke(second.id)
    tasks.nap.delay("third", 0)
    wait_until(lambda: theatre.noted("done") == ["first", "third"], "the first and the third ran")
    assert "second" not in theatre.noted("started")


def test_a_retry_keeps_its_id_and_a_chain_passes_results_on(theatre: Theatre, tasks: Any) -> None:
    theatre.worker("-c", "10")
    sent = tasks.again.delay()
    wait_until(lambda: theatre.noted("done") == ["again"], "the third attempt succeeded")
    assert theatre.noted("attempts") == [f"{sent.id} {number}" for number in range(3)]
    chain(tasks.add.s(1, 2), tasks.add.s(4), tasks.add.s(8)).delay()
    wait_until(lambda: theatre.noted("sums") == ["3", "7", "15"], "each link had the sum before")


def test_a_chords_body_is_sent_once_by_the_step_that_makes_it_ready(theatre: Theatre, tasks: Any) -> None:
    theatre.worker("-c", "20")
    for job in range(20):
        header = [tasks.part.si(f"job{job}", f"s{step}", 5) for step in range(5)]
        chord(header, tasks.join.si(f"job{job}", "join")).delay()
    wait_until(lambda: len(theatre.noted("joined")) >= 20, "all are joined")
    tasks.write.delay("after")
    wait_until(lambda: theatre.noted("done") == ["after"], "the queue is empty")
    assert sorted(theatre.noted("joined")) == sorted(f"job{job} join" for job in range(20))


def test_contexts_nest_and_tasks_do_not_see_each_others(theatre: Theatre, tasks: Any) -> None:
    theatre.worker("-c", "5")
    for number in range(60):
        tasks.contexts.apply_async((f"t{number}",), task_id=f"t{number}")
    wait_until(lambda: len(theatre.noted("seen")) == 60, "all have run")
    assert sorted(theatre.noted("seen")) == sorted(f"t{n} t{n} t{n} False" for n in range(60))
    assert "Failed to detach" not in theatre.log()


@pytest.mark.timeout(180)
def test_ten_thousand_tasks_are_in_flight_in_one_process(theatre: Theatre, tasks: Any) -> None:
    theatre.worker("-c", "10002")
    with tasks.app.producer_pool.acquire() as producer, producer.batch(100):
        for number in range(10_000):
            tasks.wait_for_gate.apply_async((str(number),), producer=producer)
    wait_until(lambda: theatre.waiting() == 0, "all were fetched", 60)
    tasks.say_how_many.delay()
    wait_until(lambda: theatre.noted("in flight"), "the worker answers", 60)
    assert int(theatre.noted("in flight")[0]) == 10_001
    tasks.open_gate.delay()
    wait_until(lambda: theatre.redis.llen("done") == 10_000, "all are done", 60)
    assert len(set(theatre.noted("done"))) == 10_000


def test_a_blocked_loop_is_reported_once_with_the_task_and_its_stack(theatre: Theatre, tasks: Any) -> None:
    theatre.worker("-c", "10")
    blocker = tasks.block.delay(2.5)
    tasks.nap.delay("innocent", 0.01)
    wait_until(lambda: theatre.noted("done") == ["block", "innocent"], "both are done")
    assert theatre.log().count("a task blocks the event loop") == 1
    assert blocker.id in theatre.log().split("a task blocks the event loop")[1]
    assert "time.sleep(seconds)" in theatre.log()
    stats = next(iter(tasks.app.control.inspect(timeout=1.5).stats().values()))
    assert stats["pool"]["blocked"] == 1
    assert stats["pool"]["implementation"] == "workers.pool:TaskPool"


@pytest.mark.parametrize("pool", ["prefork", "threads", "solo"])
def test_tasks_await_in_celerys_own_pools_too(theatre: Theatre, tasks: Any, pool: str) -> None:
    theatre.worker("-c", "2", pool=pool)
    for number in range(6):
        tasks.nap.delay(str(number), 0.01)
    wait_until(lambda: sorted(theatre.noted("done")) == list("012345"), "all are done")
