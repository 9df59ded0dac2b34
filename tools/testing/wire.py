"""One HTTP/1.1 connection of a client, with what no web server lets one do: silence, half an answer, a reset."""

import asyncio
import contextlib
import json
import socket
import struct
from collections.abc import Coroutine, Iterable
from dataclasses import dataclass
from typing import Any

import h11

CHUNK = 65_536
Headers = Iterable[tuple[bytes, bytes]]


@dataclass(frozen=True)
class Request:
    """One HTTP request, read whole."""

    method: str
    target: str
    headers: list[tuple[bytes, bytes]]
    body: bytes


class Gone(Exception):
    """The client has left."""


class Wire:
    """A client's connection, one request after the other."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader, self._writer = reader, writer
        self._http = h11.Connection(h11.SERVER)

    async def request(self) -> Request | None:
        """The next request; None when there is none any more."""
        head: h11.Request | None = None
        body = bytearray()
        with contextlib.suppress(ConnectionError, h11.RemoteProtocolError):
            while True:
                event = self._http.next_event()
                if event is h11.NEED_DATA:
                    self._http.receive_data(await self._reader.read(CHUNK))
                elif isinstance(event, h11.Request):
                    head = event
                elif isinstance(event, h11.Data):
                    body += event.data
                elif isinstance(event, h11.EndOfMessage) and head is not None:
                    return Request(head.method.decode(), head.target.decode(), list(head.headers), bytes(body))
                else:
                    break
        return None

    async def attended(self, work: Coroutine[Any, Any, None]) -> None:
        """Do the work of a request; when the client leaves, the work is cancelled.

        Raises:
            Gone: it left.
        """
        working, watching = asyncio.create_task(work), asyncio.create_task(self._left())
        try:
            await asyncio.wait({working, watching}, return_when=asyncio.FIRST_COMPLETED)
            if not working.done():
                raise Gone
            working.result()
        finally:
            for task in (working, watching):
                task.cancel()
            await asyncio.gather(working, watching, return_exceptions=True)

    async def _left(self) -> None:
        with contextlib.suppress(ConnectionError):
            while data := await self._reader.read(CHUNK):
                self._http.receive_data(data)

    async def begin(self, status: int, headers: Headers) -> None:
        """Send the head of an answer."""
        await self._send(h11.Response(status_code=status, headers=list(headers)))

    async def data(self, chunk: bytes) -> None:
        """Send a piece of its body."""
        await self._send(h11.Data(data=chunk))

    async def end(self) -> None:
        """The answer is complete."""
        await self._send(h11.EndOfMessage())

    async def whole(self, status: int, body: bytes, kind: str = "application/json", **headers: str) -> None:
        """Send a whole answer."""
        more = [(name.replace("_", "-").encode(), value.encode()) for name, value in headers.items()]
        length = str(len(body)).encode()
        await self.begin(status, [(b"content-type", kind.encode()), (b"content-length", length), *more])
        await self.data(body)
        await self.end()

    async def json(self, message: Any) -> None:
        """Send a JSON message as whole answer."""
        await self.whole(200, json.dumps(message).encode())

    def again(self) -> bool:
        """Whether the client may ask once more on this connection."""
        if self._http.our_state is not h11.DONE or self._http.their_state is not h11.DONE:
            return False
        self._http.start_next_cycle()
        return True

    def close(self) -> None:
        """End it in order."""
        self._writer.close()

    def reset(self) -> None:
        """End it with a TCP reset."""
        held: socket.socket = self._writer.get_extra_info("socket")
        held.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self._writer.transport.abort()

    async def _send(self, event: h11.Event) -> None:
        try:
            self._writer.write(self._http.send(event) or b"")
            await self._writer.drain()
        except ConnectionError as error:
            raise Gone from error
