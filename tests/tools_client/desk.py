"""A real MCP server for tests: `python -m tests.tools_client.desk PORT`, or over stdio without a port.

What its slow tools went through, and when (seconds since 1970), is written to the file that TEST_DESK_LOG names.
"""

import asyncio
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Annotated

from mcp.server.mcpserver import Context, MCPServer
from mcp.server.mcpserver.resolve import Elicit, Resolve
from mcp.server.request_state import RequestStateSecurity
from mcp.types import ToolAnnotations
from pydantic import BaseModel

server = MCPServer(
    "desk", log_level="CRITICAL", request_state_security=RequestStateSecurity(keys=[b"0" * 32], ttl=86_400)
)


class Sum(BaseModel):
    total: int


class City(BaseModel):
    city: str


class Paid(BaseModel):
    amount: int
    key: str


def note(line: str) -> None:
    with Path(os.environ["TEST_DESK_LOG"]).open("a") as log:
        log.write(f"{time.time():.6f} {line}\n")


@server.tool(annotations=ToolAnnotations(read_only_hint=True))
def add(a: int, b: int) -> Sum:
    """Add two numbers."""
    return Sum(total=a + b)


@server.tool(annotations=ToolAnnotations(idempotent_hint=True))
def meta(context: Context) -> dict[str, str]:  # pyright: ignore[reportMissingTypeArgument]
    """Tell what came along with the request."""
    return {name: str(value) for name, value in dict(context.request_context.meta or {}).items()}


@server.tool()
def pay(amount: int, idempotency_key: str) -> Paid:
    """Take the key as an argument."""
    return Paid(amount=amount, key=idempotency_key)


@server.tool()
def find(key: str) -> str:
    """Tell which key it is asked about."""
    return key


@server.tool()
def find_paid(idempotency_key: str) -> str:
    """Tell which key it is asked about."""
    return idempotency_key


@server.tool()
async def slow(seconds: float, name: str = "") -> str:
    """Answer late, and note it when cancelled."""
    note(f"started {name}")
    try:
        await asyncio.sleep(seconds)
    except asyncio.CancelledError:
        note(f"cancelled {name}")
        raise
    note(f"finished {name}")
    return "late"


@server.tool()
def crash() -> str:
    """Raise something unexpected."""
    raise RuntimeError("secret inside")


@server.tool()
def die() -> str:
    """End the process in the middle of a call."""
    os.kill(os.getpid(), signal.SIGKILL)
    return "unreachable"


@server.tool()
def pid() -> int:
    """The process, to be killed from outside."""
    return os.getpid()


@server.tool()
def spawn() -> int:
    """Start a child that knows no signals."""
    source = "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); print(1, flush=True); time.sleep(600)"
    child = subprocess.Popen([sys.executable, "-c", source], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE)
    assert child.stdout is not None
    child.stdout.readline()
    return child.pid


@server.tool()
def large(size: int) -> str:
    """Answer with so many bytes."""
    return "x" * size


@server.tool()
async def grow(context: Context) -> str:  # pyright: ignore[reportMissingTypeArgument]
    """Offer one more tool, and say so."""
    server.add_tool(pid, name="grown", description="A tool that was not there before.")
    await context.session.send_tool_list_changed()
    return "grown"


async def ask_city(context: Context, city: str | None = None) -> City | Elicit[City]:  # pyright: ignore[reportMissingTypeArgument]
    """The city, asked for when it is missing."""
    return City(city=city) if city else Elicit("Which city?", City)


@server.tool()
async def weather(where: Annotated[City, Resolve(ask_city)], city: str | None = None) -> City:
    """Ask for a city first."""
    note(f"weather {city} {where.city}")
    return where


if __name__ == "__main__":
    if len(sys.argv) > 1:
        import uvicorn

        uvicorn.run(server.streamable_http_app(), host="127.0.0.1", port=int(sys.argv[1]), log_level="critical")
    else:
        asyncio.run(server.run_stdio_async())
