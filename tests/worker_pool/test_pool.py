"""The asyncio pool in this process: limits, order, context, interrupts, a clean end."""

# pyright: reportPrivateUsage=false, reportUnknownLambdaType=false

import asyncio
import contextvars
import os
import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from celery.exceptions import SoftTimeLimitExceeded
from greenlet import getcurrent

from tests.support.waiting import wait_until
from workers.greenlets import Killed, _running
from workers.pool import TaskPool, await_

NAME: contextvars.ContextVar[str] = contextvars.ContextVar("NAME", default="")


@pytest.fixture
def pool() -> Iterator[TaskPool]:
    one = TaskPool(limit=100)
    one.start()
    yield one
    one.terminate()


def apply(pool: TaskPool, work: Callable[[], Any], done: list[Any], **options: Any) -> Any:
    return pool.apply_async(work, callback=done.append, **options)


def test_a_task_awaits_without_a_thread_of_its_own(pool: TaskPool) -> None:
    done: list[Any] = []

    def work() -> tuple[int, str]:
        return await_(asyncio.sleep(0.01, 7)), threading.current_thread().name

    for _ in range(50):
        apply(pool, work, done)
    wait_until(lambda: len(done) == 50, "fifty tasks are done")
    assert set(done) == {(7, "surefoot-loop")}


def test_ten_thousand_tasks_are_in_flight_at_once() -> None:
    pool, done = TaskPool(limit=10_000), list[Any]()
    pool.start()
    gate = asyncio.Event()
    for _ in range(10_000):
        apply(pool, lambda: await_(gate.wait()), done)
    wait_until(lambda: pool.info["running"] == 10_000, "all run")
    pool.thread.loop.call_soon_threadsafe(gate.set)
    wait_until(lambda: len(done) == 10_000, "all are done")
    pool.stop()


def test_never_more_than_the_limit_run_and_the_rest_keep_their_order() -> None:
    pool, done, running, most = TaskPool(limit=3), list[Any](), [0], [0]
    pool.start()

    def work(number: int) -> int:
        running[0] += 1
        most[0] = max(most[0], running[0])
        await_(asyncio.sleep(0.005))
        running[0] -= 1
        return number

    for number in range(30):
        apply(pool, lambda number=number: work(number), done)
    wait_until(lambda: len(done) == 30, "all are done")
    assert most == [3]
    assert done == sorted(done)
    pool.stop()


def test_each_task_has_a_context_of_its_own_and_its_coroutines_see_it(pool: TaskPool) -> None:
    done: list[Any] = []

    async def see() -> str:
        await asyncio.sleep(0.005)
        return NAME.get()

    def work(name: str) -> tuple[str, str]:
        NAME.set(name)
        return name, await_(see())

    for name in "abcdef":
        apply(pool, lambda name=name: work(name), done)
    wait_until(lambda: len(done) == 6, "all are done")
    assert all(name == seen for name, seen in done)


def test_a_soft_limit_can_be_caught_and_a_hard_one_cannot(pool: TaskPool) -> None:
    done: list[Any] = []

    def soft() -> str:
        try:
            await_(asyncio.sleep(20))
        except SoftTimeLimitExceeded:
            return "cleaned up"
        return "never"

    apply(pool, soft, done, soft_timeout=0.02)
    wait_until(lambda: done == ["cleaned up"], "the soft limit arrives")
    hard, reported = list[Any](), list[Any]()
    apply(
        pool, lambda: await_(asyncio.sleep(20)), hard, timeout=0.02, timeout_callback=lambda *how: reported.append(how)
    )
    wait_until(lambda: reported and pool.info["running"] == 0, "the hard limit ends it")
    assert (hard, reported) == ([], [(False, 0.02)])


def test_revoke_ends_a_running_task_and_no_other(pool: TaskPool) -> None:
    ended, kept = list[Any](), list[Any]()
    job = apply(pool, lambda: await_(asyncio.sleep(20)), ended)
    apply(pool, lambda: await_(asyncio.sleep(0.2, "kept")), kept)
    wait_until(lambda: pool.info["running"] == 2, "both run")
    job.terminate()
    wait_until(lambda: pool.info["running"] == 0, "both have ended")
    assert (ended, kept) == ([], ["kept"])


def test_an_interrupt_that_comes_between_two_awaits_is_not_lost(pool: TaskPool) -> None:
    seen: list[Any] = []

    def work() -> str:
        _running[getcurrent()].interrupt(Killed())
        try:
            await_(asyncio.sleep(20))
        except Killed:
            return "told at the next await"
        return "lost"

    apply(pool, work, seen)
    wait_until(lambda: seen == ["told at the next await"], "the interrupt arrives")


def test_a_warm_end_waits_for_what_runs_and_a_cold_one_does_not() -> None:
    warm, done = TaskPool(limit=10), list[Any]()
    warm.start()
    apply(warm, lambda: await_(asyncio.sleep(0.1, "done")), done)
    wait_until(lambda: warm.info["running"] == 1, "it runs")
    warm.stop()
    assert done == ["done"]

    cold, ended = TaskPool(limit=10), list[Any]()
    cold.start()
    apply(cold, lambda: await_(asyncio.sleep(60)), ended)
    wait_until(lambda: cold.info["running"] == 1, "it runs")
    cold.terminate()
    assert (cold.info["running"], ended) == (0, [])


def test_await_works_outside_the_pool_too() -> None:
    assert await_(asyncio.sleep(0.001, "here")) == "here"


def test_each_task_starts_in_a_fresh_context_also_when_another_one_made_room_for_it() -> None:
    pool, done = TaskPool(limit=1), list[Any]()
    pool.start()

    def work(name: str) -> str:
        before = NAME.get()
        NAME.set(name)
        await_(asyncio.sleep(0.001))
        return before

    for name in "abcdef":
        apply(pool, lambda name=name: work(name), done)
    wait_until(lambda: len(done) == 6, "all are done")
    assert set(done) == {""}
    pool.stop()


def test_a_coroutine_that_cleans_up_after_a_kill_is_not_disturbed_by_a_second_one(pool: TaskPool) -> None:
    seen: list[str] = []

    async def careful() -> None:
        try:
            await asyncio.sleep(20)
        finally:
            await asyncio.sleep(0.05)
            seen.append("cleaned up")

    job = apply(pool, lambda: await_(careful()), [])
    wait_until(lambda: pool.info["running"] == 1, "it runs")
    job.terminate()
    wait_until(lambda: job.running.killed, "it was told")
    job.terminate()
    wait_until(lambda: pool.info["running"] == 0, "it has ended")
    assert seen == ["cleaned up"]


def test_a_coroutine_is_told_that_it_has_await(pool: TaskPool) -> None:
    done: list[Any] = []

    async def wrong() -> str:
        try:
            await_(asyncio.sleep(0))
        except RuntimeError as error:
            return str(error)
        return "nothing was said"

    apply(pool, lambda: await_(wrong()), done)
    wait_until(lambda: done, "it is done")
    assert "a coroutine has `await`" in done[0]


def test_system_exit_in_a_task_ends_that_task_only(pool: TaskPool) -> None:
    done, failed = list[Any](), list[Any]()

    def leave() -> None:
        raise SystemExit(3)

    apply(pool, leave, done, error_callback=failed.append)
    apply(pool, lambda: await_(asyncio.sleep(0.01, "goes on")), done)
    wait_until(lambda: done and failed, "both have ended")
    assert done == ["goes on"]
    assert isinstance(failed[0].exception.exc, SystemExit)


def test_the_pool_grows_and_shrinks(pool: TaskPool) -> None:
    pool.shrink(99)
    assert pool.num_processes == 1
    gate, done = asyncio.Event(), list[Any]()
    for _ in range(3):
        apply(pool, lambda: await_(gate.wait()), done)
    wait_until(lambda: pool.info["running"] == 1, "one runs")
    pool.grow(2)
    wait_until(lambda: pool.info["running"] == 3, "three run")
    pool.thread.loop.call_soon_threadsafe(gate.set)
    wait_until(lambda: len(done) == 3, "all are done")


def test_a_forked_child_awaits_on_a_loop_of_its_own() -> None:
    assert await_(asyncio.sleep(0.001, "parent")) == "parent"
    child = os.fork()
    if child == 0:
        os._exit(7 if await_(asyncio.sleep(0.001, "child")) == "child" else 8)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 7
