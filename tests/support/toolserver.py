"""A hostile MCP server for tests: `python -m tests.support.toolserver PORT` or over stdio without a port."""

import asyncio
import os
import signal
import sys

from mcp.server.mcpserver import Context, MCPServer
from mcp.types import ToolAnnotations
from pydantic import BaseModel

server = MCPServer("hostile", log_level="CRITICAL")


class Sum(BaseModel):
    total: int


@server.tool(annotations=ToolAnnotations(read_only_hint=True))
def add(a: int, b: int) -> Sum:
    """Add two numbers."""
    return Sum(total=a + b)


@server.tool()
def key(context: Context) -> str:  # pyright: ignore[reportMissingTypeArgument]
    """Tell the deduplication key."""
    return str(dict(context.request_context.meta or {}).get("io.surefoot/idempotency-key"))


@server.tool()
async def slow(seconds: float) -> str:
    """Answer late."""
    await asyncio.sleep(seconds)
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
def large(size: int) -> str:
    """Answer with so many bytes."""
    return "x" * size


if __name__ == "__main__":
    if len(sys.argv) > 1:
        import uvicorn

        uvicorn.run(server.streamable_http_app(), host="127.0.0.1", port=int(sys.argv[1]), log_level="critical")
    else:
        asyncio.run(server.run_stdio_async())
