"""What a server offers: its tools, listed anew after a while, and kept while it is away."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any

import structlog

from tools.outcome import Rejected, ToolFailure
from tools.tool import Tool

log = structlog.get_logger(__name__)
MOST_TOOLS, MOST_PAGES, SHOWN = 2_000, 200, 20
AGAIN_S = 5.0
"""A list so young is not asked for again, whatever is missing in it."""


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


def _retrieved(task: "asyncio.Task[None]") -> None:
    """A refresh that nobody waited for has told its failure in the log."""
    if not task.cancelled():
        task.exception()
