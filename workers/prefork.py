"""Celery's prefork pool with a bound on its stop: after the grace the children give their steps back and end."""

import os
import threading
import time
from collections.abc import Generator
from contextlib import contextmanager
from signal import SIGKILL, SIGTERM
from typing import Any

import structlog
from celery.concurrency import prefork

from workers.patience import Patience

log = structlog.get_logger(__name__)
CUT_S = 10.0
"""How long children may take to give their steps back, before they are killed."""
LOOK_S = 0.05


class TaskPool(prefork.TaskPool):
    """A child that gets SIGTERM gives back what it runs (`Workshop.close`); a second one would cut that short."""

    _pool: Any

    def on_start(self) -> None:
        """Start the children."""
        self._patience, self._told = Patience(self.app), set[int]()
        super().on_start()
        self.terminate_job = self._tell

    def on_stop(self) -> None:
        """Warm: what runs may end within the grace."""
        self._patience.begin()
        with self._bounded():
            super().on_stop()

    def on_terminate(self) -> None:
        """Cold: what runs is given back now."""
        if self._pool is not None:
            self._cut(list(self._pool._pool))  # noqa: SLF001 - the pool of Celery's pool
        super().on_terminate()

    def _tell(self, pid: int, signal: int | None = None) -> None:
        """SIGTERM, once a child; revoke(terminate=True, signal=...) may ask for another signal."""
        if signal in {None, SIGTERM}:
            if pid in self._told:
                return
            self._told.add(pid)
        self._pool.terminate_job(pid, signal)

    @contextmanager
    def _bounded(self) -> Generator[None]:
        """While Celery joins the children in this thread, another one watches the clock and the signals."""
        done = threading.Event()
        children = list(self._pool._pool) if self._pool is not None else []  # noqa: SLF001 - as above
        watch = threading.Thread(target=self._watch, args=(children, done), name="surefoot-patience", daemon=True)
        watch.start()
        try:
            yield
        finally:
            done.set()
            watch.join()

    def _watch(self, children: list[Any], done: threading.Event) -> None:
        while not done.wait(LOOK_S):
            if self._patience.over:
                self._cut(children)
                return

    def _cut(self, children: list[Any]) -> None:
        alive = [child for child in children if child._is_alive()]  # noqa: SLF001 - polls without asserting a parent
        if not alive:
            return
        log.warning("pool: tasks are ended before their time", children=len(alive))
        for child in alive:
            self._tell(child.pid)
        end = time.monotonic() + CUT_S
        while alive and time.monotonic() < end:
            time.sleep(LOOK_S)
            alive = [child for child in alive if child._is_alive()]  # noqa: SLF001
        for child in alive:
            log.error("pool: a child does not end and is killed", pid=child.pid)
            os.kill(child.pid, SIGKILL)
