"""How commands reach Redis: `SyncClient` for programs without a loop, `PipeClient` on one.

The stores are written once, as coroutines over a `Client`; with a `SyncClient` they never suspend, and
`without_loop` runs them to their end in place.
"""

import time
from collections.abc import Awaitable, Callable, Coroutine, Iterator
from typing import Any, Protocol, TypeVar

import redis
from redis.backoff import NoBackoff
from redis.exceptions import AuthenticationError, RedisError, ResponseError
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.retry import Retry

from orchestrator.errors import Overloaded, StoreUnavailable

T = TypeVar("T")
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


async def patiently(
    once: Callable[[], Awaitable[Any]], pause: Callable[[float], Awaitable[None]], patience_s: float
) -> Any:
    """Repeat a harmless command until Redis answers.

    Raises:
        ReplyError: the command is wrong.
        Overloaded: Redis has no memory left.
        StoreUnavailable: Redis did not come back within `patience_s`, or refuses us.
    """
    wait_s, end = FIRST_PAUSE_S, time.monotonic() + patience_s
    while True:
        try:
            return await once()
        except ReplyError as error:
            if str(error).startswith("OOM"):
                raise Overloaded(f"Redis has no memory left: {error}", retry_after_s=5) from error
            if str(error).startswith(("NOAUTH", "WRONGPASS", "READONLY", "NOPERM")):
                raise StoreUnavailable(f"Redis refuses: {error}; check SUREFOOT_REDIS_URL") from error
            if not str(error).startswith(BUSY) or time.monotonic() > end:
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
        """What is published on a channel within the time, until none comes. Runs in a thread of its own."""
        if self._listener is None:
            self._listener = self._redis.pubsub(ignore_subscribe_messages=True)
            self._listener.subscribe(channel)
        while message := self._listener.get_message(timeout=timeout_s):
            yield message["data"]
            timeout_s = 0.0

    async def _send(self, *words: Any) -> Any:
        try:
            return self._redis.execute_command(*words)
        except AuthenticationError as error:
            raise ReplyError(f"NOAUTH {error}") from error
        except ResponseError as error:
            raise ReplyError(str(error)) from error
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
