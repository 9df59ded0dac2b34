"""Real tool servers that tests start, kill and start again, and a raw HTTP server that says what it is told to."""

import asyncio
import contextlib
import json
import os
import socket
import subprocess
import sys
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from tests.support.waiting import wait_until
from tools.config import ToolConfig
from tools.servers import ToolServers

ROOT = Path(__file__).parents[2]
ALL = ("*",)
MODERN = "2026-07-28"
Reply = Callable[[dict[str, Any], Mapping[str, str], asyncio.StreamWriter], Awaitable[None]]


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        return listening.getsockname()[1]


class Desk:
    """The desk's process on one port; it can be killed and started again."""

    def __init__(self, log: Path) -> None:
        self.port, self.log = free_port(), log
        self.process: subprocess.Popen[bytes] | None = None

    def start(self) -> "Desk":
        command = [sys.executable, "-m", "tests.tools_client.desk", str(self.port)]
        self.process = subprocess.Popen(command, cwd=ROOT, env=os.environ | {"TEST_DESK_LOG": str(self.log)})
        wait_until(self._accepts, "the desk accepts connections")
        return self

    def kill(self) -> None:
        assert self.process is not None
        self.process.kill()
        self.process.wait()

    def entry(self, **extras: Any) -> dict[str, Any]:
        return {"url": f"http://127.0.0.1:{self.port}/mcp", "surefoot": {"protocol": MODERN, **extras}}

    def lines(self) -> list[str]:
        """What its tools noted."""
        return [line for line, _ in self.notes()]

    def notes(self) -> list[tuple[str, float]]:
        """The same, each with its moment by the desk's clock, seconds since 1970."""
        written = self.log.read_text().splitlines() if self.log.exists() else []
        return [(line, float(at)) for at, _, line in (each.partition(" ") for each in written)]

    def _accepts(self) -> bool:
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", self.port), timeout=1):
            return True
        return False


def stdio(log: Path, **extras: Any) -> dict[str, Any]:
    """The desk over stdio."""
    environment = {"TEST_DESK_LOG": str(log)}
    arguments = ["-m", "tests.tools_client.desk"]
    return {"command": sys.executable, "args": arguments, "cwd": str(ROOT), "env": environment, "surefoot": extras}


@asynccontextmanager
async def servers(config: dict[str, Any], **options: Any) -> AsyncGenerator[ToolServers]:
    """The client, closed in the end."""
    opened = ToolServers(ToolConfig.model_validate({"mcpServers": config}), **options)
    try:
        yield opened
    finally:
        await opened.close()


async def call(tools: ToolServers, name: str, /, *, key: str = "k", timeout_s: float = 10, **arguments: Any) -> Any:
    """As a step does it: find, verify, check, call."""
    tool = await tools.find(name, ALL)
    tool.verify()
    tool.check(arguments)
    return await tool.call(arguments, key=key, timeout_s=timeout_s)


async def until(predicate: Callable[[], object], what: str, timeout_s: float = 10.0) -> None:
    """Wait for a predicate on the event loop."""
    try:
        async with asyncio.timeout(timeout_s):
            while not predicate():  # noqa: ASYNC110 - what is waited for happens in another process
                await asyncio.sleep(0.01)
    except TimeoutError:
        raise AssertionError(f"not within {timeout_s:g} s: {what}") from None


def alive(pid: int) -> bool:
    """Whether a process runs; one that only waits to be collected does not."""
    status = Path(f"/proc/{pid}/status")
    return status.exists() and "State:\tZ" not in status.read_text()


def offspring() -> set[int]:
    """Our children that run."""
    listed = subprocess.run(
        ["ps", "--ppid", str(os.getpid()), "-o", "pid="], capture_output=True, text=True, check=False
    )
    return {int(line) for line in listed.stdout.split() if alive(int(line))}


class Raw:
    """An HTTP server of a few lines that lists tools and answers calls as it is told to."""

    def __init__(self, reply: Reply, tools: list[dict[str, Any]] | None = None) -> None:
        self.reply, self.tools = reply, tools or [{"name": "act", "inputSchema": {"type": "object"}}]
        self.asked: list[str] = []
        self.url = ""

    @asynccontextmanager
    async def serving(self, headers: Mapping[str, str] | None = None, **extras: Any) -> AsyncGenerator[ToolServers]:
        serving = await asyncio.start_server(self._connected, "127.0.0.1", 0)
        self.url = f"http://127.0.0.1:{serving.sockets[0].getsockname()[1]}/mcp"
        entry = {"url": self.url, "headers": headers or {}, "surefoot": {"protocol": MODERN, **extras}}
        async with serving, servers({"raw": entry}) as tools:
            yield tools

    async def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(ConnectionError, asyncio.IncompleteReadError):
            lines = (await reader.readuntil(b"\r\n\r\n")).decode().split("\r\n")
            headers = {name.lower(): value for name, _, value in (line.partition(": ") for line in lines[1:])}
            asked = json.loads(await reader.readexactly(int(headers.get("content-length", 0))) or b"{}")
            self.asked.append(asked.get("method", lines[0]))
            if asked.get("method") == "tools/list":
                said = {"tools": self.tools, "resultType": "complete", "ttlMs": 0, "cacheScope": "private"}
                await answer(writer, result(asked, said))
            else:
                await self.reply(asked, headers, writer)
        writer.close()


def result(asked: Mapping[str, Any], value: Any) -> bytes:
    return json.dumps({"jsonrpc": "2.0", "id": asked["id"], "result": value}).encode()


def text(asked: Mapping[str, Any], said: str = "done") -> bytes:
    """A result of one text."""
    return result(asked, {"content": [{"type": "text", "text": said}], "resultType": "complete"})


async def answer(
    writer: asyncio.StreamWriter, body: bytes, status: int = 200, kind: str = "application/json", **headers: str
) -> None:
    """A whole HTTP answer."""
    lines = [f"HTTP/1.1 {status} Said", f"Content-Type: {kind}", f"Content-Length: {len(body)}", "Connection: close"]
    lines += [f"{name.replace('_', '-')}: {value}" for name, value in headers.items()]
    writer.write("\r\n".join([*lines, "\r\n"]).encode() + body)
    await writer.drain()


async def stream(writer: asyncio.StreamWriter, *chunks: bytes, whole: bool = True) -> None:
    """An event stream in these pieces; not `whole`: the connection breaks after them."""
    writer.write(b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n")
    for chunk in chunks:
        writer.write(b"%x\r\n%s\r\n" % (len(chunk), chunk))
        await writer.drain()
        await asyncio.sleep(0.01)
    if whole:
        writer.write(b"0\r\n\r\n")
        await writer.drain()
