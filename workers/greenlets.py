"""Celery's unpatched tracer on an event loop: each task is a greenlet of the loop's thread, which `await_` suspends."""

import asyncio
import atexit
import contextvars
import os
import threading
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any, TypeVar

from greenlet import getcurrent, greenlet

T = TypeVar("T")
LOOP_END_S = 1.0
"""How long the process's end waits for the loop's last turn."""


class Killed(BaseException):
    """The task was ended from outside: by revoke, its hard limit, or the worker's end."""


class LoopBlocked(RuntimeError):
    """The event loop was given up because a task blocks it; nothing can be awaited any more."""


class Running:
    """One task in its greenlet. Everything but the constructor happens on the loop's thread."""

    def __init__(self, work: Callable[[], None], ended: Callable[[], None]) -> None:
        self._work, self._ended = work, ended
        self._greenlet: greenlet | None = None
        self._awaited: asyncio.Future[Any] | None = None
        self._interrupt: BaseException | None = None
        self._killed = False

    def start(self, context: contextvars.Context) -> None:
        """Run until the first await, in a context of the task's own."""
        self._greenlet = greenlet(self._run)
        self._greenlet.gr_context = context
        _running[self._greenlet] = self
        self._resume()

    def wait(self, awaitable: Awaitable[T]) -> T:
        """Suspend the greenlet until the awaitable is done."""
        assert self._greenlet is not None
        assert self._greenlet.parent is not None
        if self._interrupt is not None:
            _close(awaitable)
            raise self._take_interrupt()
        future = self._awaited = asyncio.ensure_future(awaitable, loop=asyncio.get_running_loop())
        future.add_done_callback(self._resume)
        self._greenlet.parent.switch()
        self._awaited = None
        if self._interrupt is not None and future.cancelled():
            raise self._take_interrupt()
        return future.result()

    def interrupt(self, error: BaseException, *, again: bool = False) -> None:
        """Raise this where the task awaits; when it does not await now, at its next await.

        A task is killed once, so that its coroutine can clean up undisturbed; `again` disturbs that too.
        """
        if self._killed and not again:
            return
        self._killed = self._killed or isinstance(error, Killed)
        self._interrupt = error
        if self._awaited is not None:
            self._awaited.cancel()

    @property
    def killed(self) -> bool:
        """Whether somebody ended it from outside."""
        return self._killed

    def is_turning(self, coroutine: "asyncio.Task[Any] | None") -> bool:
        """Whether the loop is in this task's code now, given the coroutine that the loop is in."""
        return _turn.running is self or (coroutine is not None and coroutine is self._awaited)

    def _take_interrupt(self) -> BaseException:
        error, self._interrupt = self._interrupt, None
        assert error is not None
        return error

    def _resume(self, _: object = None) -> None:
        assert self._greenlet is not None
        _turn.running = self
        self._greenlet.switch()
        _turn.running = None

    def _run(self) -> None:
        try:
            self._work()
        finally:
            del _running[getcurrent()]
            self._ended()


class _Turn:
    """Whose synchronous code the loop is in; read by the one who watches it."""

    running: Running | None = None


_turn = _Turn()
_running: dict[greenlet, Running] = {}


def in_greenlet() -> bool:
    """Whether this is the synchronous code of a task in the asyncio pool."""
    return getcurrent() in _running


def await_(awaitable: Awaitable[T]) -> T:
    """Wait for an awaitable from task code, in any pool.

    In the asyncio pool the task's greenlet is suspended and the loop goes on; in other pools the awaitable runs on
    one loop thread of the process and this thread waits.

    Raises:
        RuntimeError: called from a coroutine, which has `await`; or LoopBlocked: the loop was given up.
    """
    running = _running.get(getcurrent())
    if running is not None:
        return running.wait(awaitable)
    if asyncio._get_running_loop() is not None:  # noqa: SLF001 - documented; its public twin raises instead
        _close(awaitable)
        raise RuntimeError("await_() is for a task's synchronous code; a coroutine has `await`")
    thread = loops.here()
    if thread.given_up:
        _close(awaitable)
        raise LoopBlocked("a task blocks the event loop for good")
    return asyncio.run_coroutine_threadsafe(_coroutine(awaitable), thread.loop).result()


async def _coroutine(awaitable: Awaitable[T]) -> T:
    return await awaitable


def _close(awaitable: Awaitable[Any]) -> None:
    """A coroutine that is never awaited would complain when collected."""
    if isinstance(awaitable, Coroutine):
        awaitable.close()


class LoopThread:
    """An event loop in a thread of its own, until the process ends."""

    def __init__(self) -> None:
        self.loop, self.given_up = asyncio.new_event_loop(), False
        self.thread = threading.Thread(target=self._run, name="surefoot-loop", daemon=True)
        self.thread.start()
        self._pid = os.getpid()
        atexit.register(self._end)

    def _run(self) -> None:
        asyncio.set_event_loop(self.loop)
        self.loop.run_forever()

    def _end(self) -> None:
        """A thread that still runs Python while the interpreter goes down may crash it."""
        if self._pid == os.getpid():
            self.loop.call_soon_threadsafe(self.loop.stop)
            self.thread.join(0 if self.given_up else LOOP_END_S)


class Loops:
    """The loop thread of this process; a forked child starts its own."""

    def __init__(self) -> None:
        self._thread: LoopThread | None = None
        self._starting = threading.Lock()
        os.register_at_fork(after_in_child=self._forked)

    def here(self) -> LoopThread:
        """The loop thread, started when first asked for."""
        with self._starting:
            if self._thread is None:
                self._thread = LoopThread()
            return self._thread

    def _forked(self) -> None:
        self._thread, self._starting = None, threading.Lock()
        _running.clear()


loops = Loops()


def loop() -> asyncio.AbstractEventLoop:
    """The event loop on which this process's steps run."""
    return loops.here().loop
