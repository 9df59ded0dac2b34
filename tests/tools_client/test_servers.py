"""Real tool servers, over HTTP and stdio, that answer, refuse, are slow, die and come back."""

import asyncio
import json
import os
import socket
import subprocess
import sys
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.support.stage import ROOT
from tests.support.waiting import wait_until
from tools.config import InvalidToolConfig, ToolConfig, load
from tools.effects import Effect
from tools.failure import retry_after_s
from tools.outcome import OutcomeUnknown, Rejected, Unavailable
from tools.servers import ToolServers

ALL = ("*",)


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        return listening.getsockname()[1]


class Served:
    """The hostile server on one port; it can be killed and started again."""

    def __init__(self) -> None:
        self.port = free_port()
        self.process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        command = [sys.executable, "-m", "tests.support.toolserver", str(self.port)]
        self.process = subprocess.Popen(command, cwd=ROOT)
        wait_until(self.accepts, "the tool server accepts connections")

    def accepts(self) -> bool:
        try:
            socket.create_connection(("127.0.0.1", self.port), timeout=1).close()
        except OSError:
            return False
        return True

    def kill(self) -> None:
        assert self.process is not None
        self.process.kill()
        self.process.wait()


@asynccontextmanager
async def servers(config: dict[str, Any], **options: Any) -> AsyncGenerator[ToolServers]:
    opened = ToolServers(ToolConfig.model_validate({"mcpServers": config}), **options)
    try:
        yield opened
    finally:
        await opened.close()


@pytest.fixture(scope="module")
def served() -> Any:
    one = Served()
    one.start()
    yield one
    one.kill()


def http(served: Served, **extras: Any) -> dict[str, Any]:
    return {"h": {"url": f"http://127.0.0.1:{served.port}/mcp", "surefoot": {"protocol": "2026-07-28", **extras}}}


async def call(tools: ToolServers, name: str, *, key: str = "k", timeout_s: float = 10, **arguments: Any) -> Any:
    tool = await tools.find(name, ALL)
    tool.check(arguments)
    return await tool.call(arguments, key=key, timeout_s=timeout_s)


async def test_a_structured_answer_a_text_and_the_key_arrive(served: Served) -> None:
    async with servers(http(served, trust=True)) as tools:
        assert await call(tools, "h.add", a=2, b=3) == {"total": 5}
        assert await call(tools, "h.key", key="job.step:1") == {"result": "job.step:1"}
        assert (await tools.find("h.add", ALL)).effect is Effect.READ
        assert (await tools.find("h.key", ALL)).effect is Effect.UNSAFE


async def test_hints_count_only_if_the_configuration_trusts_them(served: Served) -> None:
    async with servers(http(served, effects={"s*": "keyed"})) as tools:
        assert (await tools.find("h.add", ALL)).effect is Effect.UNSAFE
        assert (await tools.find("h.slow", ALL)).effect is Effect.KEYED


async def test_wrong_arguments_are_refused_before_anything_is_sent(served: Served) -> None:
    async with servers(http(served)) as tools:
        with pytest.raises(Rejected, match=r"a: .*integer"):
            await call(tools, "h.add", a="two", b=3)
        with pytest.raises(Rejected, match="not in this specialist's tools"):
            await tools.find("h.add", ["other.*"])
        with pytest.raises(Rejected, match="no such tool"):
            await tools.find("h.nothing", ALL)
        with pytest.raises(Rejected, match="no tool server 'x'"):
            await tools.find("x.add", ALL)


async def test_a_crash_in_a_tool_is_a_no_that_tells_nothing_secret(served: Served) -> None:
    async with servers(http(served)) as tools:
        with pytest.raises(Rejected) as caught:
            await call(tools, "h.crash")
        assert "secret" not in str(caught.value)


async def test_a_slow_tool_is_unknown_on_time_and_harms_no_other_call(served: Served) -> None:
    async with servers(http(served)) as tools:
        others = [asyncio.create_task(call(tools, "h.add", a=i, b=1)) for i in range(20)]
        with pytest.raises(OutcomeUnknown):
            await call(tools, "h.slow", seconds=20, timeout_s=0.3)
        assert [answer["total"] for answer in await asyncio.gather(*others)] == list(range(1, 21))


async def test_an_answer_that_is_too_large_is_cut_off(served: Served) -> None:
    async with servers(http(served, effects={"large": "read"}), answer_bytes=10_000) as tools:
        with pytest.raises(Rejected, match="more than 10,000 bytes"):
            await call(tools, "h.large", size=200_000)
        assert await call(tools, "h.add", a=1, b=1) == {"total": 2}


async def test_a_server_killed_in_mid_call_is_unknown_then_unavailable_then_back() -> None:
    served = Served()
    served.start()
    try:
        async with servers(http(served)) as tools:
            with pytest.raises(OutcomeUnknown):
                await call(tools, "h.die")
            with pytest.raises((Unavailable, OutcomeUnknown)):  # an idle connection that broke may have carried it
                await call(tools, "h.add", a=1, b=1)
            with pytest.raises(Unavailable):
                await call(tools, "h.add", a=1, b=1)
            served.start()
            assert await call(tools, "h.add", a=1, b=1) == {"total": 2}
    finally:
        served.kill()


async def test_a_server_that_is_not_there_is_unavailable() -> None:
    async with servers({"h": {"url": f"http://127.0.0.1:{free_port()}/mcp"}}) as tools:
        with pytest.raises(Unavailable):
            await tools.find("h.add", ALL)


async def test_a_server_over_stdio_comes_back_after_its_death_and_ends_with_us() -> None:
    config = {"h": {"command": sys.executable, "args": ["-m", "tests.support.toolserver"], "cwd": str(ROOT)}}
    async with servers(config) as tools:
        assert await call(tools, "h.add", a=2, b=2) == {"total": 4}
        with pytest.raises(OutcomeUnknown):
            await call(tools, "h.die")
        assert await call(tools, "h.add", a=2, b=3) == {"total": 5}
    assert not [line for line in children() if line.endswith("tests.support.toolserver")]


def children() -> list[str]:
    listed = subprocess.run(
        ["ps", "--ppid", str(os.getpid()), "-o", "args="], capture_output=True, text=True, check=False
    )
    return listed.stdout.splitlines()


async def test_a_foreign_server_over_stdio() -> None:
    async with servers({"time": {"command": sys.executable, "args": ["-m", "mcp_server_time"]}}) as tools:
        assert "timezone" in str(await call(tools, "time.get_current_time", timezone="Europe/Vienna"))
        with pytest.raises(Rejected):
            await call(tools, "time.get_current_time", timezone="Nowhere/Land")


@pytest.mark.parametrize(
    ("status", "headers", "expected", "retry_after"),
    [
        (429, {"Retry-After": "7"}, Unavailable, 7.0),
        (503, {"Retry-After": "2"}, Unavailable, 2.0),
        (503, {}, OutcomeUnknown, None),
        (500, {}, OutcomeUnknown, None),
        (502, {}, OutcomeUnknown, None),
        (401, {}, Rejected, None),
    ],
)
async def test_what_http_errors_mean(
    status: int, headers: dict[str, str], expected: type, retry_after: float | None
) -> None:
    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await reader.readuntil(b"\r\n\r\n")
        length = next(
            int(line.split(b":")[1]) for line in head.split(b"\r\n") if line.lower().startswith(b"content-length")
        )
        asked = json.loads(await reader.readexactly(length))
        if asked["method"] == "tools/list":
            tool = {"name": "add", "inputSchema": {"type": "object"}}
            result = {"tools": [tool], "resultType": "complete", "ttlMs": 0, "cacheScope": "private"}
            body = json.dumps({"jsonrpc": "2.0", "id": asked["id"], "result": result}).encode()
            writer.write(
                b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%s" % (len(body), body)
            )
        else:
            lines = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
            writer.write(f"HTTP/1.1 {status} No\r\n{lines}Content-Length: 0\r\nConnection: close\r\n\r\n".encode())
        await writer.drain()
        writer.close()

    fake = await asyncio.start_server(answer, "127.0.0.1", 0)
    port = fake.sockets[0].getsockname()[1]
    async with (
        fake,
        servers({"h": {"url": f"http://127.0.0.1:{port}/mcp", "surefoot": {"protocol": "2026-07-28"}}}) as tools,
    ):
        with pytest.raises(expected) as caught:
            await call(tools, "h.add")
        assert getattr(caught.value, "retry_after_s", None) == retry_after


def test_retry_after_may_be_a_number_or_a_date() -> None:
    assert retry_after_s("3") == 3.0
    assert retry_after_s("Wed, 21 Oct 2015 07:28:00 GMT") == 0.0
    assert retry_after_s("soon") is None
    assert retry_after_s(None) is None


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("{", "not JSON"),
        ("[]", "mcpServers"),
        ('{"mcpServers": {"a": {}}}', "exactly one of command, url and module"),
        ('{"mcpServers": {"a": {"url": "ftp://x"}}}', "url must begin with http"),
        ('{"mcpServers": {"a.b": {"url": "http://x"}}}', "must not be empty or have a dot"),
        ('{"mcpServers": {"a": {"url": "http://x", "surefoot": {"efects": {}}}}}', "efects"),
        ('{"mcpServers": {"a": {"url": "http://${NO_SUCH_VARIABLE_HERE}"}}}', "NO_SUCH_VARIABLE_HERE is not set"),
    ],
)
def test_a_wrong_configuration_is_named(tmp_path: Path, text: str, problem: str) -> None:
    path = tmp_path / "mcp.json"
    path.write_text(text)
    with pytest.raises(InvalidToolConfig, match=problem) as caught:
        load(path)
    assert str(path) in str(caught.value)
