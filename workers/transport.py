"""kombu's Redis transport, fetching several messages a round trip, for at-most-once delivery (`ack_emulation`: False).

It leans on private names of kombu, so kombu is pinned and `tests/worker_pool/test_kombu_names.py` guards them.
"""

from collections.abc import Callable, Collection
from json import loads
from queue import Empty
from time import monotonic
from typing import Any, Literal

import structlog
from kombu.transport import redis, virtual

log = structlog.get_logger(__name__)
AT_ONCE = 32
"""Most messages fetched in one round trip."""


class Fetched(virtual.QoS):
    """What a channel fetched and nobody acknowledged yet."""

    def restore_unacked(self) -> list[Any]:
        """Give all of it back. Kombu alone would dump what it cannot into a file; here the sweeper finds it."""
        failed = super().restore_unacked()
        if failed:
            log.warning("messages could not be given back", count=len(failed), error=repr(failed[0][0]))
        return []


class Acks:
    """Acknowledges a message in the thread that starts its task: at-most-once delivery has nothing to tell the broker.

    Celery would wake the consumer's thread for each, which costs a turn of its loop. It is woken where it may have
    stopped fetching for want of room. `soon` is how Celery would do it.
    """

    def __init__(self, soon: Callable[..., Any]) -> None:
        self._soon = soon

    def __call__(self, acknowledge: Callable[..., Any], *words: Any) -> None:
        """Acknowledge, or reject, which may put the message back: that is for the consumer's thread."""
        message: Any = getattr(acknowledge, "__self__", None)
        qos = getattr(message.channel, "qos", None)  # on RabbitMQ there is none
        if not isinstance(qos, Fetched) or acknowledge.__name__ != "ack_log_error":
            self._soon(acknowledge, *words)
            return
        acknowledge(*words)
        room = qos.can_consume_max_estimate()
        if room is not None and room <= 1:
            self._soon(_nothing)


def _nothing() -> None:
    """What a thread does that is only woken."""


class Channel(redis.Channel):
    """Waits on all queues at once and takes what the prefetch leaves room for, from the first that has messages.

    The queue just read goes to the end of the line, so none starves. BLMPOP needs Redis 7 or Valkey; where it is
    missing, BRPOP waits for one message and RPOP takes the others (Redis 6.2), or BRPOP is all (older).
    """

    priority_steps = (0,)  # one list a queue, not kombu's four: nothing here has a priority
    _command: Literal["BLMPOP", "BRPOP"] = "BLMPOP"
    _rpop_counts = True

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        if not self.ack_emulation:
            self.QoS = Fetched

    def _brpop_start(self, timeout: float | None = None) -> None:
        """Ask for messages; the answer is read when the event loop sees it."""
        if self._command == "BRPOP":
            super()._brpop_start(timeout)
            return
        queues = self._queue_cycle.consume(len(self.active_queues))
        if not queues:
            return
        prefix = self._prefix
        keys = [f"{prefix}{queue}" for queue in queues]  # as there is one priority, a list is named as its queue is
        wait_s = self.brpop_timeout if timeout is None else timeout
        self._in_poll = self.client.connection
        self._brpop_sent_at = monotonic()
        self._in_poll.send_command("BLMPOP", wait_s or 0, len(keys), *keys, "RIGHT", "COUNT", self._room())

    def _brpop_read(self, **options: Any) -> Literal[True]:
        """Read the answer and deliver its messages, in order."""
        try:
            key, items = self._answer(**options)
        finally:
            self._in_poll = None
            self._flush_brpop_reauth()
        queue = key.rsplit(self.sep, 1)[0]
        self._queue_cycle.rotate(queue)
        self._deliver_all(queue, key, items)
        if self._command == "BRPOP" and self._rpop_counts and self.qos.can_consume():
            self._deliver_all(queue, key, self._more(key))
        return True

    def _answer(self, **options: Any) -> tuple[str, list[bytes]]:
        try:
            answer = self.client.parse_response(self.client.connection, self._command, **options)
        except self.connection_errors:
            self.client.connection.disconnect()
            raise
        except self.ResponseError as error:
            if self._command == "BRPOP" or not _is_missing(error):
                # a replica by now, or another password: reconnecting is the cure, and the worker must not end
                self.client.connection.disconnect()
                raise ConnectionError(str(error)) from error
            log.info("the broker has no BLMPOP; messages are fetched with BRPOP and RPOP", error=str(error))
            self._command = "BRPOP"
            raise Empty from None
        if not answer:
            raise Empty
        if self._command == "BRPOP":
            return answer[0].decode(), [answer[1]]  # kombu's client has taken the prefix away
        return answer[0].decode().removeprefix(self._prefix), answer[1]

    def _more(self, key: str) -> list[bytes]:
        try:
            return self.client.rpop(key, self._room()) or []
        except self.ResponseError as error:
            if "number of arguments" not in str(error) and not _is_missing(error):
                raise
            self._rpop_counts = False
            return []

    def _deliver_all(self, queue: str, key: str, items: list[bytes]) -> None:
        """Hand each message to its consumer; when that fails, or none is left, the rest goes back where it was."""
        delivered = 0
        try:
            while delivered < len(items) and queue in self.active_queues:
                delivered += 1
                self._deliver_one(queue, items[delivered - 1])
        finally:
            if delivered < len(items):
                with self.conn_or_acquire() as client:
                    client.rpush(key, *reversed(items[delivered:]))

    def _deliver_one(self, queue: str, item: bytes) -> None:
        try:
            message = loads(item)
        except ValueError:
            log.exception("a message that is no JSON was dropped", queue=queue, message=item[:200])
            return
        self.connection._deliver(message, queue)  # noqa: SLF001 - see above

    def _room(self) -> int:
        room = self.qos.can_consume_max_estimate()
        return AT_ONCE if room is None else max(1, min(room, AT_ONCE))

    @property
    def active_queues(self) -> Collection[str]:  # pyright: ignore[reportIncompatibleMethodOverride] - kombu makes a set of them
        """The queues that are read so; kombu asks four times a message, and makes a set of them each time."""
        return super().active_queues if self.active_fanout_queues else self._active_queues

    @property
    def _prefix(self) -> str:
        return self.global_keyprefix or ""

    def finish_poll(self) -> None:
        """Wait for the answer that is due within a second; with no consumer left its messages go back."""
        if self._in_poll:
            try:
                self._brpop_read()
            except Empty:
                return

    def _restore(self, message: Any, leftmost: bool = False) -> None:
        """Give a message back to the head of its queue, as it came; kombu alone spoils a body without base64."""
        if self.ack_emulation:
            super()._restore(message, leftmost)
            return
        came = message.delivery_info
        with self.conn_or_acquire() as client:
            self._do_restore_message(message._raw, came["exchange"], came["routing_key"], client)  # noqa: SLF001


class Transport(redis.Transport):
    """kombu's Redis transport with that channel."""

    Channel = Channel

    def keep_fetched(self) -> None:
        """The connection is lost, the process is not: what it fetched it still works on."""
        for channel in self.channels or ():
            channel.do_restore = False


def _is_missing(error: Exception) -> bool:
    """Whether the server does not know the command, or does not let us use it."""
    text = str(error).lower()
    return "unknown command" in text or "permission" in text
