"""Each server as a process: how it starts, who may call it, and how it ends."""

import json
import os
import signal
import socket
import subprocess
import sys
import urllib.request
from pathlib import Path

import httpx2
import pytest
from mcp import Client, StdioServerParameters
from mcp.client.stdio import stdio_client
from mcp.shared.exceptions import MCPError

from tests.support.stage import ROOT
from tests.support.waiting import wait_until
from tests.tools_travel.serving import SERVERS, Served, Travel, ask, call, connected

WHERE = {"latitude": 39.8, "longitude": -104.6, "start": "2013-01-01", "days": 1}


@pytest.mark.xdist_group("travel")
def test_each_server_says_that_it_is_well(travel: Travel) -> None:
    for name, url in travel.urls.items():
        with urllib.request.urlopen(url.replace("/mcp", "/health"), timeout=5) as answer:
            assert json.load(answer) == {"server": name, "status": "ok"}


@pytest.mark.parametrize("name", SERVERS)
def test_each_server_helps(name: str) -> None:
    helped = subprocess.run(
        [sys.executable, "-m", f"tools.travel.{name}", "--help"], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert name in helped.stdout
    assert all(f"--{word}" in helped.stdout for word in ("host", "port", "allow-host", "stdio", "with-parent"))


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_it_without_a_word(tmp_path: Path, number: signal.Signals) -> None:
    with Served.started("weather", tmp_path) as served:
        served.process.send_signal(number)
        assert served.ended() == 0
        assert served.log.read_text() == ""


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_it_on_stdio_too(tmp_path: Path, number: signal.Signals) -> None:
    with Served.begun("weather", tmp_path, "--stdio") as served:
        assert served.process.stdin is not None
        initialize = {"protocolVersion": "2025-11-25", "capabilities": {}, "clientInfo": {"name": "t", "version": "1"}}
        asked = {"jsonrpc": "2.0", "id": 1, "method": "initialize", "params": initialize}
        served.process.stdin.write(json.dumps(asked) + "\n")
        served.process.stdin.flush()
        assert json.loads(served.line())["result"]["serverInfo"]["name"] == "weather"
        served.process.send_signal(number)
        assert served.ended() == 0
        assert served.log.read_text() == ""


async def test_it_serves_over_stdio(tmp_path: Path) -> None:
    environment = {**os.environ, "SUREFOOT_HOME": str(tmp_path)}
    command = StdioServerParameters(
        command=sys.executable, args=["-m", "tools.travel.restaurants", "--stdio"], cwd=ROOT, env=environment
    )
    async with Client(stdio_client(command)) as client:
        assert {tool.name for tool in (await client.list_tools()).tools} == {"search", "reserve", "cancel", "lookup"}
        found = await call(client, "search", city="Denver", limit=1)
        assert len(found["restaurants"]) == 1


PARENT = """
import os, subprocess, sys
options = [str(os.getpid()) if word == "PID" else word for word in sys.argv[1:]]
command = [sys.executable, "-m", "tools.travel.weather", *options]
child = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
print(child.pid, flush=True)
print(child.stdout.readline(), flush=True)
sys.stdin.read()
"""


def gone(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
    except FileNotFoundError:
        pass
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return True
    return Path("/proc").exists()


@pytest.mark.parametrize("options", [["--with-parent"], ["--with-parent", "PID"], ["--stdio", "--with-parent", "PID"]])
def test_it_ends_when_its_parent_is_killed(tmp_path: Path, options: list[str]) -> None:
    environment = {**os.environ, "SUREFOOT_HOME": str(tmp_path)}
    parent = subprocess.Popen(
        [sys.executable, "-c", PARENT, *options],
        cwd=ROOT,
        env=environment,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert parent.stdout is not None
    pid = int(parent.stdout.readline())
    if "--stdio" not in options:  # there it prints nothing: the parent dies while it still starts
        assert '"url"' in parent.stdout.readline()
    parent.kill()
    parent.wait()
    wait_until(lambda: gone(pid), "the server ends with its parent")
    parent.stdout.close()


def test_it_ends_when_its_parent_had_gone_before_it_looked(tmp_path: Path) -> None:
    ended = subprocess.Popen([sys.executable, "-c", ""])
    ended.wait()
    with Served.begun("weather", tmp_path, "--with-parent", str(ended.pid)) as served:
        assert served.ended() in {0, -signal.SIGTERM}


@pytest.mark.parametrize(
    ("options", "environment", "why"),
    [
        (["--port", "70000"], {}, "--port: 70000"),
        (["--port", "many"], {}, "--port"),
        (["--host", "0.0.0.0"], {}, "needs --allow-host"),
        (["--host", "no.such.host.invalid"], {}, "cannot listen on no.such.host.invalid"),
        ([], {"SUREFOOT_LEDGER_URL": "mysql://x"}, "SUREFOOT_LEDGER_URL: .*'mysql' is neither"),
    ],
)
def test_nonsense_is_refused_at_start_in_one_line(
    tmp_path: Path, options: list[str], environment: dict[str, str], why: str
) -> None:
    with Served.begun("flights", tmp_path, *options, **environment) as served:
        assert served.line() == ""
        assert served.ended() in {1, 2}
    said = served.log.read_text()
    assert "Traceback" not in said
    import re

    assert re.search(why, said), said


def test_a_port_that_is_taken_is_named(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with Served.begun("weather", tmp_path, "--port", str(port)) as served:
            assert served.ended() == 1
    assert f"cannot listen on 127.0.0.1 port {port}: Address already in use" in served.log.read_text()


async def test_only_names_that_are_allowed_are_answered(tmp_path: Path) -> None:
    with Served.started("weather", tmp_path, "--host", "0.0.0.0", "--allow-host", "weather") as served:
        port = served.url.split(":")[2].split("/")[0]
        async with httpx2.AsyncClient() as web:
            statuses = [
                (await web.post(served.url, headers={"Host": host}, json={})).status_code
                for host in ("weather", f"weather:{port}", f"127.0.0.1:{port}", "elsewhere", f"elsewhere:{port}")
            ]
            health = await web.get(served.url.replace("/mcp", "/health"), headers={"Host": "a-load-balancer"})
        assert [status == 421 for status in statuses] == [False, False, False, True, True]
        assert health.status_code == 200


async def test_with_a_token_nobody_calls_without_it(tmp_path: Path) -> None:
    with Served.started("weather", tmp_path, SUREFOOT_TOOLS_TOKEN="s3cret") as served:
        async with httpx2.AsyncClient() as web:
            for headers in (
                {},
                {"Authorization": "Bearer other"},
                {"Authorization": "Bearer s3cret!"},
                {"Authorization": "s3cret"},
            ):
                assert (await web.post(served.url, headers=headers, json={})).status_code == 401
            assert (await web.get(served.url.replace("/mcp", "/health"))).status_code == 200
        async with connected(served.url, Authorization="Bearer s3cret") as client:
            assert [tool.name for tool in (await client.list_tools()).tools] == ["outlook"]
        with pytest.raises(MCPError):
            await ask(served.url, "outlook", **WHERE)


def test_its_spans_go_where_it_is_told(tmp_path: Path) -> None:
    """The job's trace reaches into the server: the SDK makes the spans, the process exports them."""
    import http.server
    import threading

    posted = threading.Event()

    class Collector(http.server.BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            assert self.path == "/v1/traces"
            self.rfile.read(int(self.headers["Content-Length"]))
            self.send_response(200)
            self.end_headers()
            posted.set()

        def log_message(self, format: str, *_: object) -> None:  # noqa: A002
            pass

    collector = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Collector)
    threading.Thread(target=collector.serve_forever, daemon=True).start()
    endpoint = f"http://127.0.0.1:{collector.server_port}"
    with Served.started("weather", tmp_path, SUREFOOT_OTLP_ENDPOINT=endpoint) as served:
        import asyncio

        async def listed() -> None:
            async with connected(served.url) as client:
                await client.list_tools()

        asyncio.run(listed())
        served.process.terminate()
        assert served.ended() == 0
    assert posted.wait(5)
    collector.shutdown()
    collector.server_close()
