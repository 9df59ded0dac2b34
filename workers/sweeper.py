"""`surefoot sweeper`: sweeps until SIGTERM, or once; counts what there is; removes what dead fleets left behind."""

import argparse
import json
import os
import signal
import socket
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import structlog

from orchestrator.application import application
from orchestrator.canvas import Canvas
from orchestrator.embedded import leftovers
from orchestrator.errors import SurefootError
from orchestrator.settings import InvalidSettings, Settings, load
from orchestrator.state.client import ReplyError, without_loop
from orchestrator.state.sweeping import Census, SweepStore
from orchestrator.telemetry import names
from orchestrator.telemetry.logging import configure
from orchestrator.telemetry.metrics import Metrics, Readings, start
from orchestrator.telemetry.names import Metric
from orchestrator.telemetry.redaction import redact_text
from orchestrator.workflow import catalogue
from workers import health
from workers.heart import Heart
from workers.sweeping import Sweeper, store

log = structlog.get_logger(__name__)
TIDY_EVERY_S = 60.0


def main() -> int:
    """Exit codes: 0 ended in order, 1 Redis or the broker cannot be reached, 2 wrong usage or settings."""
    parser = argparse.ArgumentParser(prog="surefoot sweeper", description="Puts right what a crash left.")
    parser.add_argument("--once", action="store_true", help="sweep once, print the report, end")
    parser.add_argument("--json", action="store_true", help="with --once: for programs")
    options = parser.parse_args()
    if options.json and not options.once:
        parser.error("--json needs --once")
    try:
        settings = load()
        configure(settings, "surefoot-sweeper")
        catalogue.load(settings.workflows)
        return once(settings, as_json=options.json) if options.once else serve(settings)
    except InvalidSettings as error:
        return _said(error, 2)
    except (SurefootError, ReplyError, OSError) as error:
        return _said(error, 1)


def _said(error: Exception, code: int) -> int:
    print(f"surefoot sweeper: {redact_text(str(error))}", file=sys.stderr)  # noqa: T201 - what a person or script reads
    return code


def once(settings: Settings, *, as_json: bool) -> int:
    """Sweep once and print the counted report."""
    began = time.monotonic()
    found = Sweeper(settings, Canvas(application(settings)), Metrics()).sweep()
    doubts = without_loop(store(settings, 0).doubts())
    report: dict[str, Any] = {
        **found.counts,
        "removed_files": [str(path) for path in leftovers.clear(settings.home)],
        "calls_in_doubt": doubts.calls,
        "jobs_in_doubt": doubts.jobs,
        "oldest_doubt_s": round(doubts.oldest_s, 3),
        "redriven": [f"{lost.job_id}.{lost.step}" for lost in found.steps],
        "seconds": round(time.monotonic() - began, 3),
    }
    print(json.dumps(report) if as_json else "\n".join(_lines(report)))  # noqa: T201 - the report
    return 0


def _lines(report: Mapping[str, Any]) -> Iterator[str]:
    for name, value in report.items():
        yield f"{name.replace('_', ' '):24}{len(value) if isinstance(value, list) else value}"


def serve(settings: Settings) -> int:
    """Sweep until SIGTERM or SIGINT."""
    done = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda _number, _frame: done.set())
    metrics = start(settings, "surefoot-sweeper")
    sweeper = Sweeper(settings, Canvas(application(settings)), metrics)
    metrics.watch(*GAUGES, look=_looker(store(settings, 0)))
    page = health.serve(settings, sweeper, metrics)
    sweeper.start()
    name = f"sweeper@{socket.gethostname()}/{os.getpid()}"
    heart = Heart(settings, name, "sweeper", lambda: {"swept": dict(sweeper.swept)})
    log.info("sweeper started", every_s=settings.sweep_s, grace_s=settings.grace_s, port=settings.metrics_port or None)
    tidy(settings)
    while not done.wait(TIDY_EVERY_S):
        tidy(settings)
    sweeper.stop()
    heart.stop()
    if page is not None:
        page.close()
    metrics.stop()
    return 0


def tidy(settings: Settings) -> None:
    """Remove what a dead fleet or embedded server left in the home."""
    try:
        removed = leftovers.clear(settings.home)
    except OSError as error:
        log.warning("files of a dead fleet could not be removed", error=str(error))
        return
    if removed:
        log.info("files of a dead fleet removed", files=[str(path) for path in removed])


GAUGES = (
    *(Metric.JOBS, Metric.JOBS_OLDEST, Metric.JOBS_REACHED, Metric.QUEUE_DEPTH, Metric.QUEUE_OLDEST, Metric.LEASES),
    *(Metric.AGAIN, Metric.CALLS_IN_DOUBT, Metric.JOBS_IN_DOUBT, Metric.PROCESSES),
    *(Metric.REDIS_MEMORY, Metric.REDIS_MEMORY_LIMIT),
)


def _looker(of: SweepStore) -> Callable[[], Readings]:
    def look() -> Readings:
        try:
            census, doubts = without_loop(of.census()), without_loop(of.doubts())
        except (SurefootError, ReplyError) as error:
            log.warning("nothing was counted", error=str(error))
            return {}
        return {
            **_jobs(census),
            Metric.QUEUE_DEPTH: [(depth, {names.QUEUE: queue}) for queue, (depth, _) in census.queues.items()],
            Metric.QUEUE_OLDEST: [(oldest_s, {names.QUEUE: queue}) for queue, (_, oldest_s) in census.queues.items()],
            Metric.LEASES: [(census.leases, {})],
            Metric.AGAIN: [(census.again, {})],
            Metric.CALLS_IN_DOUBT: [(doubts.calls, {})],
            Metric.JOBS_IN_DOUBT: [(doubts.jobs, {})],
            Metric.PROCESSES: [
                (census.alive, {names.PROCESS_STATE: "alive"}),
                (census.silent, {names.PROCESS_STATE: "silent"}),
            ],
            Metric.REDIS_MEMORY: [(census.memory, {})] if census.memory else [],
            Metric.REDIS_MEMORY_LIMIT: [(census.memory_limit, {})] if census.memory_limit else [],
        }

    return look


def _jobs(census: Census) -> Readings:
    oldest = [(old_s, {names.STATUS: status}) for status, old_s in census.oldest.items() if not status.final]
    reached = [
        (count, {names.STATUS: status, names.WORKFLOW: workflow})
        for (status, workflow), count in census.reached.items()
    ]
    return {
        Metric.JOBS: [(count, {names.STATUS: status}) for status, count in census.jobs.items()],
        Metric.JOBS_OLDEST: oldest,
        Metric.JOBS_REACHED: reached,
    }


if __name__ == "__main__":
    sys.exit(main())
