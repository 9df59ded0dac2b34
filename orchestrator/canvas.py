"""A plan as Celery sees it: real chains and chords with preset task ids, and the wire form of their messages.

Messages carry ids, never payloads, so a canvas's wire form depends on the plan's shape alone: Celery makes it once per
shape on kombu's memory transport, and the scripts fill in the job (`@job@` and its like).
"""

import json
import math
from collections.abc import Iterable, Mapping
from functools import lru_cache
from threading import Lock
from typing import Any, ClassVar

from celery import chain, chord, group
from celery.canvas import Signature
from kombu.transport import memory

import celeryconfig
from orchestrator.application import AWAY, Application, application, explained
from orchestrator.errors import BrokerUnavailable
from orchestrator.plan import Plan
from orchestrator.settings import Settings
from orchestrator.state import keys
from orchestrator.state.sweeping import Redrive
from orchestrator.telemetry import unrecorded, within
from orchestrator.workflow import catalogue

SHOWN = "step {number} of {total} ({step}), job {job}"
"""What Flower shows as a task's arguments: the place first, since its list cuts long ones."""


def task_name(specialist: str) -> str:
    """The Celery task that performs this specialist's steps."""
    return f"step.{specialist}"


class Canvas:
    """Makes signatures and messages with one Celery application."""

    def __init__(self, app: Application) -> None:
        self._app, self._amqp = app, celeryconfig.is_amqp(app.conf.broker_url)

    def signature(
        self, job_id: str, step: str, specialist: str, traceparent: str, queue: str = "", shown: str = ""
    ) -> Signature:
        """One step's task; `shown` is what Flower shows as its arguments."""
        # one that this process does not know: its own queue, else the sweeper helps
        profile = catalogue.profiles.get(specialist)
        queue = queue or keys.queue(profile.queue if profile else specialist)
        self._know(queue)
        return self._app.signature(
            task_name(specialist),
            args=(job_id, step),
            immutable=True,
            task_id=f"{job_id}.{step}",
            queue=queue,
            headers={"traceparent": traceparent},
            **({"argsrepr": shown} if shown else {}),
        )

    def compile(self, job_id: str, plan: Plan, traceparent: str, finished: Iterable[str] = ()) -> Signature:
        """The unfinished part of a plan as a chain of steps and chords.

        A wave of several steps and the one step that joins them all is a chord. Where a wave has no such join (another
        wave follows, or none), the canvas ends with it as a group: from there each commit sends what it makes ready.
        """
        done = set(finished)
        waves = [[name for name in wave if name not in done] for wave in plan.waves]
        waves = [wave for wave in waves if wave]
        links: list[Signature] = []
        numbers = plan.numbers

        def signed(name: str) -> Signature:
            shown = SHOWN.format(number=numbers[name], total=len(numbers), step=name, job=job_id)
            shown = shown if self._amqp else ""  # elsewhere the scripts fill it in
            return self.signature(job_id, name, plan.by_name[name].specialist, traceparent, shown=shown)

        while waves:
            wave = [signed(name) for name in waves[0]]
            join = waves[1][0] if len(waves) > 1 and len(waves[1]) == 1 else None
            joins_all = join is not None and set(waves[0]) <= set(plan.by_name[join].after)
            if len(wave) > 1 and join is not None and joins_all:
                links.append(chord(wave, signed(join), app=self._app))
                waves = waves[2:]
                continue
            links.append(wave[0] if len(wave) == 1 else group(wave, app=self._app))
            if len(wave) > 1:
                break
            waves = waves[1:]
        return links[0] if len(links) == 1 else chain(*links, app=self._app)

    def send(self, job_id: str, plan: Plan, traceparent: str, finished: Iterable[str] = ()) -> None:
        """Enqueue the unfinished part of a plan."""
        self.compile(job_id, plan, traceparent, finished).apply_async()

    def send_steps(self, job_id: str, steps: Mapping[str, str], traceparent: str) -> None:
        """Enqueue steps (name -> specialist), each alone."""
        with within(job_id):  # Celery's instrumentation writes the current context over the message's
            for step, specialist in steps.items():
                self.signature(job_id, step, specialist, traceparent).apply_async()

    def redrive(self, lost: Redrive, traceparent: str) -> None:
        """Enqueue a step once more, in the queue that does not wait behind the backlog."""
        queue = keys.redrive_queue(lost.queue)
        with within(lost.job_id):
            self.signature(lost.job_id, lost.step, lost.specialist, traceparent, queue).apply_async()

    def delay_s(self, wanted_s: float) -> float:
        """The delay that the broker can keep: RabbitMQ knows whole seconds only."""
        return max(1, math.ceil(wanted_s)) if self._amqp else wanted_s

    def empty(self, queues: Iterable[str]) -> list[str]:
        """Of these queues of the broker, those that hold no message; asked where the scripts cannot look.

        Raises:
            BrokerUnavailable: it does not answer, so that nothing can be sent either.
        """
        with self._app.pool.acquire(block=True) as connection:
            try:
                self._app.be_impatient(connection)
                return [queue for queue in queues if self._is_empty(connection, queue)]
            except AWAY as error:
                connection.collect()
                raise BrokerUnavailable(f"the broker does not answer: {explained(error)}") from error

    @staticmethod
    def _is_empty(connection: Any, queue: str) -> bool:
        channel = connection.channel()  # the answer "no such queue" closes it
        try:
            return channel.queue_declare(queue, passive=True).message_count == 0
        except connection.channel_errors:
            return True
        finally:
            channel.close()

    def _know(self, queue: str) -> None:
        """Let Celery's router know a queue of a specialist that was defined after the application was made."""
        if queue not in self._app.amqp.queues:
            self._app.amqp.queues.add(celeryconfig.queue(queue, amqp=self._amqp))


class Drafts(memory.Channel):
    """A channel whose messages go nowhere: they are looked at."""

    lock: ClassVar[Lock] = Lock()
    messages: ClassVar[list[dict[str, Any]]] = []

    def _put(self, queue: str, message: dict[str, Any], **_: object) -> None:
        del queue
        self.messages.append(message)


class Drafting(memory.Transport):
    """kombu's memory transport over `Drafts`."""

    Channel = Drafts


class WireForms:
    """Messages as Celery and kombu would send them, with the job to be filled in: `@job@` and its like."""

    def __init__(self, settings: Settings) -> None:
        app = application(settings)
        # the memory transport's own address; body_encoding as on the real one, so that the body stays readable
        app.conf.update(broker_url="memory://localhost", broker_transport="orchestrator.canvas:Drafting")
        app.conf.broker_transport_options = {"body_encoding": None}
        self._canvas = Canvas(app)
        self._shape = lru_cache(maxsize=1_000)(self._first_messages)

    def message(self) -> str:
        """One step's message, with every word of it to be filled in."""
        signature = self._canvas.signature("@job@", "@step@", "@task@", "@trace@", "@queue@")
        return _portable(_drafted(signature)[0])

    def first_messages(self, plan: Plan) -> dict[str, str]:
        """The messages that start this plan's canvas, by step; made once per shape of plan."""
        shape = tuple((s.name, s.specialist, s.after, catalogue.profile(s.specialist).queue) for s in plan.steps)
        return dict(self._shape(shape, plan))

    def _first_messages(self, _shape: object, plan: Plan) -> dict[str, str]:
        drafts = _drafted(self._canvas.compile("@job@", plan, "@trace@"))
        return {draft["headers"]["id"].removeprefix("@job@."): _portable(draft) for draft in drafts}


def _drafted(signature: Signature) -> list[dict[str, Any]]:
    with Drafts.lock, unrecorded():  # drafting is no publishing: it makes no spans
        Drafts.messages.clear()
        signature.apply_async(ignore_result=True)
        return list(Drafts.messages)


def _portable(message: dict[str, Any]) -> str:
    """Leave out who made it, and leave open what the scripts fill in."""
    headers, properties = message["headers"], message["properties"]
    headers.update(
        origin="surefoot",
        argsrepr=SHOWN.format(number="@number@", total="@total@", step="@step@", job="@job@"),
        kwargsrepr="{}",
        traceparent="@trace@",
    )
    headers.pop("tracestate", None)
    properties.update(delivery_tag="@tag@", body_encoding=None)
    properties.pop("reply_to", None)
    return json.dumps(message, default=bytes.decode)
