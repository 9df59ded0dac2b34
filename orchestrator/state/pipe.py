"""A Redis client for event loops: commands of one turn of the loop leave in one write, answers come in order."""

import asyncio
import ssl
from collections import deque
from typing import Any

import hiredis
from redis.connection import SSLConnection, UnixDomainSocketConnection, parse_url

from orchestrator.state.client import (
    FIRST_PAUSE_S,
    LONGEST_BLOCK_S,
    LONGEST_PAUSE_S,
    Disconnected,
    ReplyError,
    lasting,
    patiently,
)

CONNECT_TIMEOUT_S = 5.0
SILENCE_S = LONGEST_BLOCK_S + 5
"""A connection that owes answers and has brought none for so long counts as lost."""


class Wire(asyncio.Protocol):
    """One connection: what was asked and not yet answered, in order."""

    def __init__(self) -> None:
        self.waiting: deque[asyncio.Future[Any]] = deque()
        self.outgoing: list[bytes] = []
        self.reader = hiredis.Reader()
        self.transport: asyncio.Transport | None = None
        self.loop = asyncio.get_running_loop()
        self.heard = 0
        self.watch: asyncio.TimerHandle | None = None

    def ask(self, *words: Any) -> asyncio.Future[Any]:
        """Queue a command for the end of this turn of the loop."""
        command = hiredis.pack_command(words)  # pyright: ignore[reportArgumentType] - any tuple of words
        answer: asyncio.Future[Any] = self.loop.create_future()
        self.waiting.append(answer)
        self.outgoing.append(command)
        if len(self.outgoing) == 1:
            self.loop.call_soon(self._flush)
        return answer

    @property
    def open(self) -> bool:
        """Whether commands can be sent."""
        return self.transport is not None

    def close(self) -> None:
        """Close the connection; unanswered commands fail as disconnected."""
        if self.transport:
            self.transport.close()

    def _flush(self) -> None:
        outgoing, self.outgoing = self.outgoing, []
        if self.transport:
            self.transport.write(b"".join(outgoing))
            if self.watch is None:
                self.watch = self.loop.call_later(SILENCE_S, self._look, self.heard)

    def _look(self, heard: int) -> None:
        """One timer for all commands: give up a connection whose other end is gone without a word."""
        self.watch = None
        if not self.waiting or self.transport is None:
            return
        if heard == self.heard:
            self.transport.abort()
        else:
            self.watch = self.loop.call_later(SILENCE_S, self._look, self.heard)

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Remember where to write."""
        self.transport = transport  # pyright: ignore[reportAttributeAccessIssue] - a stream's transport is a Transport

    def data_received(self, data: bytes) -> None:
        """Hand each complete answer to the one who asked."""
        self.heard += 1
        self.reader.feed(data)
        while (answer := self.reader.gets()) is not False:
            waiter = self.waiting.popleft()
            if waiter.done():
                continue
            if isinstance(answer, hiredis.ReplyError):
                waiter.set_exception(ReplyError(str(answer)))
            else:
                waiter.set_result(answer)

    def connection_lost(self, exc: Exception | None) -> None:
        """Tell everyone who waits that nobody will answer."""
        self.transport, self.outgoing = None, []
        if self.watch is not None:
            self.watch.cancel()
        lost, self.waiting = self.waiting, deque()
        for waiter in lost:
            if not waiter.done():
                waiter.set_exception(Disconnected(f"connection lost: {exc or 'closed'}"))


class PipeClient:
    """One pipelined connection, opened when first used and again, with backoff, when lost."""

    def __init__(self, url: str, patience_s: float = 30.0) -> None:
        self._options, self._patience_s = parse_url(url), patience_s
        self._wire: Wire | None = None
        self._opening: asyncio.Task[Wire] | None = None

    async def command(self, *words: Any) -> Any:
        """Send one command, waiting out a lost connection."""
        if self._wire is not None and self._wire.open:  # nearly always; what follows below costs each command more
            try:
                return await self._wire.ask(*words)
            except Disconnected:
                pass  # below it is sent again, until Redis answers
            except ReplyError as error:
                if lasting(error):
                    raise
        return await patiently(lambda: self._send(*words), asyncio.sleep, self._patience_s)

    async def blocking(self, *words: Any) -> Any:
        """Send one command that may block, on a connection of its own."""

        async def once() -> Any:
            wire = await self._connect()
            try:
                return await wire.ask(*words)
            finally:
                wire.close()

        return await patiently(once, asyncio.sleep, self._patience_s)

    async def close(self) -> None:
        """Close the connection; a later command opens it again."""
        if self._opening:
            self._opening.cancel()
        if self._wire:
            self._wire.close()
            self._wire = None

    async def _send(self, *words: Any) -> Any:
        wire = await self._connected()
        try:
            return await wire.ask(*words)
        except ReplyError as error:
            if str(error).startswith("READONLY"):
                wire.close()  # the name may lead to a primary by now
            raise

    async def _connected(self) -> Wire:
        if self._wire is not None and self._wire.open:
            return self._wire
        if self._opening is None:
            self._opening = asyncio.create_task(self._reconnect())
        wire: Wire = await asyncio.shield(self._opening)
        self._wire = wire
        return wire

    async def _reconnect(self) -> Wire:
        wait_s, end = FIRST_PAUSE_S, asyncio.get_running_loop().time() + max(self._patience_s, CONNECT_TIMEOUT_S)
        try:
            while True:
                try:
                    return await self._connect()
                except Disconnected:
                    if asyncio.get_running_loop().time() > end:
                        raise
                await asyncio.sleep(wait_s)
                wait_s = min(2 * wait_s, LONGEST_PAUSE_S)
        finally:
            self._opening = None

    async def _connect(self) -> Wire:
        options, loop = self._options, asyncio.get_running_loop()
        kind = options.get("connection_class")
        wire: Wire | None = None
        try:
            async with asyncio.timeout(CONNECT_TIMEOUT_S):
                if kind is UnixDomainSocketConnection:
                    _, wire = await loop.create_unix_connection(Wire, options["path"])
                else:
                    secure = _secured(options) if kind is SSLConnection else None
                    host, port = options.get("host", "localhost"), options.get("port", 6379)
                    _, wire = await loop.create_connection(Wire, host, port, ssl=secure)
                await self._introduce(wire)
        except BaseException as error:
            if wire is not None:
                wire.close()
            if isinstance(error, OSError):  # TimeoutError is one
                raise Disconnected(str(error) or type(error).__name__) from error
            raise
        return wire

    async def _introduce(self, wire: Wire) -> None:
        name, password = self._options.get("username"), self._options.get("password")
        if password:
            await wire.ask("AUTH", *([name] if name else []), password)
        if self._options.get("db"):
            await wire.ask("SELECT", self._options["db"])


def _secured(options: dict[str, Any]) -> ssl.SSLContext:
    """What a rediss:// URL asks for, in redis-py's words; certificates are checked unless it says otherwise."""
    context = ssl.create_default_context(cafile=options.get("ssl_ca_certs"), capath=options.get("ssl_ca_path"))
    if str(options.get("ssl_check_hostname", True)).lower() == "false":
        context.check_hostname = False
    if str(options.get("ssl_cert_reqs", "required")).lower().removeprefix("cert_") == "none":
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    if options.get("ssl_certfile"):
        context.load_cert_chain(options["ssl_certfile"], options.get("ssl_keyfile"), options.get("ssl_password"))
    return context
