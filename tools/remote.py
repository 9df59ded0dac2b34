"""A tool server over HTTP or stdio: sends a call, and says what came of it in three words."""

import asyncio
import json
from collections.abc import Coroutine, Generator, Sequence
from contextlib import contextmanager
from typing import Any

import structlog
from mcp.shared.exceptions import MCPError
from mcp.types import (
    CallToolRequest,
    CallToolRequestParams,
    CallToolResult,
    InputRequiredResult,
)
from mcp.types import Tool as ListedTool
from pydantic import TypeAdapter, ValidationError
from pydantic_core import to_json

from tools.catalogue import Catalogue, pages
from tools.config import ServerConfig
from tools.connection import Connection, Life
from tools.effects import classify
from tools.elicitation import asked, responses
from tools.failure import failure, list_changed, session_lost
from tools.outcome import OutcomeUnknown, Rejected, ToolFailure, Unavailable
from tools.schema import InvalidSchema
from tools.tool import Tool, described
from tools.transport import BYTES_META, KEY_META, TOO_LARGE
from tools.way import Way

Result = CallToolResult | InputRequiredResult
RESULT: TypeAdapter[Result] = TypeAdapter(Result)
SHOWN_CHARACTERS = 2_000
log = structlog.get_logger(__name__)


class RemoteServer:
    """An MCP server, over HTTP or stdio."""

    def __init__(self, name: str, config: ServerConfig, ttl_s: float, answer_bytes: int) -> None:
        self.name, self._config, self._answer_bytes = name, config, answer_bytes
        self._catalogue = Catalogue(name, self._list, ttl_s)
        self._connection = Connection(name, config, answer_bytes, self._catalogue.expire)
        self._leaving: set[asyncio.Future[Result]] = set()
        self._slots = asyncio.Semaphore(config.surefoot.concurrency)

    async def tool(self, name: str) -> Tool:
        """Its tool of this name.

        Raises:
            Rejected: it has none.
            ToolFailure: it cannot be asked.
        """
        return await self._catalogue.tool(name)

    async def tools(self) -> list[Tool]:
        """All its tools.

        Raises:
            ToolFailure: it cannot be asked.
        """
        return list((await self._catalogue.tools()).values())

    async def close(self) -> None:
        """Leave the server."""
        await self._catalogue.close()
        await self._connection.close()

    async def call(self, tool: Tool, arguments: dict[str, Any], way: Way) -> Any:
        """Send one call with its key, and read what came of it, all within one time limit."""
        request = _request(tool, arguments, way)
        with self._discreet():
            return await self._sent(tool, request, way)

    @contextmanager
    def _discreet(self) -> Generator[None]:
        """What the server says when it fails, without what it was given to sign in with."""
        try:
            yield
        except ToolFailure as error:
            error.args = (self._config.hide(str(error)).encode(errors="replace").decode(),)
            raise

    async def _sent(self, tool: Tool, request: CallToolRequest, way: Way) -> Any:
        sent = False
        try:
            async with asyncio.timeout(way.timeout_s), self._slots:
                life = await self._connection.opened()
                way.check(tool.name)
                sent = True
                result = await self._exchange(tool, life, request, way)
        except TimeoutError as error:
            if sent:
                raise OutcomeUnknown(tool.name, f"no answer within {way.timeout_s:g} s") from error
            raise Unavailable(tool.name, f"{self.name} was not free within {way.timeout_s:g} s: not sent") from error
        return _answer(tool, result, way, self._config)

    async def _exchange(self, tool: Tool, life: Life, request: CallToolRequest, way: Way) -> Result:
        """One request and its result. The session's own `call_tool` would check the answer with a slower validator."""
        try:
            return await self._unbroken(life.client.session.send_request(request, RESULT))
        except MCPError as error:
            self._learn(life, error)
            if error.code == TOO_LARGE:
                raise tool.too_large(way, error.message) from error
            raise failure(tool.name, error) from error
        except ValidationError as error:
            said = "; ".join(f"{'.'.join(map(str, one['loc']))}: {one['msg']}" for one in error.errors()[:3])
            raise tool.unusable(f"its result is not valid MCP: {said}") from error
        except TimeoutError:
            raise
        except Exception as error:  # what the SDK lets through, we cannot know
            log.exception("a tool call ended unexpectedly", tool=tool.name)
            raise OutcomeUnknown(tool.name, f"{type(error).__name__}: {error}") from error

    async def _unbroken(self, exchange: Coroutine[Any, Any, Result]) -> Result:
        """Await an exchange that is cancelled just once.

        A caller may be cancelled twice, by a deadline and by the end of its job at one moment; the second time would
        break off what the first began: telling the server.
        """
        task = asyncio.ensure_future(exchange)
        try:
            return await asyncio.shield(task)
        except asyncio.CancelledError:
            task.cancel()
            self._leaving.add(task)
            task.add_done_callback(self._left)
            raise

    def _left(self, task: "asyncio.Future[Result]") -> None:
        self._leaving.discard(task)
        if not task.cancelled():
            task.exception()  # nobody waits for it any more

    def _learn(self, life: Life, error: MCPError) -> None:
        if session_lost(error):
            life.retire()
        if list_changed(error):
            self._catalogue.expire()

    async def _list(self) -> list[Tool]:
        with self._discreet():
            return await self._listed()

    async def _listed(self) -> list[Tool]:
        extras = self._config.surefoot
        try:
            async with asyncio.timeout(extras.timeout_s):
                life = await self._connection.opened()
                listed = await pages(self.name, lambda cursor: self._page(life, cursor))
        except TimeoutError as error:
            raise Unavailable(self.name, f"cannot list its tools within {extras.timeout_s:g} s") from error
        except ValidationError as error:
            where = ".".join(map(str, error.errors()[0]["loc"]))
            raise Rejected(self.name, f"its list of tools is not valid MCP: {where}") from error
        effects = [classify(one.name, one.annotations, trust=extras.trust, effects=extras.effects) for one in listed]
        found = zip(listed, effects, strict=True)
        return [described(self.name, one, extras, effect, self, self._answer_bytes) for one, effect in found]

    async def _page(self, life: Life, cursor: str | None) -> tuple[Sequence[ListedTool], str | None]:
        try:
            page = await life.client.list_tools(cursor=cursor)
        except MCPError as error:
            self._learn(life, error)
            what = failure(self.name, error)
            kind = Rejected if isinstance(what, Rejected) else Unavailable
            raise kind(self.name, f"cannot list its tools: {error.message}") from error
        return page.tools, page.next_cursor


def _request(tool: Tool, arguments: dict[str, Any], way: Way) -> CallToolRequest:
    """The request. What JSON cannot carry would end the connection for all who share it."""
    said, most_bytes = way.said, way.most_bytes
    arguments = {**arguments, tool.key_argument: said.key if said else way.key} if tool.key_argument else arguments
    try:
        json.dumps(arguments, allow_nan=False, ensure_ascii=False).encode()
    except (TypeError, ValueError, RecursionError) as error:
        raise Rejected(tool.name, f"invalid arguments: not JSON: {error}") from error
    return CallToolRequest(
        params=CallToolRequestParams(
            name=tool.name.partition(".")[2],
            arguments=arguments,
            input_responses=responses(tool.name, said) if said else None,
            request_state=said.request_state if said else None,
            _meta={KEY_META: way.key} if most_bytes is None else {KEY_META: way.key, BYTES_META: most_bytes},
        )
    )


def _answer(tool: Tool, result: Result, way: Way, config: ServerConfig) -> Any:
    """What a specialist gets of a result."""
    if isinstance(result, InputRequiredResult):
        raise asked(tool, result, way, config.hide)
    texts = [block.text for block in result.content if block.type == "text"]
    if result.is_error:
        why = config.hide("\n".join(texts))[:SHOWN_CHARACTERS]
        raise Rejected(tool.name, why or "the tool reported an error without a word")
    if tool.output_schema is not None:
        assert not isinstance(tool.answers, InvalidSchema)
        if problems := tool.answers.problems(result.structured_content):
            raise tool.unusable(f"its answer does not fit its output schema: {problems}")
    answer: Any = result.structured_content
    if answer is None:
        plain = len(texts) == len(result.content)
        answer = "\n".join(texts) if plain else [block.model_dump(mode="json") for block in result.content]
    said = to_json(answer)
    if (size := len(said)) > (way.most_bytes or tool.most_bytes):
        why = f"its answer has {size:,} bytes, more than {tool.most_bytes:,} (SUREFOOT_ANSWER_BYTES)"
        raise tool.too_large(way, why)
    return config.hide(answer) if config.repeated(said) else answer
