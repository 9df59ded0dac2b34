"""How a worker with the asyncio pool ends: nothing it fetched is lost, and it never hangs."""

import time
from signal import SIGINT, SIGQUIT, SIGTERM
from typing import Any

import pytest

from tests.support.waiting import wait_until
from tests.worker_pool.conftest import Theatre


def test_a_warm_end_lets_what_runs_finish_and_gives_back_the_rest(theatre: Theatre, tasks: Any) -> None:
    worker = theatre.worker("-c", "5", "--prefetch-multiplier", "4")
    for number in range(40):
        tasks.nap.delay(str(number), 1.0)
    tasks.again.apply_async(countdown=30)
    wait_until(lambda: len(theatre.noted("started")) == 5, "five run")
    wait_until(lambda: theatre.log().count("received") >= 20, "twenty were fetched")
    assert theatre.ends(worker, SIGTERM, within_s=60) == 0
    assert sorted(theatre.noted("done")) == sorted(theatre.noted("started"))
    assert len(theatre.noted("done")) + theatre.waiting() == 41

    theatre.worker("-c", "40", "--prefetch-multiplier", "4")
    wait_until(lambda: len(theatre.noted("done")) == 40, "another worker did the rest")
    assert len(set(theatre.noted("done"))) == 40


def test_a_warm_end_under_load_loses_no_message_and_keeps_their_order(theatre: Theatre, tasks: Any) -> None:
    worker = theatre.worker("-c", "20", "--prefetch-multiplier", "10")
    sent = [str(number) for number in range(3_000)]
    with tasks.app.producer_pool.acquire() as producer, producer.batch(100):
        for number in sent:
            tasks.write.apply_async((number,), producer=producer)
    wait_until(lambda: theatre.redis.llen("done") > 200, "it is at work")
    assert theatre.ends(worker, SIGTERM, within_s=60) == 0
    done = theatre.noted("done")
    assert 200 < len(done) < 3_000
    assert len(done) + theatre.waiting() == 3_000
    theatre.worker("-c", "1", "--prefetch-multiplier", "10")
    wait_until(lambda: theatre.redis.llen("done") == 3_000, "the rest is done")
    assert theatre.noted("done") == sent


def test_an_idle_worker_ends_soon(theatre: Theatre, tasks: Any) -> None:
    worker = theatre.worker("-c", "5")
    tasks.write.delay("one")
    wait_until(lambda: theatre.noted("done") == ["one"], "it is done")
    before = time.monotonic()
    assert theatre.ends(worker, SIGTERM, within_s=60) == 0
    assert time.monotonic() - before < 30


def test_a_second_sigterm_ends_now_and_the_task_cleans_up_and_goes_back(theatre: Theatre, tasks: Any) -> None:
    worker = theatre.worker("-c", "5")
    tasks.long.delay()
    wait_until(lambda: theatre.noted("started") == ["cleaned"], "it runs")
    before = time.monotonic()
    assert theatre.ends(worker, SIGTERM, SIGTERM, within_s=60) == 0
    assert time.monotonic() - before < 30
    assert theatre.noted("done") == ["cleaned"]
    assert theatre.waiting() == 1


def test_the_grace_is_a_bound(theatre: Theatre, tasks: Any) -> None:
    worker = theatre.worker("-c", "5", TEST_STOP_S="0.5")
    tasks.long.delay()
    wait_until(lambda: theatre.noted("started") == ["cleaned"], "it runs")
    assert theatre.ends(worker, SIGTERM, within_s=60) == 0
    assert theatre.noted("done") == ["cleaned"]
    assert theatre.waiting() == 1
    assert "ended before their time" in theatre.log()


@pytest.mark.parametrize("signals", [(SIGQUIT,), (SIGINT, SIGINT)], ids=["quit", "ctrl-c twice"])
def test_a_cold_end_under_load_is_prompt(theatre: Theatre, tasks: Any, signals: Any) -> None:
    worker = theatre.worker("-c", "50", "--prefetch-multiplier", "2")
    for number in range(200):
        tasks.nap.delay(str(number), 60)
    wait_until(lambda: len(theatre.noted("started")) == 50, "fifty run")
    before = time.monotonic()
    theatre.ends(worker, *signals, within_s=60)
    assert time.monotonic() - before < 30
    assert theatre.waiting() == 200
    assert theatre.noted("done") == []


def test_a_task_that_blocks_the_loop_does_not_keep_the_worker_from_ending(theatre: Theatre, tasks: Any) -> None:
    worker = theatre.worker("-c", "5", TEST_STOP_S="0.5")
    blocker = tasks.block.delay(600)
    wait_until(lambda: theatre.noted("started") == ["block"], "it blocks")
    tasks.write.delay("waits")
    wait_until(lambda: theatre.waiting() == 0, "the other was fetched")
    theatre.ends(worker, SIGTERM, within_s=15)
    assert "left behind" in theatre.log()
    assert blocker.id in theatre.log().split("left behind")[1]
    assert theatre.waiting() == 2


def test_a_task_that_will_not_be_cancelled_does_not_either(theatre: Theatre, tasks: Any) -> None:
    worker = theatre.worker("-c", "5", TEST_STOP_S="0.5")
    tasks.stubborn.delay()
    wait_until(lambda: theatre.noted("started") == ["stubborn"], "it runs")
    theatre.ends(worker, SIGTERM, within_s=15)
    assert len(theatre.noted("done")) > 1, "it was told more than once"


def test_a_thread_that_a_task_left_behind_does_not_either(theatre: Theatre, tasks: Any) -> None:
    worker = theatre.worker("-c", "5", TEST_STOP_S="60", TEST_FORCE_S="2")
    tasks.stuck_thread.delay()
    wait_until(lambda: theatre.noted("started") == ["thread"], "it runs")
    assert theatre.ends(worker, SIGTERM, SIGTERM, within_s=30) == 70
    assert "ended by force" in theatre.log()
