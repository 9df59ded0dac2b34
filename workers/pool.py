"""A Celery pool on one event loop: thousands of tasks in flight in one process, with limits, revoke and a clean end.

Used with CELERY_CUSTOM_WORKER_POOL=workers.pool:TaskPool and `--pool custom`; `python -m workers` sets both.
"""

import asyncio
import contextvars
import itertools
import os
import threading
import time
from collections import deque
from collections.abc import Callable
from typing import Any

import structlog
from billiard.einfo import ExceptionInfo
from celery.concurrency.base import BasePool
from celery.exceptions import ImproperlyConfigured, SoftTimeLimitExceeded
from celery.utils.threads import LocalStack
from celery.worker.request import Request

from workers.greenlets import Killed, LoopThread, Running, await_, loop, loops
from workers.patience import Patience
from workers.watch import Watch

__all__ = ["TaskPool", "await_", "loop"]

log = structlog.get_logger(__name__)
CUT_S = 5.0
"""How long tasks that were told to end may take to do so."""
NUDGE_S = 2.0
"""When a task that was killed and goes on is told again: its cleaning up may need the network, on a busy machine."""
FORCE_S = 10.0
"""How long after that the process may still take to end by itself, unless it says `surefoot_force_s`."""
STARTS_A_TURN = 64
"""More would delay the tasks that already run."""


class Job:
    """What Celery's request holds of a task: its place in the line, its limits, and the way to end it."""

    def __init__(self, pool: "TaskPool", target: Callable[..., Any], args: Any, kwargs: Any, options: Any) -> None:
        self.number = next(_numbers)
        self.running = Running(self._work, self._ended)
        self.name = f"{args[0]}[{args[1]}]" if len(args) > 1 else repr(target)  # the tracer's: task name and id
        request = getattr(options["callback"], "__self__", None)
        self.request = request if isinstance(request, Request) else None
        self._pool, self._target, self._args, self._kwargs, self._options = pool, target, args, kwargs, options
        self._timers: list[asyncio.TimerHandle] = []

    def start(self, context: contextvars.Context) -> None:
        """On the loop's thread: set the limits and run."""
        soft = self._options.get("soft_timeout") or self._pool.soft_limit_s
        hard = self._options.get("timeout") or self._pool.hard_limit_s
        if soft:
            self._after(soft, self._soft_limit, soft)
        if hard:
            self._after(hard, self._hard_limit, hard)
        self.running.start(context)

    def terminate(self, signal: Any = None) -> None:
        """Celery's request asks for this at revoke(terminate=True)."""
        self._pool.terminate_job(self.number, signal)

    def kill(self, *, again: bool = False) -> None:
        """On the loop's thread: end it at its await; tell it again later if it goes on nevertheless."""
        self.running.interrupt(Killed(), again=again)
        self._after(NUDGE_S, self._nudge)

    def _nudge(self) -> None:
        self.kill(again=True)

    def _after(self, delay_s: float, call: Callable[..., None], *args: Any) -> None:
        self._timers.append(self._pool.thread.loop.call_later(delay_s, call, *args))

    def _soft_limit(self, seconds: float) -> None:
        self._report(True, seconds)
        self.running.interrupt(SoftTimeLimitExceeded(seconds))

    def _hard_limit(self, seconds: float) -> None:
        self._report(False, seconds)  # Celery records the failure here; the end of the task says nothing more
        self.kill()

    def _report(self, soft: bool, seconds: float) -> None:
        try:
            self._options.get("timeout_callback", _nothing)(soft, seconds)
        except Exception:  # Celery's and the user's code on failure; the limit holds nevertheless
            log.exception("pool: reporting a time limit failed", task=self.name)

    def _work(self) -> None:
        """In the greenlet: say that it starts, run the tracer, pass on what it answers."""
        report = self._options["callback"]
        try:
            if self.request is not None and self.request.revoked():
                return
            self._options.get("accept_callback", _nothing)(self.number, time.monotonic())
            if self.running.killed:  # revoked with terminate=True while it waited
                return
            outcome = self._target(*self._args, **self._kwargs)
        except Killed:
            return  # whoever killed it has told Celery why; what nobody recorded is given back to the broker
        except BaseException:  # noqa: BLE001 - SystemExit and the like would end the loop and all other tasks
            report, outcome = self._options.get("error_callback", _nothing), ExceptionInfo()
        try:
            report(outcome)
        except Exception:  # Celery's own bookkeeping, e.g. an event while the broker is away
            log.exception("pool: reporting a task's end failed", task=self.name)

    def _ended(self) -> None:
        for timer in self._timers:
            timer.cancel()
        self._pool.ended(self)


_numbers = itertools.count(1)


def _nothing(*_: Any) -> None:
    """For callbacks that Celery may leave out."""


class TaskPool(BasePool):
    """Never more than `limit` tasks run; the others wait in order."""

    body_can_be_buffer = True
    signal_safe = False
    task_join_will_block = False
    limit: int

    def __init__(
        self, *args: Any, timeout: float | None = None, soft_timeout: float | None = None, **kwargs: Any
    ) -> None:
        super().__init__(*args, **kwargs)
        self.hard_limit_s, self.soft_limit_s = timeout, soft_timeout
        self._running: dict[int, Job] = {}
        self._waiting: deque[Job] = deque()
        self._woken, self._closed = False, False
        self._patience = Patience(self.app)

    def on_start(self) -> None:
        """Start the loop and the one who watches it."""
        if LocalStack.__name__ == "_FastLocalStack":
            raise ImproperlyConfigured("USE_FAST_LOCALS is set: tasks of this pool would see each other's request")
        self._context = contextvars.copy_context()
        self.thread: LoopThread = loops.here()
        self._watch = Watch(self.thread, self._turning)
        self._watch.start()

    def on_apply(  # pyright: ignore[reportIncompatibleMethodOverride] - the base class returns nothing and lets us
        self, target: Callable[..., Any], args: Any = None, kwargs: Any = None, **options: Any
    ) -> Job:
        """Queue a task for the loop's next turn."""
        job = Job(self, target, args or (), kwargs or {}, options)
        self._waiting.append(job)
        self._wake()
        return job

    def _wake(self) -> None:
        if not self._woken:
            self._woken = True
            self.thread.loop.call_soon_threadsafe(self._start_waiting)

    def _start_waiting(self) -> None:
        self._woken = False
        for _ in range(STARTS_A_TURN):
            if self._closed or not self._waiting or len(self._running) >= self.limit:
                return
            job = self._waiting.popleft()
            self._running[job.number] = job
            job.start(self._context.copy())
        self._wake()

    def ended(self, job: Job) -> None:
        """On the loop's thread: a task has ended, another may start."""
        del self._running[job.number]
        if self._waiting:
            self._wake()

    def terminate_job(self, pid: int, signal: Any = None) -> None:  # noqa: ARG002 - no process to signal
        """End a running task at its await."""
        job = self._running.get(pid)
        if job is not None:
            self.thread.loop.call_soon_threadsafe(job.kill)

    def never_started(self) -> list[Request]:
        """The tasks that a closed pool will not start any more."""
        return [job.request for job in list(self._waiting) if job.request is not None]

    def on_close(self) -> None:
        """The worker is about to stop: nothing more is started."""
        self._closed = True

    def on_stop(self) -> None:
        """Warm: what runs may end within the grace, unless a second signal says otherwise.

        Also called within Celery's signal handler, in the middle of itself: so no locks, and it can be repeated.
        """
        self._closed = True
        self._patience.begin()
        self._wait_until_idle(lambda: self._patience.over or self._state == self.TERMINATE)
        self._cut()

    def on_terminate(self) -> None:
        """Cold: what runs is ended now; a task that blocks the loop is left behind when the process ends."""
        self._closed = True
        self._cut()

    def _wait_until_idle(self, over: Callable[[], bool]) -> None:
        while self._running and not over():
            time.sleep(0.02)

    def _cut(self) -> None:
        cut = len(self._running)
        if cut:
            log.warning("pool: tasks are ended before their time", tasks=cut)
            self.thread.loop.call_soon_threadsafe(self._kill_all)
            end = time.monotonic() + CUT_S
            self._wait_until_idle(lambda: time.monotonic() >= end)
        self._watch.stop()
        left = [job.name for job in list(self._running.values())]
        if left:
            self.thread.given_up = True
            log.error("pool: tasks do not end and are left behind", tasks=left[:10], count=len(left))
        urgent = self._patience.urgent or self._state == self.TERMINATE
        if self.app is not None and (left or urgent):
            _end_by_force_after(self.app.conf.get("surefoot_force_s", FORCE_S))

    def _kill_all(self) -> None:
        for job in list(self._running.values()):
            job.kill()

    def _turning(self) -> list[str]:
        coroutine = asyncio.current_task(self.thread.loop)
        return [job.name for job in list(self._running.values()) if job.running.is_turning(coroutine)]

    @property
    def blocked(self) -> int:
        """How often code blocked the loop for more than a second."""
        return self._watch.blocked

    def grow(self, n: int = 1) -> None:
        """Flower and `celery control pool_grow` ask for this."""
        self.limit += n
        self._wake()

    def shrink(self, n: int = 1) -> None:
        """The same with pool_shrink; what runs goes on."""
        self.limit = max(1, self.limit - n)

    @property
    def num_processes(self) -> int:
        """How many tasks run at once."""
        return self.limit

    def _get_info(self) -> dict[str, Any]:
        numbers = {"running": len(self._running), "waiting": len(self._waiting), "blocked": self.blocked}
        return {**super()._get_info(), **numbers}


def _end_by_force_after(seconds: float) -> None:
    """A thread that a task left behind (asyncio.to_thread) can keep the interpreter from ending for ever."""

    def end() -> None:
        log.error("worker: ended by force, a thread of a task does not end")
        os._exit(os.EX_SOFTWARE)

    timer = threading.Timer(seconds, end)
    timer.daemon = True
    timer.start()
