"""Starts travel servers as processes and calls them through the MCP SDK's own client."""

import json
import os
import select
import subprocess
import sys
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any, Self

import httpx2
from mcp import Client
from mcp.client.streamable_http import streamable_http_client
from mcp.shared.exceptions import MCPError
from mcp.types import CallToolResult

from tests.support.stage import ROOT

SERVERS = ("flights", "hotels", "weather", "restaurants", "database")
KEY_META = "io.surefoot/idempotency-key"
READY_S = 90.0


def in_days(days: int) -> date:
    return datetime.now(UTC).date() + timedelta(days=days)


DAY, LATER = in_days(90).isoformat(), in_days(93).isoformat()


class Said(Exception):
    """A result with `is_error`: what the tool said."""


@dataclass
class Travel:
    home: Path
    urls: dict[str, str]

    @property
    def ledger(self) -> str:
        return f"sqlite:///{self.home / 'ledger.sqlite'}"


@dataclass
class Served:
    """A server's process; what it says beside its first line is in `log`."""

    process: subprocess.Popen[str]
    log: Path
    url: str = ""

    @classmethod
    def begun(cls, name: str, home: Path, *options: str, **environment: str) -> Self:
        """A process that may not be ready, or never become it."""
        home.mkdir(parents=True, exist_ok=True)
        log = home / f"{name}.log"
        with log.open("a") as errors:
            process = subprocess.Popen(
                [sys.executable, "-m", f"tools.travel.{name}", *options],
                cwd=ROOT,
                env={**os.environ, "SUREFOOT_HOME": str(home), **environment},
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=errors,
                text=True,
            )
        return cls(process, log)

    @classmethod
    def started(cls, name: str, home: Path, *options: str, **environment: str) -> Self:
        served = cls.begun(name, home, *options, **environment)
        served.url = json.loads(served.line())["url"]
        return served

    def line(self) -> str:
        """The next line it prints; empty when it ends without one."""
        assert self.process.stdout is not None
        ready, _, _ = select.select([self.process.stdout], [], [], READY_S)
        assert ready, f"it says nothing: {self.log.read_text()}"
        return self.process.stdout.readline()

    def ended(self) -> int:
        """Its exit status, soon."""
        return self.process.wait(15)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.process.kill()
        self.process.wait()


@asynccontextmanager
async def connected(url: str, **headers: str) -> AsyncGenerator[Client]:
    limits = httpx2.Limits(max_connections=100)
    async with (
        httpx2.AsyncClient(headers=headers, limits=limits, timeout=60) as web,
        Client(streamable_http_client(url, http_client=web), mode="2026-07-28", cache=None) as client,
    ):
        yield client


async def call(client: Client, tool: str, *, under: object = None, **arguments: Any) -> Any:
    """The structured answer; what the tool says no with is raised."""
    answer = await client.call_tool(tool, arguments, meta={KEY_META: under} if under is not None else None)  # pyright: ignore[reportArgumentType]
    assert isinstance(answer, CallToolResult)
    if answer.is_error:
        raise Said("\n".join(block.text for block in answer.content if block.type == "text"))
    return answer.structured_content


async def ask(url: str, tool: str, *, under: object = None, **arguments: Any) -> Any:
    """One call on a connection of its own. What it raises is raised outside: the client would wrap it in groups."""
    async with connected(url) as client:
        try:
            return await call(client, tool, under=under, **arguments)
        except (Said, MCPError) as error:
            no = error
    raise no
