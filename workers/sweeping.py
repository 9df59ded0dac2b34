"""Puts right what a crash left, again and again: in every worker, and as a service of its own."""

import threading
import time
from collections import Counter
from collections.abc import Iterable

import structlog

from orchestrator import connect
from orchestrator.canvas import Canvas, WireForms
from orchestrator.errors import BrokerUnavailable, SurefootError
from orchestrator.settings import Settings
from orchestrator.state.client import ReplyError, SyncClient, without_loop
from orchestrator.state.scripts import Scripts
from orchestrator.state.sweeping import Found, SweepStore
from orchestrator.telemetry import names, traceparent
from orchestrator.telemetry.metrics import Metrics
from orchestrator.telemetry.names import Metric, Outcome

log = structlog.get_logger(__name__)
LATE_S = 30.0
"""No sweep for so long, and one more pause between two, is an ailment."""
ITS_TURN = 0.8
"""Of the pause between two sweeps: for so long no other sweeper sweeps."""


def store(settings: Settings, patience_s: float) -> SweepStore:
    """A sweep store with a connection of its own."""
    client = SyncClient(connect.state_url(settings), patience_s)
    scripts = Scripts(client, WireForms(settings).message() if settings.outbox else "")
    return SweepStore(scripts, settings.grace_s, settings.retention_s)


class Sweeper:
    """Sweeps in a thread of its own. Several at once are harmless: they take turns; a step is given to one of them."""

    def __init__(self, settings: Settings, canvas: Canvas, metrics: Metrics) -> None:
        self._settings, self._canvas, self._metrics = settings, canvas, metrics
        self._store, self._asking = store(settings, settings.redis_patience_s), store(settings, 0)
        self._closed = threading.Event()
        self._thread = threading.Thread(target=self._run, name="surefoot-sweeper", daemon=True)
        self._well_at, self._error = time.monotonic(), ""
        self.swept = Counter[str]()
        """What it has put right since it was made, by name."""
        metrics.add(Metric.REDRIVES, 0)  # shown from the start, so that an alert sees the first one
        metrics.add(Metric.SWEEPS, 0, {names.OUTCOME: Outcome.FAILED})
        for name in Found().counts:
            metrics.add(Metric.FINDINGS, 0, {names.FINDING: name})

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def stop(self) -> None:
        """End after the sweep in progress."""
        self._closed.set()

    def sweep(self) -> Found:
        """Look once, and enqueue what is found.

        Raises:
            BrokerUnavailable: what needs no message was put right, the rest is found again later.
        """
        if self._settings.outbox:
            return without_loop(self._store.sweep())
        queues, asked_ms = without_loop(self._store.waiting_queues())
        try:
            empty = self._canvas.empty(queues)
        except BrokerUnavailable:
            without_loop(self._store.sweep(None))
            raise
        found = without_loop(self._store.sweep(empty, asked_ms))
        for lost in found.steps:
            self._canvas.redrive(lost, traceparent(lost.job_id))
        return found

    def ailment(self) -> str:
        """Why nobody should rely on it: Redis does not answer, or no sweep has succeeded lately. Empty: all is well."""
        try:
            without_loop(self._asking.ping())
        except (SurefootError, ReplyError) as error:
            return str(error)
        quiet_s = time.monotonic() - self._well_at
        if quiet_s < LATE_S + self._settings.sweep_s:
            return ""
        return f"the last sweep was {quiet_s:.0f} s ago{': ' if self._error else ''}{self._error}"

    def _run(self) -> None:
        for danger in without_loop(self._asking.dangers()):
            log.warning("Redis may lose jobs", why=danger)
        while not self._closed.wait(self._settings.sweep_s):
            try:
                if without_loop(self._store.turn(ITS_TURN * self._settings.sweep_s)):
                    self._counted()
            except (SurefootError, ReplyError, OSError) as error:
                self._failed(error)
                log.warning("sweep failed", error=self._error)
            except Exception as error:  # the broker's client raises anything; a sweeper that ends would be worse
                self._failed(error)
                log.exception("sweep failed")
            else:
                self._well_at, self._error = time.monotonic(), ""

    def _failed(self, error: Exception) -> None:
        """What is not reached now is found next time, since the record keeps it."""
        self._error = f"{type(error).__name__}: {error}"
        self._metrics.add(Metric.SWEEPS, labels={names.OUTCOME: Outcome.FAILED})

    def _counted(self) -> None:
        began = time.monotonic()
        found = self.sweep()
        self._metrics.record(Metric.SWEEP_DURATION, time.monotonic() - began)
        self._metrics.add(Metric.SWEEPS, labels={names.OUTCOME: Outcome.SUCCEEDED})
        counts = {name: count for name, count in found.counts.items() if count}
        self.swept.update(counts)
        for name, count in counts.items():
            self._metrics.add(Metric.FINDINGS, count, {names.FINDING: name})
        if found.steps:
            self._metrics.add(Metric.REDRIVES, len(found.steps))
        if found:
            log.info("swept", **counts, steps=_some(f"{lost.job_id}.{lost.step}" for lost in found.steps))


def _some(named: Iterable[str], most: int = 10) -> list[str]:
    listed = list(named)
    return [*listed[:most], f"and {len(listed) - most} more"] if len(listed) > most else listed
