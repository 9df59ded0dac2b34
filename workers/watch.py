"""Watches an event loop: code that blocks it is reported, with its stack and the task it belongs to."""

import sys
import threading
import traceback
from collections.abc import Callable

import structlog

from workers.greenlets import LoopThread

log = structlog.get_logger(__name__)
BLOCKED_AFTER_S = 1.0
LOOK_EVERY_S = 0.5
DEPTH = 8
"""Innermost frames that are reported."""


class Watch:
    """A thread that asks the loop for a turn twice a second and reports once when it gets none for a second."""

    def __init__(self, thread: LoopThread, whose: Callable[[], list[str]]) -> None:
        """`whose` names the tasks whose code the loop is in."""
        self.blocked = 0
        self._thread, self._whose = thread, whose
        self._closed = threading.Event()

    def start(self) -> None:
        """Begin to watch."""
        threading.Thread(target=self._run, name="surefoot-watch", daemon=True).start()

    def stop(self) -> None:
        """No more reports."""
        self._closed.set()

    def _run(self) -> None:
        while not self._closed.wait(LOOK_EVERY_S):
            turned = threading.Event()
            self._thread.loop.call_soon_threadsafe(turned.set)
            if turned.wait(BLOCKED_AFTER_S) or self._closed.is_set():
                continue
            self.blocked += 1
            log.warning("a task blocks the event loop", task=self._whose() or "unknown", stack=self._stack())
            while not turned.wait(LOOK_EVERY_S) and not self._closed.is_set():
                pass

    def _stack(self) -> str:
        frames = sys._current_frames()  # noqa: SLF001 # pyright: ignore[reportPrivateUsage] - the documented way
        frame = frames.get(self._thread.thread.ident or 0)
        return "".join(traceback.format_stack(frame)[-DEPTH:])
