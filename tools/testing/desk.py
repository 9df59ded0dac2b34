"""The fault server's own tools, one of each effect: each notes in the ledger what it did."""

from typing import Any

from mcp.server.mcpserver import Context, MCPServer
from mcp.server.mcpserver.exceptions import ToolError
from mcp.types import ToolAnnotations
from pydantic import BaseModel

from tools.testing.ledger import Ledger
from tools.testing.proxy import KEY_META

READ = ToolAnnotations(read_only_hint=True, idempotent_hint=True)
IDEMPOTENT = ToolAnnotations(read_only_hint=False, idempotent_hint=True)
Request = Context[Any, Any]


class Found(BaseModel):
    """What a search found."""

    found: str


class Done(BaseModel):
    """What was done, and under which deduplication key."""

    tool: str
    item: str
    key: str | None


class Looked(BaseModel):
    """What became of a deduplication key."""

    found: bool
    item: str | None
    key: str


class Desk:
    """Five tools and a look-up."""

    def __init__(self, server: MCPServer, ledger: Ledger) -> None:
        self._ledger = ledger
        for tool in (self.search, self.find_payment):
            server.tool(annotations=READ)(tool)
        server.tool(annotations=IDEMPOTENT)(self.put)
        for tool in (self.book, self.pay, self.send):
            server.tool()(tool)

    async def search(self, item: str) -> Found:
        """READ: find something; it has no effect."""
        return Found(found=f"{item}-1")

    async def put(self, item: str, context: Request) -> Done:
        """IDEMPOTENT: the same item again changes nothing, and notes nothing."""
        if any(one.arguments["item"] == item for one in self._ledger.effects("put")):
            return Done(tool="put", item=item, key=_key(context))
        return self._done("put", item, context)

    async def book(self, item: str, context: Request) -> Done:
        """KEYED: has its effect once a deduplication key."""
        key = _key(context)
        if key is None:
            return self._done("book", item, context)
        known = self._ledger.performed_once("book", key, {"item": item})
        if known.arguments["item"] != item:
            raise ToolError(f"key: {key!r} was used before with other arguments")
        return Done(tool="book", item=item, key=key)

    async def pay(self, item: str, context: Request) -> Done:
        """UNSAFE: has its effect each time; `find_payment` tells what became of a key."""
        return self._done("pay", item, context)

    async def find_payment(self, key: str) -> Looked:
        """Look up what became of a key of `pay`."""
        known = self._ledger.effects("pay", key)
        return Looked(found=bool(known), item=known[0].arguments["item"] if known else None, key=key)

    async def send(self, item: str, context: Request) -> Done:
        """UNSAFE, without a look-up: has its effect each time."""
        return self._done("send", item, context)

    def _done(self, tool: str, item: str, context: Request) -> Done:
        key = _key(context)
        self._ledger.performed(tool, key, {"item": item})
        return Done(tool=tool, item=item, key=key)


def desk(ledger: Ledger) -> MCPServer:
    """The MCP server whose effects the ledger counts."""
    server = MCPServer("faults", log_level="ERROR", instructions="Tools whose effects are counted.")
    Desk(server, ledger)
    return server


def _key(context: Request) -> str | None:
    meta = context.request_context.meta
    key = dict(meta).get(KEY_META) if meta else None
    return key if isinstance(key, str) else None
