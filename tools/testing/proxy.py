"""A reverse proxy before a streamable-HTTP MCP server that does to each call what the ledger has scheduled for it."""

import asyncio
import contextlib
import json
import logging
from collections.abc import AsyncGenerator, Awaitable, Callable
from typing import Any, cast

import httpx2

from tools.testing import faults
from tools.testing.ledger import Ledger
from tools.testing.wire import CHUNK, Gone, Headers, Request, Wire

KEY_META = "io.surefoot/idempotency-key"
HOP_BY_HOP = frozenset(
    {b"connection", b"content-length", b"host", b"keep-alive", b"te", b"trailer", b"transfer-encoding", b"upgrade"}
)
MEGABYTE = 1_000_000
Restarting = Callable[[], None]
_log = logging.getLogger(__name__)


class Proxy:
    """Passes requests on to a target, faults included."""

    def __init__(self, target: str, ledger: Ledger, restart: Restarting) -> None:
        """`target` is scheme, host and port; `restart` never returns."""
        self._target, self._ledger, self._restart = target.rstrip("/"), ledger, restart
        # No limits of its own: a client's own time ends what takes too long.
        self._web = httpx2.AsyncClient(timeout=None, limits=httpx2.Limits(max_connections=None))

    async def connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Serve one connection of a client."""
        wire = Wire(reader, writer)
        try:
            while (request := await wire.request()) is not None:
                await wire.attended(Exchange(self._web, self._target, wire, request).answer(self._fault, self._restart))
                if not wire.again():
                    break
        except Gone:
            pass
        except Exception:  # noqa: BLE001 - only this connection ends by it, and the log says so
            _log.exception("an exchange ended unexpectedly")
            wire.reset()
        finally:
            wire.close()

    def _fault(self, asked: dict[str, Any]) -> faults.AnyFault | None:
        """What is to happen to a JSON-RPC request; its arrival is noted."""
        method, params = asked.get("method"), cast("dict[str, Any]", asked.get("params") or {})
        if not isinstance(method, str) or "id" not in asked:
            return None
        if method != "tools/call":
            return self._ledger.arrived(method, None, {})
        key = (params.get("_meta") or {}).get(KEY_META)
        return self._ledger.arrived(str(params.get("name")), key, params.get("arguments") or {})


class Exchange:
    """One request of a client and what becomes of it."""

    def __init__(self, web: httpx2.AsyncClient, target: str, wire: Wire, request: Request) -> None:
        self._web, self._target, self._wire, self._request = web, target, wire, request
        self._asked = _message(request.body) if request.method == "POST" else {}

    async def answer(self, fault_of: Callable[[dict[str, Any]], Any], restart: Restarting) -> None:
        """Take the request's fault and do it, or pass the request on."""
        fault = fault_of(self._asked)
        match fault:
            case None:
                await self._forward()
            case faults.Delay(after_effect=False):
                await asyncio.sleep(fault.seconds)
                await self._forward()
            case faults.Duplicate():
                await self._fetched()
                await self._forward()
            case _:
                # The tool runs to its end, though the client may leave: that it fails to notice is part of the fault.
                body = await asyncio.shield(self._fetched()) if fault.after_effect else b""
                await self._faults(restart)[type(fault)](fault, body)

    def _faults(self, restart: Restarting) -> dict[type[Any], Callable[[Any, bytes], Awaitable[None]]]:
        async def silence(_fault: object, _body: bytes) -> None:
            await asyncio.Event().wait()  # until the client leaves

        async def nothing(_fault: object, _body: bytes) -> None:
            """The connection is closed."""

        async def reset(_fault: object, _body: bytes) -> None:
            self._wire.reset()

        async def restarted(_fault: object, _body: bytes) -> None:
            restart()

        return {
            faults.DropAnswer: nothing,
            faults.Delay: self._late,
            faults.DuplicateAnswer: self._twice,
            faults.TooManyRequests: self._refused,
            faults.ServerError: self._refused,
            faults.Reset: reset,
            faults.HalfOpen: silence,
            faults.Malformed: self._cut,
            faults.WrongSchema: self._wrong,
            faults.Oversized: self._large,
            faults.Restart: restarted,
        }

    async def _late(self, fault: faults.Delay, body: bytes) -> None:
        await asyncio.sleep(fault.seconds)
        await self._wire.json(_answer(body, self._asked))

    async def _twice(self, _fault: object, body: bytes) -> None:
        event = b"event: message\ndata: " + json.dumps(_answer(body, self._asked)).encode() + b"\n\n"
        await self._wire.whole(200, event * 2, "text/event-stream")

    async def _refused(self, fault: Any, _body: bytes) -> None:
        status = fault.status if isinstance(fault, faults.ServerError) else 429
        wait = {} if fault.retry_after_s is None else {"Retry_After": str(fault.retry_after_s)}
        await self._wire.whole(status, f"injected: HTTP {status}".encode(), "text/plain", **wait)

    async def _cut(self, _fault: object, body: bytes) -> None:
        whole = json.dumps(_answer(body, self._asked)).encode()
        await self._wire.whole(200, whole[: len(whole) // 2])

    async def _wrong(self, fault: faults.WrongSchema, body: bytes) -> None:
        message = _answer(body, self._asked)
        if fault.mcp:
            message["result"] = {"content": "injected: not a list"}
        else:
            message["result"] = message.get("result", {}) | {"structuredContent": {"injected": "another schema"}}
        await self._wire.json(message)

    async def _large(self, fault: faults.Oversized, _body: bytes) -> None:
        content = [{"type": "text", "text": "HERE"}]
        message = {"jsonrpc": "2.0", "id": self._asked["id"], "result": {"content": content, "resultType": "complete"}}
        head, _, tail = json.dumps(message).encode().partition(b"HERE")
        await self._wire.begin(200, [(b"content-type", b"application/json")])
        await self._wire.data(head)
        for _number in range(fault.megabytes * MEGABYTE // CHUNK):
            await self._wire.data(b"x" * CHUNK)
        await self._wire.data(tail)
        await self._wire.end()

    async def _fetched(self) -> bytes:
        """The target's answer, read whole and not yet passed on."""
        async with self._sent() as response:
            return await response.aread()

    async def _forward(self) -> None:
        """Pass the request on, and its answer back as it comes."""
        try:
            async with self._sent() as response:
                await self._wire.begin(response.status_code, _end_to_end(response.headers.raw))
                async for chunk in response.aiter_raw():
                    await self._wire.data(chunk)
                await self._wire.end()
        except httpx2.ConnectError as error:  # certainly not sent: as a load balancer says it
            await self._wire.whole(503, f"target unreachable: {error}".encode(), "text/plain", Retry_After="1")
        except httpx2.RequestError:
            self._wire.reset()

    @contextlib.asynccontextmanager
    async def _sent(self) -> AsyncGenerator[httpx2.Response]:
        asked, headers = self._request, _end_to_end(self._request.headers)
        url = self._target + asked.target
        async with self._web.stream(asked.method, url, headers=headers, content=asked.body) as response:
            yield response


def _end_to_end(headers: Headers) -> list[tuple[bytes, bytes]]:
    """The headers without those of the connection they came on."""
    return [(name, value) for name, value in headers if name.lower() not in HOP_BY_HOP]


def _message(body: bytes) -> dict[str, Any]:
    """A JSON-RPC message; empty for anything else."""
    try:
        message: Any = json.loads(body)
    except ValueError:
        return {}
    return cast("dict[str, Any]", message) if isinstance(message, dict) else {}


def _answer(body: bytes, asked: dict[str, Any]) -> dict[str, Any]:
    """The JSON-RPC answer in a body, be that JSON or an event stream."""
    lines = [body, *(line.removeprefix(b"data:") for line in body.splitlines() if line.startswith(b"data:"))]
    answers = [message for line in lines if (message := _message(line)).get("id") == asked["id"]]
    return answers[-1] if answers else {"jsonrpc": "2.0", "id": asked["id"], "result": {}}
