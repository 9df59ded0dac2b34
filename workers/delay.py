"""RabbitMQ keeps the delays of retries: a message that must wait is in no worker's memory and survives any of them.

Celery's own set-up makes 28 queues, for delays of up to eight years. Here are those of them that retries need. A longer
delay, asked for by a server's Retry-After, fits no queue: RabbitMQ drops that message, and the sweeper sends the step
when its time has come.
"""

from typing import Any

from celery import bootsteps
from celery.worker.consumer.tasks import Tasks
from kombu.entity import Exchange, Queue
from kombu.transport.native_delayed_delivery import (
    CELERY_DELAYED_DELIVERY_EXCHANGE,
    MAX_LEVEL,
    bind_queue_to_native_delayed_delivery_exchange,
    level_name,
)

import celeryconfig

LEVELS = 10
"""Delays of up to 2^10 - 1 seconds, 17 minutes; SUREFOOT_BACKOFF_MAX_S is at most 10."""


class DelayedRetries(bootsteps.StartStopStep):
    """In place of Celery's DelayedDelivery: where retries wait, and the way from there to our queues."""

    requires = (Tasks,)

    def include_if(self, parent: Any) -> bool:
        """On RabbitMQ."""
        return celeryconfig.is_amqp(parent.app.conf.broker_url)

    def start(self, parent: Any) -> None:
        """Declare it, at every connection; what is there already stays."""
        try:
            declare(parent.connection)
            for queue in parent.app.amqp.queues.consume_from.values():
                bind_queue_to_native_delayed_delivery_exchange(parent.connection, queue)
        except parent.channel_errors as error:  # e.g. a queue was deleted meanwhile; Celery would give up for good
            raise ConnectionError(f"the delays of retries could not be set up: {error}") from error


def declare(connection: Any) -> None:
    """The exchanges and queues of the delays, one a bit of their length in seconds: 1 waits here, 0 passes on."""
    channel = connection.channel()
    _exchange(CELERY_DELAYED_DELIVERY_EXCHANGE, channel)
    for level in range(LEVELS):
        exchange, below = level_name(level), level_name(level - 1) if level else CELERY_DELAYED_DELIVERY_EXCHANGE
        _exchange(exchange, channel)
        arguments = {
            "x-queue-type": "quorum",
            "x-overflow": "reject-publish",
            "x-dead-letter-strategy": "at-least-once",
            "x-message-ttl": 1000 * 2**level,
            "x-dead-letter-exchange": below,
        }
        waiting = Queue(exchange, queue_arguments=arguments).bind(channel)
        waiting.declare()
        higher = "*." * (MAX_LEVEL - level)
        waiting.bind_to(exchange, f"{higher}1.#")
        _exchange(below, channel).bind_to(exchange, f"{higher}0.#")
    _exchange(level_name(MAX_LEVEL), channel)  # where Celery sends what must wait
    _exchange(level_name(LEVELS - 1), channel).bind_to(level_name(MAX_LEVEL), "0." * (MAX_LEVEL - LEVELS + 1) + "#")
    channel.close()


def _exchange(name: str, channel: Any) -> Any:
    exchange = Exchange(name, type="topic").bind(channel)
    exchange.declare()
    return exchange
