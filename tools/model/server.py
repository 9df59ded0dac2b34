"""The server: chat completions in OpenAI's form by one model, its list of models, and a page that says it is well."""

import asyncio
import json
import logging
import time
from collections.abc import AsyncGenerator, Coroutine, Iterator
from contextlib import aclosing
from typing import Any

from pydantic import ValidationError
from starlette.applications import Starlette
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse
from starlette.routing import Route
from starlette.types import Receive, Scope, Send

from tools.model.asked import TEXT, ChatRequest
from tools.model.engine import Engine, Read, Refused
from tools.model.said import Answer, Usage, calls, error, event
from tools.model.turns import Turns

FAILED = "the model failed while it answered; the server's log says how"
_log = logging.getLogger(__name__)


def application(engine: Engine, most_waiting: int) -> Starlette:
    """The ASGI application around a model."""
    turns = Turns(most_waiting)

    async def models(_: Request) -> JSONResponse:
        return JSONResponse({"object": "list", "data": [{"id": engine.name, "object": "model", "owned_by": "local"}]})

    async def health(_: Request) -> JSONResponse:
        told = {"context": engine.context, "asking": turns.here, "answered": turns.answered}
        return JSONResponse({"status": "ok", "model": engine.name, **told})

    return Starlette(
        routes=[
            Route("/v1/chat/completions", Chat(engine, turns), methods=["POST"]),
            Route("/v1/models", models),
            Route("/health", health),
        ]
    )


def told(engine: Engine, url: str) -> list[str]:
    """What is said when it is there: what to set, so that an answer leaves most of the context to the prompt."""
    return [
        f"{engine.name} at {url}, {engine.context} tokens of context; Ctrl-C stops it",
        f"  SUREFOOT_MODEL={url}#{engine.name}",
        f"  SUREFOOT_MODEL_MAX_TOKENS={max(1, engine.context // 4)}",
    ]


class Chat:
    """Answers chat completion requests."""

    def __init__(self, engine: Engine, turns: Turns) -> None:
        self._engine, self._turns = engine, turns

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one; what cannot be answered is said in OpenAI's form."""
        try:
            asked = _parsed(await Request(scope, receive).body())
            read = self._engine.read(asked.question())
            most = self._room(asked, read)
            with self._turns.place():
                await _attended(self._answer(asked, read, most, scope, receive, send), receive)
        except Refused as no:
            more = {} if no.retry_after_s is None else {"retry-after": str(no.retry_after_s)}
            kind = "invalid_request_error" if no.status < 429 else "overloaded_error"  # noqa: PLR2004
            await JSONResponse(error(str(no), kind, no.code), no.status, more)(scope, receive, send)
        except ClientDisconnect:
            return
        except Exception:  # noqa: BLE001 - nothing was sent yet: the client is told, and the log
            _log.exception("no answer")
            await JSONResponse(error(FAILED, "server_error"), 500)(scope, receive, send)

    def _room(self, asked: ChatRequest, read: Read) -> int:
        """Most tokens of the answer."""
        room = self._engine.context - len(read.tokens)
        if room < (asked.most_tokens or 1):
            wanted = f" and {asked.most_tokens} of the answer" if asked.most_tokens else " and an answer"
            said = f"{len(read.tokens)} tokens of the prompt{wanted} do not fit into {self._engine.context}"
            raise Refused(
                f"{said}: shorten the messages, or ask for fewer tokens (SUREFOOT_MODEL_MAX_TOKENS)",
                code="context_length_exceeded",
            )
        return asked.most_tokens or room

    async def _answer(
        self, asked: ChatRequest, read: Read, most: int, scope: Scope, receive: Receive, send: Send
    ) -> None:
        async with self._turns.turn():
            answer = Answer(asked.model or self._engine.name, created=int(time.time()))
            written = _Written(len(read.tokens), most)
            pieces = written.pieces(self._engine.write(read))
            if asked.stream:
                await _stream(asked, answer, written, pieces, send)
                return
            async with aclosing(pieces):
                text = "".join([piece async for piece in pieces])
            message, finish = _message(asked, answer, text, written.finish)
            await JSONResponse(answer.whole(message, finish, written.usage))(scope, receive, send)


class _Written:
    """What was written so far: it is counted by its tokens."""

    def __init__(self, input_tokens: int, most: int) -> None:
        self._input, self._most, self._count = input_tokens, most, 0
        self.finish = "stop"

    @property
    def usage(self) -> Usage:
        return Usage(self._input, self._count)

    async def pieces(self, written: Iterator[str]) -> AsyncGenerator[str]:
        """Each token's text, made in a thread; who stops listening ends it after the token that is under way."""
        while True:
            step = asyncio.create_task(asyncio.to_thread(next, written, None))
            try:
                piece = await asyncio.shield(step)
            except asyncio.CancelledError:
                await asyncio.wait([step])
                raise
            if piece is None:
                return
            self._count += 1
            yield piece
            if self._count == self._most:
                self.finish = "length"
                return


async def _stream(
    asked: ChatRequest, answer: Answer, written: _Written, pieces: AsyncGenerator[str], send: Send
) -> None:
    """Text goes out token by token; a call of a tool, which has a name only when it is complete, in one piece."""

    async def tell(body: bytes, *, more: bool = True) -> None:
        await send({"type": "http.response.body", "body": body, "more_body": more})

    headers = [(b"content-type", b"text/event-stream"), (b"cache-control", b"no-cache")]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    try:
        await tell(answer.piece({"role": "assistant", "content": ""}))
        text = ""
        async with aclosing(pieces):
            async for piece in pieces:
                text += piece
                if not asked.offered and piece:
                    await tell(answer.piece({"content": piece}))
        message, finish = _message(asked, answer, text, written.finish)
        if asked.offered:
            await tell(answer.piece(message))
        await tell(answer.piece({}, finish))
        usage = written.usage if asked.stream_options and asked.stream_options.include_usage else None
        await tell(b"".join(answer.end(usage)), more=False)
    except Exception:  # noqa: BLE001 - the head has gone out already: the stream says it, and the log
        _log.exception("an answer broke off")
        await tell(event(error(FAILED, "server_error")), more=False)


def _message(asked: ChatRequest, answer: Answer, text: str, finish: str) -> tuple[dict[str, Any], str]:
    """The text that the model wrote, as a message: a call where tools were on offer."""
    call = f"call_{answer.id[-8:]}"
    if asked.only:
        called = calls([(asked.only.name, text)], call)
        return {"content": None, "tool_calls": called}, "tool_calls" if finish == "stop" else finish
    if not asked.offered or finish == "length":
        return {"content": text}, finish
    said = json.loads(text)
    if TEXT in said:
        return {"content": said[TEXT]}, finish
    called = calls([(said["name"], json.dumps(said["arguments"]))], call)
    return {"content": None, "tool_calls": called}, "tool_calls"


def _parsed(body: bytes) -> ChatRequest:
    try:
        return ChatRequest.model_validate_json(body)
    except ValidationError as wrong:
        told = [f"{'.'.join(map(str, each['loc'])) or 'body'}: {each['msg']}" for each in wrong.errors()[:3]]
        raise Refused("; ".join(told)) from None


async def _attended(work: Coroutine[Any, Any, None], receive: Receive) -> None:
    """Do it as long as the client is there."""
    working, leaving = asyncio.create_task(work), asyncio.create_task(_left(receive))
    try:
        await asyncio.wait({working, leaving}, return_when=asyncio.FIRST_COMPLETED)
        if working.done():
            working.result()
    finally:
        for task in (working, leaving):
            task.cancel()
        await asyncio.gather(working, leaving, return_exceptions=True)


async def _left(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass
