"""One long-lived MCP client a server, entered and left by one task that owns it; opened again when it died."""

import asyncio
import sys
import time
from collections.abc import AsyncGenerator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any, Self

import anyio
import httpx2
import structlog
from mcp import Client, StdioServerParameters
from mcp.client.stdio import stdio_client
from mcp.client.streamable_http import streamable_http_client
from mcp.shared.exceptions import MCPError
from mcp.types import INTERNAL_ERROR, ElicitResult, ErrorData

from tools.config import ServerConfig
from tools.failure import failure, retry_after_s
from tools.outcome import Rejected, ToolFailure, Unavailable
from tools.settings import child_environment
from tools.transport import HTTP_FAILED, Isolating, Unreachable, wire_limit

log = structlog.get_logger(__name__)
OPEN_S = 30.0
"""The longest a server may take to start and to answer for the first time."""
CONNECT_S, KEPT_ALIVE = 10.0, 32
STEADY_S = 10.0
"""A connection that lived so long was a good one: the next may be tried at once."""
FIRST_PAUSE_S, LONGEST_PAUSE_S = 0.25, 30.0


class Connection:
    """The client of one server, whoever asks for it; callers who come at the same time share one attempt."""

    def __init__(self, name: str, config: ServerConfig, answer_bytes: int, on_change: Callable[[], None]) -> None:
        """`on_change`: called when the server says that its tools changed, and when it was connected anew."""
        self.name, self._config, self._answer_bytes, self._on_change = name, config, answer_bytes, on_change
        self._life: Life | None = None
        self._failures, self._not_before, self._last_failure = 0, 0.0, ""
        self._closed = False

    async def opened(self) -> "Life":
        """The life of the connected client; it is opened if there is none.

        Raises:
            Unavailable: the server cannot be reached or started, now or a moment ago.
            Rejected: it refuses us; trying again changes nothing.
        """
        if self._closed:
            raise Unavailable(self.name, "its connection was closed")
        life = self._life
        if life is None or life.over:
            wait_s = self._not_before - time.monotonic()
            if wait_s > 0:
                raise Unavailable(self.name, f"not tried again yet after: {self._last_failure}", wait_s)
            life = self._life = Life(self)
        await life.opened()
        if life.over:
            raise Unavailable(self.name, "connection lost")
        return life

    async def close(self) -> None:
        """Leave the client; a stdio server ends with it. There is no way back."""
        self._closed = True
        if self._life is not None:
            await self._life.close()

    def ended(self, life: "Life", error: ToolFailure) -> None:
        """Note how a connection ended, and with it when the next may be tried: at once the first time, then later."""
        self._failures = 0 if life.steady else self._failures + 1
        pause_s = min(LONGEST_PAUSE_S, FIRST_PAUSE_S * 2 ** min(self._failures - 2, 20)) if self._failures > 1 else 0.0
        asked_s = error.retry_after_s if isinstance(error, Unavailable) else None
        self._not_before, self._last_failure = time.monotonic() + max(pause_s, asked_s or 0.0), str(error)
        log.warning("tool server connection ended", server=self.name, error=str(error), failures=self._failures)

    @asynccontextmanager
    async def entered(self, end: asyncio.Event) -> AsyncGenerator[Client]:
        """A new client, entered. `end` is set when the server has gone."""
        config = self._config
        async with AsyncExitStack() as stack:
            transport = self._stdio() if config.command else self._http(await stack.enter_async_context(self._web()))
            client = Client(
                _watched(transport, end),
                mode=config.surefoot.protocol,
                cache=None,
                elicitation_callback=_nobody_is_here,
                message_handler=self._heard,
            )
            await stack.enter_async_context(client)
            self._on_change()
            yield client

    def _stdio(self) -> Any:
        config = self._config
        assert config.command is not None
        server = StdioServerParameters(
            command=config.command, args=config.args, env=child_environment(config.env), cwd=config.cwd
        )
        # Not sys.stderr: a worker may have put something there that is no file.
        return stdio_client(server, errlog=sys.__stderr__ or sys.stderr)

    def _web(self) -> httpx2.AsyncClient:
        config, extras = self._config, self._config.surefoot
        limits = httpx2.Limits(max_connections=extras.concurrency + 8, max_keepalive_connections=KEPT_ALIVE)
        connect_s = min(CONNECT_S, extras.timeout_s / 2)  # to know that it was not sent before the call's time is over
        inner = httpx2.AsyncHTTPTransport(limits=limits)
        return httpx2.AsyncClient(
            transport=Isolating(inner, self._answer_bytes, extras.key.header),
            headers={"accept-encoding": "identity", **config.headers},
            timeout=httpx2.Timeout(connect_s, read=None),  # the call's own time ends a read
        )

    def _http(self, web: httpx2.AsyncClient) -> Any:
        assert self._config.url is not None
        most_bytes = wire_limit(self._answer_bytes) * 2  # the stream's own limit comes first, and says more
        return streamable_http_client(self._config.url, http_client=web, max_sse_event_size=most_bytes)

    async def _heard(self, message: Any) -> None:
        if getattr(message, "method", "") == "notifications/tools/list_changed":
            self._on_change()


class Life:
    """One client from its opening to its end."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._ready: asyncio.Future[Client] = asyncio.get_running_loop().create_future()
        self._ready.add_done_callback(_retrieved)
        self._end, self._told = asyncio.Event(), False
        self._opened_at: float | None = None
        self._owner = asyncio.create_task(self._own(), name=f"mcp-{connection.name}")

    @property
    def over(self) -> bool:
        """Nothing can be sent with it any more."""
        return self._owner.done() or self._end.is_set()

    @property
    def steady(self) -> bool:
        """It was open for so long that its end says nothing about the next one."""
        return self._opened_at is not None and time.monotonic() - self._opened_at > STEADY_S

    @property
    def client(self) -> Client:
        """The client, once it is opened."""
        return self._ready.result()

    async def opened(self) -> None:
        """Wait until it can be used.

        Raises:
            ToolFailure: it never will.
        """
        await asyncio.shield(self._ready)

    def retire(self) -> None:
        """Use it no more: the next caller gets another one."""
        self._end.set()

    async def close(self) -> None:
        """Leave it, whatever it does."""
        self._told = True
        self._end.set()
        if not self._ready.done():
            self._owner.cancel()
        await asyncio.wait([self._owner])

    async def _own(self) -> None:
        name = self._connection.name
        error: ToolFailure = Unavailable(name, "connection lost")
        try:
            async with asyncio.timeout(OPEN_S) as limit, self._connection.entered(self._end) as client:
                limit.reschedule(None)
                self._opened_at = time.monotonic()
                self._ready.set_result(client)
                await self._end.wait()
                self._tell(error)  # before the leaving, which takes time
        except TimeoutError:
            error = Unavailable(name, f"did not answer within {OPEN_S:g} s")
        except Exception as reason:  # noqa: BLE001 - the SDK raises groups of anything; told to who waits, and logged
            error = _cannot_connect(name, reason)
        finally:
            if not self._ready.done():
                self._ready.set_exception(error)
            self._tell(error)

    def _tell(self, error: ToolFailure) -> None:
        """Say once how it ended; that we left it is no news."""
        if not self._told:
            self._told = True
            self._connection.ended(self, error)


def _cannot_connect(name: str, error: BaseException) -> ToolFailure:
    """The innermost cause of a nested group, on one line; a definite no stays one."""
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    said = f"cannot connect: {type(error).__name__}: {error}".splitlines()[0][:300]
    if isinstance(error, Unreachable):
        return Unavailable(name, said, retry_after_s(error.retry_after))
    if isinstance(error, MCPError) and error.code == HTTP_FAILED and isinstance(failure(name, error), Rejected):
        return Rejected(name, said)
    return Unavailable(name, said)


def _retrieved(ready: "asyncio.Future[Client]") -> None:
    """A failure nobody waited for is logged elsewhere, and is no news to the loop."""
    if not ready.cancelled():
        ready.exception()


async def _nobody_is_here(context: Any, params: Any) -> ElicitResult | ErrorData:
    """A server of an older protocol asks in the middle of a call; only from 2026-07-28 on can a job wait for it."""
    del context, params
    return ErrorData(code=INTERNAL_ERROR, message="nobody can be asked during a call; use protocol 2026-07-28")


@asynccontextmanager
async def _watched(transport: Any, end: asyncio.Event) -> AsyncGenerator[Any]:
    """A transport that tells when its server has gone, though nothing is in flight."""
    async with transport as (read, write):
        yield _Watched(read, end), write


class _Watched:
    """A read stream that sets an event at its end."""

    def __init__(self, inner: Any, end: asyncio.Event) -> None:
        self._inner, self._end = inner, end

    @property
    def last_context(self) -> Any:
        """The context of who sent what was read last; the SDK goes on in it."""
        return getattr(self._inner, "last_context", None)

    async def receive(self) -> Any:
        try:
            return await self._inner.receive()
        except (anyio.EndOfStream, anyio.ClosedResourceError):
            self._end.set()
            raise

    async def aclose(self) -> None:
        await self._inner.aclose()

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> Any:
        try:
            return await self._inner.__anext__()
        except (StopAsyncIteration, anyio.ClosedResourceError):
            self._end.set()
            raise

    async def __aenter__(self) -> Self:
        await self._inner.__aenter__()
        return self

    async def __aexit__(self, *error: object) -> None:
        await self._inner.__aexit__(*error)
