"""What a server offers: its tools, listed anew after a while, and kept while it is away."""

import asyncio
import hashlib
import json
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol, cast

import structlog

from tools.config import Extras
from tools.effects import Effect
from tools.outcome import CutOff, OutcomeUnknown, Rejected, ToolFailure
from tools.schema import InvalidSchema, Schema
from tools.way import Said, Way

log = structlog.get_logger(__name__)
MOST_TOOLS, MOST_PAGES, SHOWN = 2_000, 200, 20
AGAIN_S = 5.0
"""A list so young is not asked for again, whatever is missing in it."""
ANYTHING = Schema({})
ABOUT = "key"
"""The argument in which a look-up is asked about a key, unless it has only its server's `key.argument`."""


class Caller(Protocol):
    """What a tool is called through."""

    async def call(self, tool: "Tool", arguments: dict[str, Any], way: Way) -> Any:
        """Call it once."""
        ...


@dataclass(frozen=True)
class Tool:
    """One tool of one server, as it was when it was listed.

    Attributes:
        name: "<server>.<tool>".
        description: the server's words about it.
        input_schema: JSON Schema of its arguments, without the one that carries the deduplication key.
        output_schema: JSON Schema of its structured answer, if it says one.
        effect: whether a call may be repeated.
        digest: of description and schemas; another digest is another tool.
        price_micro_usd: what a call costs, micro-USD; None where its server's configuration does not say.
        timeout_s: the longest a call may take.
        most_bytes: how large an answer may be, bytes of JSON.
        lookup: the tool that answers what became of a key.
        about: of a look-up, the argument that takes the key it is asked about.
    """

    name: str
    description: str
    input_schema: Mapping[str, Any]
    output_schema: Mapping[str, Any] | None
    effect: Effect
    digest: str
    price_micro_usd: int | None
    timeout_s: float
    most_bytes: int
    lookup: str | None
    caller: Caller = field(repr=False, compare=False)
    arguments: Schema | InvalidSchema = field(repr=False, compare=False)
    answers: Schema | InvalidSchema = field(repr=False, compare=False)
    key_argument: str | None = field(default=None, repr=False, compare=False)
    about: str = field(default=ABOUT, repr=False, compare=False)

    def check(self, arguments: Mapping[str, Any]) -> None:
        """Validate arguments, before anything is spent.

        Raises:
            Rejected: names each wrong field.
        """
        for what, schema in (("input", self.arguments), ("output", self.answers)):
            if isinstance(schema, InvalidSchema):
                raise Rejected(self.name, f"its server gives it an {what} schema that cannot be used: {schema}")
        assert isinstance(self.arguments, Schema)
        if problems := self.arguments.problems(dict(arguments)):
            raise Rejected(self.name, f"invalid arguments: {problems}")

    async def call(
        self,
        arguments: Mapping[str, Any],
        *,
        key: str,
        timeout_s: float,
        said: Said | None = None,
        ours: Callable[[], bool] = lambda: True,
        most_bytes: int | None = None,
    ) -> Any:
        """Call it once. Returns the structured answer, else its text, else its content as a list.

        Args:
            arguments: as they were checked.
            key: the deduplication key; a continuation of a call that asked something has its own.
            timeout_s: what is left for it; its server's own limit holds too.
            said: goes on with a call that raised NeedsInput.
            ours: asked just before it is sent; where it says no, the call is unavailable.
            most_bytes: how large its answer may be, if that is less than any answer's.

        Raises:
            Rejected: a definite no.
            Unavailable: certainly not executed.
            OutcomeUnknown: sent, and nobody knows.
            CutOff: executed, with a larger answer than `most_bytes`.
            NeedsInput: it asks a person first.
        """
        if most_bytes is not None and most_bytes >= self.most_bytes:
            most_bytes = None
        way = Way(key, min(timeout_s, self.timeout_s), said, ours, most_bytes)
        return await self.caller.call(self, dict(arguments), way)

    def too_large(self, way: Way, why: str) -> ToolFailure:
        """The outcome of a call whose answer is larger than this call's may be, or else than any may be."""
        return self.unusable(why) if way.most_bytes is None else CutOff(self.name, way.most_bytes)

    def unusable(self, why: str) -> ToolFailure:
        """The outcome of a call that was executed, and whose answer cannot be used.

        Of a tool that only reads it is a no: asking again would bring it again. What has an effect may have had it, and
        that is never called a no: a specialist would book elsewhere. Asked again with the same key, or looked up, it
        tells.
        """
        kind = Rejected if self.effect is Effect.READ else OutcomeUnknown
        return kind(self.name, f"it was executed, but {why}")


def described(server: str, listed: "Listed", extras: Extras, effect: Effect, caller: Caller, most_bytes: int) -> Tool:
    """A tool from what its server lists and its configuration adds."""
    said = [listed.name, listed.description, listed.input_schema, listed.output_schema]
    key_argument, about = _places(listed, extras)
    shown = _without(listed.input_schema, key_argument) if key_argument else listed.input_schema
    lookup = extras.lookup.get(listed.name)
    return Tool(
        name=f"{server}.{listed.name}",
        description=listed.description or "",
        input_schema=shown,
        output_schema=listed.output_schema,
        effect=effect,
        digest=hashlib.sha256(json.dumps(said, sort_keys=True).encode()).hexdigest()[:16],
        price_micro_usd=extras.price_micro_usd(listed.name),
        timeout_s=extras.timeout_s,
        most_bytes=most_bytes,
        lookup=f"{server}.{lookup}" if lookup else None,
        caller=caller,
        arguments=_compiled(shown),
        answers=_compiled(listed.output_schema) if listed.output_schema is not None else ANYTHING,
        key_argument=key_argument,
        about=about,
    )


class Listed(Protocol):
    """A tool as a server lists it: the SDK's, or a signature."""

    name: str
    description: str | None
    input_schema: dict[str, Any]
    output_schema: dict[str, Any] | None


@dataclass
class Signature:
    """A tool as a server would list it that is none."""

    name: str
    description: str | None
    input_schema: dict[str, Any]
    output_schema: dict[str, Any] | None = None


class Catalogue:
    """The tools of one server, by name."""

    def __init__(self, server: str, listing: Callable[[], Awaitable[Sequence[Tool]]], ttl_s: float) -> None:
        """`listing` asks the server for all of them."""
        self._server, self._listing, self._ttl_s = server, listing, ttl_s
        self._tools: dict[str, Tool] | None = None
        self._asked_at = self._fresh_until = float("-inf")
        self._refreshing: asyncio.Task[None] | None = None

    async def tool(self, name: str) -> Tool:
        """The tool of this name, without its server's.

        Raises:
            Rejected: there is none.
            ToolFailure: the server could never be asked.
        """
        tools = await self.tools()
        if name not in tools and time.monotonic() - self._asked_at > AGAIN_S:
            await self._refreshed()  # it may be newer than the list
            tools = self._tools or tools
        if name not in tools:
            there = ", ".join(sorted(tools)[:SHOWN]) or "none"
            raise Rejected(f"{self._server}.{name}", f"{self._server} has no such tool; it has {there}")
        return tools[name]

    async def tools(self) -> Mapping[str, Tool]:
        """All of them. A list that has grown old serves while the new one is fetched, and while the server is away.

        Raises:
            ToolFailure: the server could never be asked.
        """
        if time.monotonic() >= self._fresh_until:
            refreshing = self._refreshed()
            if self._tools is None or time.monotonic() - self._fresh_until > self._ttl_s:
                await refreshing
        assert self._tools is not None
        return self._tools

    def expire(self) -> None:
        """The server's tools may be others now."""
        self._fresh_until = min(self._fresh_until, time.monotonic())

    async def close(self) -> None:
        """Ask no more."""
        if self._refreshing is not None and not self._refreshing.done():
            self._refreshing.cancel()
            await asyncio.wait([self._refreshing])

    def _refreshed(self) -> "asyncio.Future[None]":
        """One question at a time, whoever asks; giving up on it does not stop it for the others."""
        if self._refreshing is None or self._refreshing.done():
            self._refreshing = asyncio.create_task(self._refresh(), name=f"list-{self._server}")
            self._refreshing.add_done_callback(_retrieved)
        return asyncio.shield(self._refreshing)

    async def _refresh(self) -> None:
        self._asked_at = now = time.monotonic()
        try:
            listed = {tool.name.partition(".")[2]: tool for tool in await self._listing()}
        except ToolFailure as error:
            self._fresh_until = now + min(self._ttl_s, AGAIN_S)
            if self._tools is None:
                self._fresh_until = float("-inf")
                raise
            log.warning("the old list of tools serves on", server=self._server, error=str(error))
            return
        self._note_changes(listed)
        self._tools, self._fresh_until = listed, now + self._ttl_s

    def _note_changes(self, listed: Mapping[str, Tool]) -> None:
        """A tool that turns into another under the same name is worth a line."""
        before = self._tools or {}
        changed = [name for name, tool in listed.items() if name in before and before[name].digest != tool.digest]
        gone = [name for name in before if name not in listed]
        if changed or gone:
            log.warning("tools changed", server=self._server, changed=changed[:SHOWN], gone=gone[:SHOWN])


async def pages(server: str, page: Callable[[str | None], Awaitable[tuple[Sequence[Any], str | None]]]) -> list[Any]:
    """Everything a server lists, page by page, as far as it is reasonable."""
    found: list[Any] = []
    cursor, seen = None, set[str]()
    while len(seen) < MOST_PAGES and len(found) <= MOST_TOOLS:
        some, cursor = await page(cursor)
        found += some
        if not cursor or cursor in seen:
            break
        seen.add(cursor)
    if len(found) > MOST_TOOLS or (cursor and cursor in seen):
        log.warning("the list of tools was cut off", server=server, tools=len(found), pages=len(seen) + 1)
    return found[:MOST_TOOLS]


def _compiled(schema: Any) -> Schema | InvalidSchema:
    """The schema; or what is wrong with it, so that only this tool is refused, when it is called."""
    try:
        return Schema(schema)
    except InvalidSchema as error:
        return error


def _places(listed: "Listed", extras: Extras) -> tuple[str | None, str]:
    """The argument that takes a call's own key; and the one that takes the key a look-up is asked about.

    Never the same: a look-up that were asked about its own key would say that nothing happened.
    """
    declared: Any = listed.input_schema.get("properties")
    names = cast("dict[str, Any]", declared) if isinstance(declared, dict) else {}
    own = extras.key.argument if extras.key.argument in names else None
    about = own if own and ABOUT not in names else ABOUT
    if own == about and listed.name in extras.lookup.values():
        own = None
    return own, about


def _without(schema: Mapping[str, Any], argument: str) -> dict[str, Any]:
    """The schema without one argument."""
    properties = {name: part for name, part in cast("dict[str, Any]", schema["properties"]).items() if name != argument}
    required = [name for name in schema.get("required", ()) if name != argument]
    return {**schema, "properties": properties, "required": required}


def _retrieved(task: "asyncio.Task[None]") -> None:
    """A refresh that nobody waited for has told its failure in the log."""
    if not task.cancelled():
        task.exception()
