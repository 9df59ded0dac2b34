"""A language model that says what a test wrote: an OpenAI-compatible server over real HTTP, failures included."""

import asyncio
import contextlib
import itertools
import json
import logging
import re
import threading
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Self

from tools.model.said import Answer, Usage, calls
from tools.testing.wire import Gone, Wire

HOST = "127.0.0.1"
STREAM = [(b"content-type", b"text/event-stream")]
_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Says:
    """An answer.

    Attributes:
        text: what it says.
        calls: the tools it asks for: name and arguments; arguments may be a text, which is sent as it is.
        input_tokens: what it reports to have read.
        output_tokens: what it reports to have written.
        finish: why it ended; by default stop, or tool_calls where it asks for some.
        after_s: how long it takes, seconds.
    """

    text: str = ""
    calls: Sequence[tuple[str, Mapping[str, Any] | str]] = ()
    input_tokens: int = 40
    output_tokens: int = 10
    finish: str = ""
    after_s: float = 0.0


def answers(after_s: float = 0.0, /, **fields: Any) -> Says:
    """An answer of the type that was asked for, with these fields."""
    return Says(calls=[("answer", fields)], after_s=after_s)


@dataclass(frozen=True)
class Refuses:
    """An HTTP error: 429 with a Retry-After, 500, 401."""

    status: int = 429
    retry_after_s: int | None = None


@dataclass(frozen=True)
class CutsOff:
    """The connection is reset in the middle of the answer."""


@dataclass(frozen=True)
class Talks:
    """A 200 whose body is this, whatever it is: malformed JSON, or JSON that is no answer of a model."""

    body: str = '{"id": "1", "choices": [{"mess'


Line = Says | Refuses | CutsOff | Talks
Script = Callable[[Mapping[str, Any]], Line]
"""Says what comes next, by the body of the request."""


class ModelServer:
    """A scripted model. Its lines are said in their order; then, and where there are none, what `otherwise` says.

    Attributes:
        requests: the bodies of all requests that came, in their order.
        abandoned: how many of them were given up by who asked, before there was an answer.
        otherwise: what it says when its script is at its end.
    """

    def __init__(self, *script: Line, otherwise: Line | Script = Refuses(500)) -> None:
        self.requests: list[dict[str, Any]] = []
        self.abandoned = 0
        self.otherwise = otherwise
        self._script, self._numbers, self._port = deque(script), itertools.count(1), 0
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="model-server", daemon=True)
        self._serving: asyncio.Server | None = None

    @property
    def url(self) -> str:
        """Where it is asked; with `#model` behind it, a model for SUREFOOT_MODEL."""
        return f"http://{HOST}:{self._port}/v1"

    def says(self, *lines: Line) -> None:
        """Add lines to its script."""
        self._script.extend(lines)

    def clear(self, *, otherwise: Line | Script = Refuses(500)) -> None:
        """Forget the script and what was asked."""
        self._script.clear()
        self.requests.clear()
        self.abandoned = 0
        self.otherwise = otherwise

    def start(self) -> Self:
        """Serve, in a thread of its own, on a free port."""
        self._thread.start()
        serving: asyncio.Server = self._do(asyncio.start_server(self._connected, HOST, self._port))
        self._serving, self._port = serving, serving.sockets[0].getsockname()[1]
        return self

    def close(self) -> None:
        """End it."""
        self._do(self._closed())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    async def _closed(self) -> None:
        assert self._serving is not None
        self._serving.close()
        others = asyncio.all_tasks() - {asyncio.current_task()}
        for task in others:
            task.cancel()
        await asyncio.gather(*others, return_exceptions=True)

    def _do(self, work: Any) -> Any:
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(timeout=10)

    async def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        wire = Wire(reader, writer)
        try:
            while (request := await wire.request()) is not None:
                body = json.loads(request.body)
                self.requests.append(body)
                try:
                    await wire.attended(self._say(wire, self._next(body), body))
                except Gone:
                    self.abandoned += 1
                    break
                if not wire.again():
                    break
        except (Gone, asyncio.CancelledError):  # the client has left, or the server ends
            pass
        except Exception:  # noqa: BLE001 - a script of the user's; only this connection ends by it, and the log says so
            _log.exception("the script of the model failed")
            wire.reset()
        finally:
            wire.close()

    def _next(self, body: Mapping[str, Any]) -> Line:
        if self._script:
            return self._script.popleft()
        return self.otherwise(body) if callable(self.otherwise) else self.otherwise

    async def _say(self, wire: Wire, line: Line, body: Mapping[str, Any]) -> None:
        if isinstance(line, Refuses):
            more = {} if line.retry_after_s is None else {"retry_after": str(line.retry_after_s)}
            said = {"error": {"message": f"scripted {line.status}", "type": "scripted"}}
            await wire.whole(line.status, json.dumps(said).encode(), **more)
        elif isinstance(line, Talks):
            await wire.whole(200, line.body.encode())
        elif isinstance(line, CutsOff):
            await self._cut_off(wire, Answer(str(body.get("model"))), streamed=bool(body.get("stream")))
        else:
            await asyncio.sleep(line.after_s)
            answer = Answer(str(body.get("model")), f"chatcmpl-{next(self._numbers)}")
            await (self._stream(wire, line, answer, body) if body.get("stream") else wire.json(_whole(line, answer)))

    async def _cut_off(self, wire: Wire, answer: Answer, *, streamed: bool) -> None:
        """A part of an answer, and a reset."""
        if streamed:
            await wire.begin(200, STREAM)
            await wire.data(answer.piece({"role": "assistant", "content": "I am"}))
        else:
            await wire.begin(200, [(b"content-type", b"application/json"), (b"content-length", b"1000")])
            await wire.data(b'{"id": "1", ')
        wire.reset()
        raise Gone

    async def _stream(self, wire: Wire, line: Says, answer: Answer, body: Mapping[str, Any]) -> None:
        """An answer as a stream, its text word by word."""
        await wire.begin(200, STREAM)
        await wire.data(answer.piece({"role": "assistant", "content": ""}))
        for word in re.findall(r"\s*\S+|\s+$", line.text):
            await wire.data(answer.piece({"content": word}))
        if line.calls:
            await wire.data(answer.piece(_calls(line, answer)))
        await wire.data(answer.piece({}, _finish(line)))
        told = Usage(line.input_tokens, line.output_tokens)
        for last in answer.end(told if (body.get("stream_options") or {}).get("include_usage") else None):
            await wire.data(last)
        await wire.end()

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with contextlib.suppress(TimeoutError):
            self.close()


def _whole(line: Says, answer: Answer) -> dict[str, Any]:
    message: dict[str, Any] = {"content": line.text or None, **(_calls(line, answer) if line.calls else {})}
    return answer.whole(message, _finish(line), Usage(line.input_tokens, line.output_tokens))


def _calls(line: Says, answer: Answer) -> dict[str, Any]:
    said = [(name, how if isinstance(how, str) else json.dumps(how)) for name, how in line.calls]
    return {"tool_calls": calls(said, answer.id.replace("chatcmpl", "call"))}


def _finish(line: Says) -> str:
    return line.finish or ("tool_calls" if line.calls else "stop")
