"""The Celery application: `celery -A workers.app worker`, or `python -m workers`."""

import gc
import logging
import os
from collections.abc import Mapping
from contextlib import ExitStack
from functools import partial
from typing import Any

import structlog
from celery import bootsteps, signals
from kombu.transport import TRANSPORT_ALIASES

import celeryconfig
from orchestrator import connect
from orchestrator.application import application
from orchestrator.canvas import Canvas
from orchestrator.settings import InvalidSettings, load
from orchestrator.state import keys
from orchestrator.telemetry.logging import configure, stop
from orchestrator.workflow import catalogue
from workers import health, tasks
from workers.aside import Aside
from workers.heart import Heart
from workers.meter import metrics
from workers.sweeping import Sweeper
from workers.transport import Acks
from workers.unknown import Unknown
from workers.workshop import Workshops, telemetry

log = structlog.get_logger(__name__)
MOST_SHOWN = 20
settings = load()
catalogue.load(settings.workflows)

# A setting would not do: kombu takes the transport of a redis+socket:// URL from its scheme.
TRANSPORT_ALIASES.update(redis="workers.transport:Transport", rediss="workers.transport:Transport")
app = application(settings, worker=True)
app.conf.surefoot_stop_s = settings.stop_s
app.aside = Aside()
app.conf.task_queues = [
    celeryconfig.queue(name(queue), amqp=celeryconfig.is_amqp(app.conf.broker_url))
    for queue in catalogue.queues()
    for name in (keys.redrive_queue, keys.queue)
]
canvas = Canvas(app)
workshops = Workshops(settings, canvas)
unknown = Unknown(settings)
tasks.register(app, canvas, workshops, outbox=settings.outbox)


def _busy() -> Mapping[str, Any]:
    """What this process does, for whoever looks at all of them."""
    workshop = workshops.made()
    running = workshop.leases.running() if workshop else []
    return {"busy": len(running), "running": running[:MOST_SHOWN]}


class Sweeping(bootsteps.StartStopStep):
    """Every worker sweeps, and says on its page how it is."""

    requires = ("celery.worker.components:Pool",)

    def __init__(self, parent: Any, **options: Any) -> None:
        super().__init__(parent, **options)
        self._last_first = ExitStack()

    def start(self, parent: Any) -> None:
        """Begin to sweep, with the first children forked: they need none of this."""
        counted = metrics(settings, page=True)
        self._last_first.callback(counted.stop)
        sweeper = Sweeper(settings, canvas, counted)
        try:
            page = health.serve(settings, sweeper, counted)
        except InvalidSettings as error:
            log.error("the worker cannot start", error=str(error))  # noqa: TRY400 - it says all
            raise SystemExit(2) from None
        if page is not None:
            self._last_first.callback(page.close)
        sweeper.start()
        self._last_first.callback(sweeper.stop)
        heart = Heart(settings, str(parent.hostname), "worker", lambda: {**_busy(), "swept": dict(sweeper.swept)})
        self._last_first.callback(heart.stop)

    def stop(self, parent: Any) -> None:  # noqa: ARG002 - bootsteps' interface
        """No more sweeps."""
        self._last_first.close()


class Acknowledging(bootsteps.StartStopStep):
    """Messages are acknowledged where their tasks start."""

    requires = ("celery.worker.consumer.tasks:Tasks",)

    def start(self, parent: Any) -> None:
        """Before the first message is taken."""
        parent.call_soon_ack = Acks(partial(type(parent).call_soon_ack, parent))


steps: Any = app.steps
steps["worker"].add(Sweeping)
steps["consumer"].add(Acknowledging)


@signals.setup_logging.connect
def _log(**_: Any) -> None:
    configure(settings, "surefoot-worker")
    # what specialists print is a line of the log, with its step and without secrets
    app.log.redirect_stdouts("WARNING")
    # two lines a step: the record and the trace have them
    for chatty in ("celery.worker.strategy", "celery.app.trace"):
        logging.getLogger(chatty).setLevel("INFO" if settings.log_level == "DEBUG" else "WARNING")


@signals.task_unknown.connect
def _refuse(name: str = "", id: str = "", **_: Any) -> None:  # noqa: A002 - the signal's word
    unknown.refuse(id, name)


@signals.celeryd_init.connect
def _remember_name(sender: str = "", **_: Any) -> None:
    app.conf.surefoot_name = sender  # before any child is forked


@signals.worker_process_init.connect
def _child_lives(**_: Any) -> None:
    Heart(settings, f"{app.conf.surefoot_name}/{os.getpid()}", "child", _busy)


@signals.worker_process_init.connect
@signals.worker_init.connect
def _trace(**_: Any) -> None:
    telemetry(settings, connect.state_url(settings)).instrument_celery()


@signals.worker_process_init.connect
@signals.worker_init.connect
def _collect_rarely(**_: Any) -> None:
    """What was imported, also for tracing, lives for ever, and steps leave little garbage; the default looks often."""
    gc.freeze()
    gc.set_threshold(50_000, 20, 100)


@signals.worker_process_shutdown.connect
@signals.worker_shutdown.connect
def _close(**_: Any) -> None:
    workshop = workshops.made()
    if workshop is not None:
        workshop.close()


@signals.worker_process_shutdown.connect
def _say_the_last(**_: Any) -> None:
    stop()  # a child ends without what is registered for its exit
