"""Carries finished spans, and log lines, out of the process in batches, on a thread of its own.

Not OpenTelemetry's `BatchSpanProcessor`: that waits up to 30 s for a dead exporter at exit, starts a thread in every
forked child, and cannot bound a flush. This one starts its thread with the first span and never holds anybody up.
"""

import collections
import logging
import os
import threading
import time
import weakref
from collections.abc import Callable, Iterator, Sequence
from typing import Any, Generic, TypeVar

from opentelemetry.instrumentation.utils import suppress_instrumentation

T = TypeVar("T")
Export = Callable[[Sequence[T]], None]

THREAD = "surefoot-spans"
ROOM = 8_192
BATCH = 512
EVERY_S = 0.25

log = logging.getLogger(__name__)


class Batches(Generic[T]):
    """A queue of finished spans and the thread that exports them; full or failing, it counts what is lost."""

    def __init__(self, to: str, export: Export[T], *, pause_s: float, what: str = "spans") -> None:
        """`pause_s`: how long after a failure no further attempt is made. `what` is carried, in the plural."""
        self.to, self.what = to, what
        self._export = export
        self._pause_s = pause_s
        self._begin()
        _alive.add(self)

    def _begin(self) -> None:
        self.lost = 0
        self._queue: collections.deque[T] = collections.deque()
        self._flushes: collections.deque[threading.Event] = collections.deque()
        self._filled, self._hurry = threading.Event(), threading.Event()
        self._starting = threading.Lock()
        self._thread: threading.Thread | None = None
        self._stopped = False
        self._resume_at = 0.0

    def after_fork(self) -> None:
        """In a forked child: the parent's thread is not here, and its spans are the parent's to send."""
        stopped = self._stopped
        self._begin()
        self._stopped = stopped

    def add(self, one: T) -> None:
        """Take over a finished span, or whatever is carried."""
        if self._stopped or len(self._queue) >= ROOM:
            self.lost += 1
            return
        self._queue.append(one)
        if self._thread is None:
            self._start()
        if not self._filled.is_set():
            self._filled.set()
        if len(self._queue) >= BATCH and not self._hurry.is_set():
            self._hurry.set()

    def flush(self, timeout_s: float) -> bool:
        """Send what is here; False if that did not succeed in time."""
        if self._thread is None:
            return True
        done = threading.Event()
        self._flushes.append(done)
        self._filled.set()
        self._hurry.set()
        return done.wait(timeout_s) and self._resume_at == 0

    def stop(self, timeout_s: float) -> None:
        """Flush, and take no more."""
        self.flush(timeout_s)
        self._stopped = True
        self._filled.set()
        self._hurry.set()

    def _start(self) -> None:
        with self._starting:
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, name=f"{THREAD}-{self.to}", daemon=True)
                self._thread.start()

    def _run(self) -> None:
        with suppress_instrumentation():  # sending spans makes none
            while not self._stopped:
                self._filled.wait()
                self._hurry.wait(EVERY_S)
                self._filled.clear()
                self._hurry.clear()
                self._drain()

    def _drain(self) -> None:
        flushes = [self._flushes.popleft() for _ in range(len(self._flushes))]
        while self._queue:
            self._send([self._queue.popleft() for _ in range(min(BATCH, len(self._queue)))])
        for done in flushes:
            done.set()

    def _send(self, batch: list[T]) -> None:
        if self._resume_at and time.monotonic() < self._resume_at:
            self.lost += len(batch)
            return
        try:
            self._export(batch)
        except Exception as error:  # noqa: BLE001 - whatever an exporter raises, the job goes on
            self.lost += len(batch)
            if not self._resume_at:
                why = f"{type(error).__name__}: {error}"
                log.warning("%s are being lost: %s does not take them: %s", self.what, self.to, why)
            self._resume_at = time.monotonic() + self._pause_s
        else:
            if self._resume_at:
                log.warning("%s are taken again by %s; %d were lost", self.what, self.to, self.lost)
            self._resume_at = 0.0


_alive: "weakref.WeakSet[Batches[Any]]" = weakref.WeakSet()


def lost() -> Iterator[tuple[str, str, int]]:
    """What this process has lost so far: what it was, where it was to go, and how many."""
    for batches in list(_alive):
        yield batches.what, "otlp" if batches.to.startswith("OTLP") else batches.to, batches.lost


def _after_fork() -> None:
    for batches in list(_alive):
        batches.after_fork()


os.register_at_fork(after_in_child=_after_fork)
