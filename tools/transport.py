"""Keeps one failing request from ending the shared MCP client.

The SDK's client dies with the first request whose transport fails, and takes every call in flight along. This transport
answers such a request with a JSON-RPC error of its own, so that only its caller sees it. The error says whether the
request may have been executed, and keeps the status and Retry-After that the SDK would drop.
"""

import json
from collections.abc import AsyncGenerator
from dataclasses import dataclass
from typing import Any, cast

import httpx2
import structlog
from pydantic_core import from_json

log = structlog.get_logger(__name__)
KEY_META = "io.surefoot/idempotency-key"
BYTES_META = "io.surefoot/answer-bytes"
"""How much of its answer a call may read, where that is less than usual; a server may cut it short itself."""
HTTP_FAILED, TRANSPORT_FAILED, TOO_LARGE = -32_099, -32_098, -32_097
"""Codes of the errors made here; the range is the one JSON-RPC leaves to implementations."""
NEVER_SENT = (httpx2.ConnectError, httpx2.ConnectTimeout, httpx2.PoolTimeout, httpx2.UnsupportedProtocol)
NEGOTIATING = frozenset({"server/discover", "initialize"})
OUTAGES = frozenset({425, 429, 502, 503, 504})
"""Says nothing about the request itself."""
COURTESY_S = 5.0
"""Time for what nobody waits for: notifications, and the end of a session."""
LISTING_BYTES, REFUSAL_BYTES = 8_388_608, 65_536
CUT = b"\nevent: cut\n\n"
"""Ends an event that was begun, as one of a kind that nobody reads."""


class Unreachable(httpx2.TransportError):
    """The server answers the first question with an outage: no reason to take it for one of an older protocol."""

    def __init__(self, message: str, retry_after: str | None) -> None:
        super().__init__(message)
        self.retry_after = retry_after


@dataclass(frozen=True)
class Asked:
    """A JSON-RPC request on its way.

    Attributes:
        id: by which its answer is known.
        method: e.g. tools/call.
        key: its deduplication key, if it has one.
        most_bytes: how large the body of its answer may be.
        told_bytes: how large its answer may be in the words of the settings.
    """

    id: str | int
    method: str
    key: str | None
    most_bytes: int
    told_bytes: int

    def failed(self, code: int, message: str, **data: Any) -> bytes:
        """The answer that says it failed."""
        error = {"code": code, "message": message, "data": data}
        return json.dumps({"jsonrpc": "2.0", "id": self.id, "error": error}).encode()

    def broken(self, why: str) -> bytes:
        """Its answer is no answer; it may have been executed all the same."""
        return self.failed(TRANSPORT_FAILED, why, maybe_executed=True)

    def too_large(self) -> bytes:
        """Its answer was cut off."""
        return self.failed(TOO_LARGE, f"the answer has more than {self.told_bytes:,} bytes (SUREFOOT_ANSWER_BYTES)")


class Isolating(httpx2.AsyncBaseTransport):
    """Wraps the transport of one server's client."""

    def __init__(self, inner: httpx2.AsyncBaseTransport, answer_bytes: int, key_header: str | None = None) -> None:
        """`key_header`: where the server wants the deduplication key besides `_meta`."""
        self._inner, self._answer_bytes, self._key_header = inner, answer_bytes, key_header

    async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
        """Send one request; the failure of a JSON-RPC request comes back as its JSON-RPC error."""
        asked = self._asked(request)
        if asked is None:
            return await self._unasked(request)
        if self._key_header and asked.key:
            request.headers[self._key_header] = asked.key
        try:
            response = await self._inner.handle_async_request(request)
            return await self._answer(request, response, asked)
        except httpx2.RequestError as error:
            if asked.method in NEGOTIATING:
                raise  # nothing else is in flight yet, and an outage is no verdict on the protocol
            executed = not isinstance(error, NEVER_SENT)
            return _json(request, asked.failed(TRANSPORT_FAILED, _told(error), maybe_executed=executed))

    async def aclose(self) -> None:
        """Close the wrapped transport."""
        await self._inner.aclose()

    def _asked(self, request: httpx2.Request) -> Asked | None:
        """The JSON-RPC request in a POST; None for notifications, answers of ours, GET and DELETE."""
        message: Any = from_json(request.content) if request.method == "POST" else None
        if not isinstance(message, dict) or "id" not in message or "method" not in message:
            return None
        fields = cast("dict[str, Any]", message)
        calls = fields["method"] == "tools/call"
        meta: dict[str, Any] = (fields["params"].get("_meta") or {}) if calls else {}
        answer_bytes = meta.get(BYTES_META, self._answer_bytes)
        wire_bytes = wire_limit(answer_bytes)
        return Asked(
            id=fields["id"],
            method=fields["method"],
            key=meta.get(KEY_META),
            most_bytes=wire_bytes if calls else max(wire_bytes, LISTING_BYTES),
            told_bytes=answer_bytes if calls else LISTING_BYTES,
        )

    async def _unasked(self, request: httpx2.Request) -> httpx2.Response:
        if request.method == "GET":  # the stream on which the server speaks first: it may be silent for long
            return await self._inner.handle_async_request(request)
        request.extensions = request.extensions | {
            "timeout": dict.fromkeys(("connect", "read", "write", "pool"), COURTESY_S)
        }
        try:
            return await self._inner.handle_async_request(request)
        except httpx2.RequestError as error:
            if request.method != "POST":
                raise
            log.debug("a notification did not reach its tool server", error=_told(error))
            return httpx2.Response(202, request=request)

    async def _answer(self, request: httpx2.Request, response: httpx2.Response, asked: Asked) -> httpx2.Response:
        if response.is_redirect:  # the SDK follows it within the origin
            return response
        if response.status_code >= 400:  # noqa: PLR2004 - HTTP's errors begin here
            return await _refusal(request, response, asked)
        kind = response.headers.get("content-type", "").partition(";")[0].strip().lower()
        if kind == "text/event-stream":
            return httpx2.Response(200, headers=_bare(response), stream=Events(response, asked), request=request)
        if kind == "application/json":
            body, whole = await _read(response, asked.most_bytes)
            return _json(request, _checked(body, asked) if whole else asked.too_large(), _bare(response))
        await response.aclose()
        return _json(request, asked.broken(f"HTTP {response.status_code} with {kind or 'no content type'}"))


class Events(httpx2.AsyncByteStream):
    """An event stream, passed on as it comes. The SDK leaves it at the answer; where it ends before, we answer.

    A stream whose events have ids is one that the SDK takes up again by itself.
    """

    def __init__(self, response: httpx2.Response, asked: Asked) -> None:
        self._response, self._asked = response, asked

    async def __aiter__(self) -> AsyncGenerator[bytes]:
        size, resumable = 0, False
        why = "the server ended the stream without an answer"
        try:
            async for chunk in self._response.aiter_bytes():
                size += len(chunk)
                if size > self._asked.most_bytes:
                    yield _event(self._asked.too_large())
                    return
                resumable = resumable or chunk.startswith(b"id:") or b"\nid:" in chunk
                yield chunk
        except httpx2.RequestError as error:
            why = _told(error)
        if not resumable:
            yield _event(self._asked.broken(why))

    async def aclose(self) -> None:
        """Leave the stream; on the current protocol that cancels the request."""
        await self._response.aclose()


async def _refusal(request: httpx2.Request, response: httpx2.Response, asked: Asked) -> httpx2.Response:
    """An HTTP error as JSON-RPC error: the server's own words where it has some, else the status."""
    status, retry_after = response.status_code, response.headers.get("retry-after")
    session_lost = status == 404 and "mcp-session-id" in request.headers  # noqa: PLR2004 - so says the older protocol
    body, _ = await _read(response, REFUSAL_BYTES)
    if status in OUTAGES and asked.method in NEGOTIATING:
        raise Unreachable(f"HTTP {status}", retry_after)
    error = _own_error(body)
    if error is not None and status < 500 and status not in OUTAGES and not session_lost:  # noqa: PLR2004
        return _json(request, json.dumps({"jsonrpc": "2.0", "id": asked.id, "error": error}).encode())
    data = {"http_status": status, "retry_after": retry_after, "session_lost": session_lost}
    said = " ".join(body[:200].decode("utf-8", "replace").split())
    return _json(request, asked.failed(HTTP_FAILED, f"HTTP {status} {said}".strip(), **data))


async def _read(response: httpx2.Response, most_bytes: int) -> tuple[bytes, bool]:
    """A body as far as it is allowed, and whether that is all of it."""
    body = bytearray()
    try:
        async for chunk in response.aiter_bytes():
            body += chunk
            if len(body) > most_bytes:
                return bytes(body[:most_bytes]), False
    finally:
        await response.aclose()
    return bytes(body), True


def _checked(body: bytes, asked: Asked) -> bytes:
    """The body if it answers what was asked, else an error that does: the SDK would wait for ever."""
    try:
        message: Any = from_json(body)
    except ValueError as error:
        return asked.broken(f"not JSON: {str(error)[:100]}; it begins with {body[:60]!r}")
    fields = cast("dict[str, Any]", message) if isinstance(message, dict) else {}
    if fields.get("id") == asked.id and ("result" in fields or "error" in fields):
        return body
    if "error" in fields and fields.get("id") is None:
        return json.dumps(fields | {"id": asked.id}).encode()
    return asked.broken(f"no answer to this request: {body[:60]!r}")


def _own_error(body: bytes) -> Any:
    """The error of a JSON-RPC body, else None."""
    try:
        message: Any = from_json(body)
    except ValueError:
        return None
    error: Any = cast("dict[str, Any]", message).get("error") if isinstance(message, dict) else None
    return cast("Any", error) if isinstance(error, dict) and {"code", "message"} <= error.keys() else None


def wire_limit(answer_bytes: int) -> int:
    """Where a body is cut off: an answer travels escaped, and often twice, as text and as structure."""
    return 4 * answer_bytes + REFUSAL_BYTES


def _told(error: Exception) -> str:
    return f"{type(error).__name__}: {error}".rstrip(": ")


def _bare(response: httpx2.Response) -> httpx2.Headers:
    """The headers without those that describe a body which is now another: decoded, cut, replaced."""
    headers = httpx2.Headers(response.headers)
    for name in ("content-length", "content-encoding", "transfer-encoding"):
        headers.pop(name, None)
    return headers


def _event(message: bytes) -> bytes:
    return CUT + b"event: message\ndata: " + message + b"\n\n"


def _json(request: httpx2.Request, content: bytes, headers: httpx2.Headers | None = None) -> httpx2.Response:
    headers = headers or httpx2.Headers({"content-type": "application/json"})
    return httpx2.Response(200, headers=headers, content=content, request=request)
