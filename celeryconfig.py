"""Celery's settings for Surefoot; the worker's application and the orchestrator's canvas both use them.

Messages are hints and carry ids only. Leases and the sweeper, not acknowledgements, find what a dead worker held.
"""

from typing import Any

from kombu.entity import Exchange, Queue

from orchestrator.connect import broker_url as url_of
from orchestrator.settings import Settings

CONNECT_S = 4.0
"""How long a broker may take to answer a new connection."""
CONFIRM_S = 5.0
"""How long RabbitMQ may take to confirm a message; then it counts as not sent."""
DELIVERIES = 20
"""How often RabbitMQ gives out a message again after the worker that had it vanished. RabbitMQ 4 has this limit by
itself, 3 has none; here both have it. A message dropped for it loses nothing: the sweeper sends the step.
"""
EXCHANGE = Exchange("surefoot", type="topic")
"""On RabbitMQ; a topic exchange, since delayed messages come back under a routing key with their delay before it."""

broker_connection_timeout = CONNECT_S
broker_heartbeat = 10  # a half-open connection is found within 30 s
broker_connection_retry_on_startup = True
broker_connection_max_retries = None  # for ever: a broker that is away is waited for

result_backend = "workers.backend:JobRecordBackend"  # stores nothing; a chord's join is the commit's answer
task_ignore_result = True
task_store_errors_even_if_ignored = False

task_publish_retry_policy = {"max_retries": 1, "interval_start": 0, "interval_step": 0.2, "interval_max": 0.2}
task_acks_late = True  # with an at-most-once transport this only bounds how much is fetched
task_default_exchange = ""
task_create_missing_queues = True
task_serializer = "json"
accept_content = ["json"]

worker_prefetch_multiplier = 1
worker_hijack_root_logger = False
worker_consumer = "workers.reconnect:QuickConsumer"
worker_cancel_long_running_tasks_on_connection_loss = False  # the lease, not the connection, is the right to run


def on_broker(settings: Settings) -> dict[str, Any]:
    """The settings that depend on which broker it is, and on whether Flower watches."""
    url = url_of(settings)
    events = {"task_send_sent_event": settings.events, "worker_send_task_events": settings.events}
    if is_amqp(url):
        return events | {
            "broker_url": url,
            "broker_transport_options": {"confirm_publish": True, "max_retries": 1},
            "task_default_queue_type": "quorum",
            "task_reject_on_worker_lost": True,
        }
    # Without acknowledgements two of three round trips a message go; what a dead worker had fetched the sweeper finds.
    own = {"ack_emulation": False, "body_encoding": None}
    # redis-py has a replica's refusal as an error of the channel, which would end the worker
    return events | {"broker_url": url, "broker_transport_options": own, "broker_channel_error_retry": True}


def is_amqp(url: str) -> bool:
    """Whether the broker is RabbitMQ."""
    return url.startswith(("amqp", "pyamqp"))


def queue(name: str, *, amqp: bool) -> Queue:
    """A queue as Celery knows it. On Redis nothing has to be bound: a list is a list."""
    if not amqp:
        return Queue(name, exchange="", routing_key=name)
    arguments = {"x-queue-type": "quorum", "x-delivery-limit": DELIVERIES}
    return Queue(name, exchange=EXCHANGE, routing_key=name, queue_arguments=arguments)
