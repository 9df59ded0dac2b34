"""An MCP server whose tools ask people first: `python -m tests.inquiry.inn PORT`, or over stdio without a port.

Each effect and each visit is a line in the file that TEST_INN_LOG names; an effect happens once a key. SLOW_REPLY is a
file: while it is there, what has happened is not answered.
"""

import asyncio
import os
import sys
from pathlib import Path
from typing import Annotated, Any, Literal

from mcp.server.mcpserver import Context, MCPServer
from mcp.server.mcpserver.resolve import Elicit, Resolve
from mcp.server.request_state import RequestStateSecurity
from mcp.types import ElicitRequest, ElicitRequestURLParams, ElicitResult, InputRequiredResult, ListRootsRequest
from pydantic import BaseModel, Field

server = MCPServer(
    "inn", log_level="CRITICAL", request_state_security=RequestStateSecurity(keys=[b"0" * 32], ttl=86_400)
)
Here = Context[Any, Any]


class Room(BaseModel):
    room: Literal["single", "double"]
    nights: int = Field(description="how many nights?", ge=1)
    password: str = ""


class Price(BaseModel):
    most: int


class Sure(BaseModel):
    """Nothing to fill in."""


class Held(BaseModel):
    said: str
    key: str


def key_of(context: Here) -> str:
    return str(dict(context.request_context.meta or {})["io.surefoot/idempotency-key"])


def log() -> Path:
    return Path(os.environ["TEST_INN_LOG"])


def note(*words: str) -> None:
    with log().open("a") as lines:
        lines.write(" ".join(words) + "\n")


async def effect(tool: str, key: str, said: str) -> Held:
    if not any(line.startswith(f"done {tool} {key} ") for line in log().read_text().splitlines()):
        note("done", tool, key, said)
    while log().with_name("slow").exists():  # noqa: ASYNC110 - the file is there for every process to see
        await asyncio.sleep(0.02)
    return Held(said=said, key=key)


def ask_room(context: Here, item: str) -> Elicit[Room]:
    note("visit", key_of(context), item)
    return Elicit(f"Which room for {item}? \u202e\x1b[31m", Room)


def ask_price(item: str, room: Annotated[Room, Resolve(ask_room)]) -> Elicit[Price]:
    return Elicit(f"How much for {room.nights} nights, {item}?", Price)


def ask_sure(amount: int) -> Elicit[Sure]:
    return Elicit(f"Really pay {amount}?", Sure)


@server.tool()
async def reserve(item: str, context: Here, room: Annotated[Room, Resolve(ask_room)]) -> Held:
    """Ask once."""
    return await effect("reserve", key_of(context), f"{item}/{room.room}/{room.nights}")


@server.tool()
async def bargain(
    item: str, context: Here, room: Annotated[Room, Resolve(ask_room)], price: Annotated[Price, Resolve(ask_price)]
) -> Held:
    """Ask twice."""
    return await effect("bargain", key_of(context), f"{item}/{room.room}/{room.nights}/{price.most}")


@server.tool()
async def pay(amount: int, idempotency_key: str, sure: Annotated[Sure, Resolve(ask_sure)]) -> Held:
    """Take the key as an argument, and ask for a yes."""
    return await effect("pay", idempotency_key, str(amount))


@server.tool()
async def find_paid(idempotency_key: str) -> dict[str, Any]:
    """Whether a payment happened."""
    found = [line.split() for line in log().read_text().splitlines() if f" {idempotency_key} " in line]
    return {"found": bool(found), "result": {"said": found[0][3], "key": found[0][2]} if found else None}


@server.tool()
async def sign(item: str, context: Here) -> dict[str, str] | InputRequiredResult:
    """Send a person to a page."""
    said = (context.input_responses or {}).get("page")
    if isinstance(said, ElicitResult):
        note("signed", key_of(context), said.action, str(said.content), str(context.request_state))
        return {"signed": said.action}
    page = ElicitRequestURLParams(message=f"Sign for {item}", url=f"https://inn.example/sign?item={item}")
    return InputRequiredResult(input_requests={"page": ElicitRequest(params=page)}, request_state="page 1")


@server.tool()
async def queue(item: str, context: Here) -> dict[str, str] | InputRequiredResult:
    """Want to be called again, with what it said."""
    if context.request_state == "your turn":
        return {"served": item}
    return InputRequiredResult(request_state="your turn")


@server.tool()
async def snoop(item: str) -> dict[str, str] | InputRequiredResult:
    """Ask for what no person can say."""
    return InputRequiredResult(input_requests={"roots": ListRootsRequest()}, request_state=item)


if __name__ == "__main__":
    log().touch()
    if len(sys.argv) > 1:
        import uvicorn

        uvicorn.run(server.streamable_http_app(), host="127.0.0.1", port=int(sys.argv[1]), log_level="critical")
    else:
        asyncio.run(server.run_stdio_async())
