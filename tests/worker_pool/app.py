"""A small Celery application for the tests of the pool, the transport and the backend."""

# pyright: reportPrivateUsage=false, reportUnknownLambdaType=false

import asyncio
import contextvars
import functools
import os
import time
from typing import Any

from celery import Celery
from celery.exceptions import SoftTimeLimitExceeded
from kombu.entity import Queue
from kombu.transport import TRANSPORT_ALIASES
from opentelemetry import baggage, context
from redis import Redis

from workers.pool import await_

BROKER = os.environ["TEST_BROKER"]
QUEUES = os.environ.get("TEST_QUEUES", "one").split(",")
TRANSPORT_ALIASES.update(redis="workers.transport:Transport", rediss="workers.transport:Transport")
NAME: contextvars.ContextVar[str] = contextvars.ContextVar("NAME", default="")

app = Celery("pool", broker=BROKER, backend="workers.backend:JobRecordBackend", set_as_current=False)
app.conf.update(
    task_ignore_result=True,
    task_acks_late=True,
    task_default_queue=QUEUES[0],
    task_queues=[Queue(name, exchange="", routing_key=name) for name in QUEUES],
    broker_transport_options={"ack_emulation": False, "body_encoding": None},
    broker_connection_retry_on_startup=True,
    broker_connection_max_retries=None,
    worker_prefetch_multiplier=1,
    worker_consumer="workers.reconnect:QuickConsumer",
    worker_hijack_root_logger=False,
    surefoot_stop_s=float(os.environ.get("TEST_STOP_S", "30")),
    surefoot_force_s=float(os.environ.get("TEST_FORCE_S", "15")),
    worker_cancel_long_running_tasks_on_connection_loss=False,
)

task = functools.partial(app.task, shared=False)  # else every other application of the test process gets them too


def connect(broker: str = BROKER) -> Redis:
    """A client of the tests' own."""
    return Redis(unix_socket_path=broker.removeprefix("redis+socket://").split("?")[0])


notes = connect()


def note(key: str, value: object) -> None:
    """Write something down for the test to read."""
    notes.rpush(key, str(value))


@task
def noop() -> None:
    """Nothing."""


@task
def write(value: str) -> None:
    note("done", value)


@task
def nap(value: str, seconds: float) -> None:
    note("started", value)
    await_(asyncio.sleep(seconds))
    note("done", value)


@task
def wait_for_gate(value: str) -> None:
    """Until the test opens the gate; does not touch Redis before, since ten thousand do this."""
    await_(_gate())
    note("done", value)


gates: list[asyncio.Event] = []


async def _gate() -> None:
    if not gates:
        gates.append(asyncio.Event())
    await gates[0].wait()


@task
def open_gate() -> None:
    gates.pop().set()


@task
def say_how_many() -> None:
    """How many tasks are in their greenlets now, this one included."""
    from workers import greenlets

    note("in flight", len(greenlets._running))


@task(soft_time_limit=0.1)
def soft() -> None:
    try:
        await_(asyncio.sleep(20))
    except SoftTimeLimitExceeded:
        note("done", await_(asyncio.sleep(0.01, "cleaned up")))


@task(time_limit=0.1)
def hard() -> None:
    try:
        await_(cleaned())
    finally:
        note("done", "finally")


async def cleaned() -> None:
    """Cleans up with an await of its own."""
    try:
        note("started", "cleaned")
        await asyncio.sleep(20)
    finally:
        await asyncio.sleep(0.05)
        note("done", "cleaned")


@task
def long() -> None:
    await_(cleaned())


@task
def stubborn() -> None:
    """Will not be cancelled."""
    await_(_stubborn())


async def _stubborn() -> None:
    note("started", "stubborn")
    for _ in range(1000):
        try:
            await asyncio.sleep(20)
        except asyncio.CancelledError:
            note("done", "ignored")


@task
def block(seconds: float) -> None:
    await_(_block(seconds))


async def _block(seconds: float) -> None:
    note("started", "block")
    time.sleep(seconds)  # noqa: ASYNC251 - that is the test
    note("done", "block")


@task
def stuck_thread() -> None:
    """A thread that does not end keeps an interpreter from ending."""
    note("started", "thread")
    await_(asyncio.to_thread(time.sleep, 600))


@task
def leave() -> None:
    """A task that calls sys.exit() ends itself, not the worker."""
    raise SystemExit(3)


@task(bind=True, max_retries=3)
def again(self: Any, countdown: float = 0.05) -> None:
    note("attempts", f"{self.request.id} {self.request.retries}")
    await_(asyncio.sleep(0.001))
    if self.request.retries < 2:
        raise self.retry(countdown=countdown)
    note("done", "again")


@task
def add(left: int, right: int) -> int:
    note("sums", left + right)
    return await_(asyncio.sleep(0.001, left + right))


@task(bind=True)
def part(self: Any, job: str, step: str, of: int) -> str:
    """One step of a chord: the one that completes the header says that the body is ready."""
    await_(asyncio.sleep(0.005))
    last = notes.incr(f"arrived:{job}") == of
    self.request.surefoot_ready = ["join"] if last else []
    return step


@task
def join(job: str, step: str) -> None:
    note("joined", f"{job} {step}")


@task(bind=True)
def contexts(self: Any, name: str) -> None:
    """Attach and detach as OpenTelemetry does, around awaits, while others do the same."""
    assert NAME.get() == "", "the context of another task"
    assert not baggage.get_all(), "the context of another task"
    NAME.set(name)
    token = context.attach(baggage.set_baggage("who", name))
    seen = await_(_see())
    assert self.request.id == name
    context.detach(token)
    note("seen", f"{name} {seen} {bool(baggage.get_all())}")


async def _see() -> str:
    await asyncio.sleep(0.01)
    return f"{NAME.get()} {baggage.get_baggage('who')}"
