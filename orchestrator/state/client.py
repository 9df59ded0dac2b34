"""How commands reach Redis: `SyncClient` for programs without a loop, `PipeClient` on one.

The stores are written once, as coroutines over a `Client`; with a `SyncClient` they never suspend, and
`without_loop` runs them to their end in place.
"""

import math
import time
from collections.abc import Awaitable, Callable, Coroutine, Iterator
from typing import Any, Protocol, TypeVar

import redis
from redis.backoff import NoBackoff
from redis.exceptions import AuthenticationError, ReadOnlyError, RedisError, ResponseError
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.retry import Retry

from orchestrator.errors import Overloaded, StoreRefused, StoreUnavailable, SurefootError

T = TypeVar("T")
REFUSALS = {
    "NOAUTH": "wrong or missing password",
    "WRONGPASS": "wrong or missing password",
    "NOPERM": "this user lacks a permission",
    "READONLY": "it is a replica that takes no writes",
}
BUSY = ("LOADING", "MASTERDOWN", "TRYAGAIN", "CLUSTERDOWN", "BUSY ")
FIRST_PAUSE_S, LONGEST_PAUSE_S = 0.02, 1.0
LONGEST_BLOCK_S = 25.0
"""A blocking command may block so long before the connection counts as dead."""


class ReplyError(Exception):
    """Redis answered with an error."""


class Disconnected(Exception):
    """The connection was lost or could not be made; whether the command ran is not known."""


class Client(Protocol):
    """What the stores need of a connection to Redis."""

    async def command(self, *words: Any) -> Any:
        """Send one command, waiting out a lost connection."""
        ...

    async def blocking(self, *words: Any) -> Any:
        """Send one command that may block, on a connection of its own."""
        ...


def without_loop(coroutine: Coroutine[Any, Any, T]) -> T:
    """The result of a coroutine that never suspends, because its client is a `SyncClient`."""
    try:
        coroutine.send(None)
    except StopIteration as stop:
        return stop.value
    coroutine.close()
    raise RuntimeError("the coroutine suspended: its client is not a SyncClient")


def refused(error: ReplyError) -> SurefootError | None:
    """What to do about an answer that a repetition does not change; None: it is another kind of answer."""
    text = str(error)
    if text.startswith("OOM"):
        what = "raise its maxmemory, or keep finished jobs for a shorter time (SUREFOOT_RETENTION_S)"
        return Overloaded(f"Redis has no memory left: {what}; {text}", retry_after_s=5)
    if "unauthenticated" in text:  # what a command of more than ten words gets instead of NOAUTH
        text = f"NOAUTH {text}"
    word = "NOPERM" if "ACL failure in script" in text else text.partition(" ")[0]
    if word in REFUSALS:
        return StoreRefused(f"Redis refuses: {REFUSALS[word]}; check SUREFOOT_REDIS_URL; {text}")
    return None


def lasting(error: ReplyError) -> bool:
    """Whether the same command would be answered so again, whenever it is sent."""
    return refused(error) is None and not str(error).startswith(BUSY)


async def patiently(
    once: Callable[[], Awaitable[Any]], pause: Callable[[float], Awaitable[None]], patience_s: float
) -> Any:
    """Repeat a harmless command until Redis answers; with endless patience, also until it no longer refuses.

    Raises:
        ReplyError: the command is wrong.
        Overloaded: Redis has no memory left.
        StoreRefused: Redis wants another password or permission, or takes no writes.
        StoreUnavailable: Redis did not come back within `patience_s`.
    """
    wait_s, end = FIRST_PAUSE_S, time.monotonic() + patience_s
    while True:
        try:
            return await once()
        except ReplyError as error:
            refusal = refused(error)
            if refusal is not None and patience_s < math.inf:
                raise refusal from error
            if lasting(error) or (refusal is None and time.monotonic() > end):
                raise
        except Disconnected as error:
            if time.monotonic() > end:
                raise StoreUnavailable(f"Redis does not answer: {error}; check SUREFOOT_REDIS_URL") from error
        await pause(wait_s)
        wait_s = min(2 * wait_s, LONGEST_PAUSE_S)


class SyncClient:
    """Blocks for each round trip. Safe to share between threads."""

    def __init__(self, url: str, patience_s: float = 30.0) -> None:
        self._patience_s = patience_s
        self._listener: Any = None
        self._redis = redis.Redis.from_url(
            url,
            protocol=2,
            socket_connect_timeout=5,
            socket_timeout=LONGEST_BLOCK_S + 5,
            health_check_interval=30,
            retry=Retry(NoBackoff(), 0),  # `patiently` is the one retry
        )
        self._redis.response_callbacks.clear()  # the wire's answers, as the other client gets them

    async def command(self, *words: Any) -> Any:
        """Send one command, waiting out a lost connection."""
        return await patiently(lambda: self._send(*words), self._pause, self._patience_s)

    async def blocking(self, *words: Any) -> Any:
        """Send one command that may block: redis-py lends each command a connection of its own."""
        return await self.command(*words)

    def messages(self, channel: str, timeout_s: float) -> Iterator[bytes]:
        """What is published on a channel within the time, until none comes. Runs in a thread of its own.

        Raises:
            StoreUnavailable: the connection was lost or is refused; what is published meanwhile is not heard.
        """
        while message := self._heard(channel, timeout_s):
            yield message["data"]
            timeout_s = 0.0

    def _heard(self, channel: str, timeout_s: float) -> Any:
        """One message; after an error the next call subscribes anew."""
        try:
            if self._listener is None:
                self._listener = self._redis.pubsub(ignore_subscribe_messages=True)
                self._listener.subscribe(channel)
            return self._listener.get_message(timeout=timeout_s)
        except (RedisError, OSError) as error:
            if self._listener is not None:
                self._listener.close()
            self._listener = None
            raise StoreUnavailable(f"Redis does not answer: {error}; check SUREFOOT_REDIS_URL") from error

    async def _send(self, *words: Any) -> Any:
        try:
            return self._redis.execute_command(*words)
        except AuthenticationError as error:
            raise ReplyError(f"NOAUTH {error}") from error
        except ReadOnlyError as error:
            self._redis.connection_pool.disconnect(inuse_connections=False)  # the name may lead to a primary by now
            raise ReplyError(f"READONLY {error}") from error
        except ResponseError as error:
            code = getattr(error, "status_code", None)  # redis-py takes the first word off the errors it knows
            raise ReplyError(f"{code} {error}" if code else str(error)) from error
        except (RedisConnectionError, redis.TimeoutError, OSError) as error:
            raise Disconnected(str(error)) from error
        except RedisError as error:
            raise ReplyError(f"{type(error).__name__}: {error}") from error

    @staticmethod
    async def _pause(seconds: float) -> None:
        time.sleep(seconds)  # noqa: ASYNC251 - this client serves programs without a loop

    def close(self) -> None:
        """Close the connections."""
        self._redis.close()
