"""The Celery application: the worker's own, or one that only sends. A message is a hint, so none is worth an error.

A step whose message cannot be sent is in the record nevertheless, and the sweeper sends it when the broker is back.
"""

import time
from collections.abc import Callable
from contextlib import nullcontext
from functools import partial
from typing import Any

import structlog
from celery import Celery
from kombu.exceptions import ChannelError, OperationalError
from kombu.exceptions import ConnectionError as BrokerError

import celeryconfig
from orchestrator.settings import Settings

log = structlog.get_logger(__name__)
AWAY = (OperationalError, BrokerError, ChannelError, OSError)
"""What the broker's client raises when the broker is away, too slow, or refuses us."""
REFUSED = {403, 530}
"""AMQP's codes for a wrong password, a virtual host that is not there, and one that is not ours."""
SPARED_S = 1.0
"""After a message could not be sent, the next ones are not tried for so long: a wide plan would wait for each."""


def _at_once(call: Callable[[], Any]) -> Any:
    return call()


class Application(Celery):
    """Sends messages, with publisher confirms where the broker has them, and only says so when it cannot."""

    aside: Callable[[Callable[[], Any]], Any] = staticmethod(_at_once)
    """Runs what blocks; a worker whose event loop must not block puts something else here."""
    exit_code = 0
    """What the worker's process ends with."""
    _spared_until = 0.0

    def send_task(self, *args: Any, **options: Any) -> Any:
        """Send one message; one that cannot be sent is left to the sweeper."""
        parent = self.current_worker_task  # seen from this thread only
        if parent is not None:
            options["root_id"] = options.get("root_id") or parent.request.root_id or parent.request.id
            options["parent_id"] = options.get("parent_id") or parent.request.id
        return self.aside(partial(self._send, args, options))

    def producer_or_acquire(self, producer: Any = None) -> Any:
        """A producer of the pool is taken for one message only: a group that held one while it waits could stop all."""
        return nullcontext(producer)

    def be_impatient(self, connection: Any) -> None:
        """Let no answer of RabbitMQ be waited for without end: AMQP's client has no time limit for most of them."""
        if celeryconfig.is_amqp(self.conf.broker_url):
            connection.ensure_connection(max_retries=1, interval_start=0)
            connection.connection.sock.settimeout(celeryconfig.CONFIRM_S)

    def _send(self, args: tuple[Any, ...], options: dict[str, Any]) -> Any:
        if time.monotonic() >= self._spared_until:
            try:
                with super().producer_or_acquire(options.pop("producer", None)) as producer:
                    self.be_impatient(producer.connection)
                    return super().send_task(
                        *args, producer=producer, confirm_timeout=celeryconfig.CONFIRM_S, **options
                    )
            except AWAY as error:
                self._spared_until = time.monotonic() + SPARED_S
                log.warning("a message was not sent; the sweeper will send it", error=explained(error))
        return self.AsyncResult(options["task_id"])


def explained(error: BaseException) -> str:
    """What to look at when the broker does not want us."""
    if refused(error):
        return f"RabbitMQ refuses the user, password or virtual host of SUREFOOT_BROKER_URL: {error}"
    return f"{type(error).__name__}: {error}"


def refused(error: BaseException) -> bool:
    """Whether waiting for the broker is in vain."""
    return getattr(error, "code", None) in REFUSED


def application(settings: Settings, *, worker: bool = False) -> Application:
    """An application of these settings."""
    app = Application("surefoot", set_as_current=worker)
    app.config_from_object(celeryconfig)
    app.conf.update(celeryconfig.on_broker(settings))
    return app
