"""Puts right what a crash left: in every worker, and alone as `python -m workers.sweeper`."""

import signal
import threading
from collections.abc import Callable, Iterable
from pathlib import Path

import structlog

from orchestrator import connect
from orchestrator.canvas import Canvas, WireForms, application
from orchestrator.errors import SurefootError
from orchestrator.settings import Settings, load
from orchestrator.state import keys
from orchestrator.state.client import ReplyError, SyncClient, without_loop
from orchestrator.state.scripts import Scripts
from orchestrator.state.sweeping import Found, SweepStore
from orchestrator.telemetry import traceparent
from orchestrator.telemetry.logging import configure
from orchestrator.workflow import catalogue

log = structlog.get_logger(__name__)


class Sweeper:
    """Sweeps again and again in a thread of its own. Several at once are harmless: a step is given to one of them."""

    def __init__(self, settings: Settings, canvas: Canvas) -> None:
        self._settings, self._canvas = settings, canvas
        client = SyncClient(connect.state_url(settings), settings.redis_patience_s)
        scripts = Scripts(client, WireForms(settings).message() if settings.outbox else "")
        self._store = SweepStore(scripts, settings.grace_s, settings.retention_s)
        self._closed = threading.Event()
        self._thread = threading.Thread(target=self._run, name="surefoot-sweeper", daemon=True)

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def stop(self) -> None:
        """End after the sweep in progress."""
        self._closed.set()

    def sweep(self) -> Found:
        """Look once."""
        if self._settings.outbox:
            found = without_loop(self._store.sweep())
        else:
            queues, asked_ms = without_loop(self._store.waiting_queues())
            found = without_loop(self._store.sweep(self._canvas.empty(queues), asked_ms))
            for lost in found.steps:
                self._canvas.redrive(lost, traceparent(lost.job_id))
        heartbeat(self._settings).touch()
        return found

    def _run(self) -> None:
        while not self._closed.wait(self._settings.sweep_s):
            _logged(self.sweep)


def heartbeat(settings: Settings) -> Path:
    """A file that every sweep touches, which it can only when Redis answers: `python -m workers.health` looks at it."""
    settings.home.mkdir(parents=True, exist_ok=True)
    return settings.home / "heartbeat"


def _logged(sweep: Callable[[], Found]) -> None:
    """Sweep; what is not reached now is found next time, since the record keeps it."""
    try:
        found = sweep()
    except (SurefootError, ReplyError, OSError) as error:
        log.warning("sweep failed", error=f"{type(error).__name__}: {error}")
        return
    except Exception:  # the broker's client raises anything; a sweeper that ends would be worse
        log.exception("sweep failed")
        return
    if found:
        counts = {name: count for name, count in found.counts.items() if count}
        log.info("swept", **counts, steps=_some(f"{lost.job_id}.{lost.step}" for lost in found.steps))


def _some(names: Iterable[str], most: int = 10) -> list[str]:
    listed = list(names)
    return [*listed[:most], f"and {len(listed) - most} more"] if len(listed) > most else listed


def main() -> None:
    """The sweeper as a service of its own, until SIGTERM or SIGINT."""
    settings = load()
    configure(settings, "surefoot-sweeper")
    catalogue.load(settings.workflows)
    done = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda _number, _frame: done.set())
    sweeper = Sweeper(settings, Canvas(application(settings)))
    sweeper.start()
    log.info("sweeper started", every_s=settings.sweep_s, grace_s=settings.grace_s, key=keys.PREFIX)
    done.wait()
    sweeper.stop()


if __name__ == "__main__":
    main()
