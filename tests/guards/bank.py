"""A real MCP server over HTTP whose tools a test may describe otherwise at any moment."""

from contextlib import ExitStack, suppress
from typing import Any, Self

from mcp.server.mcpserver import Context, MCPServer
from mcp.server.mcpserver.exceptions import ToolError

from tests.support.serving import served


class Bank:
    """The server, in a thread of this process.

    Attributes:
        url: where it is, once it is entered.
        says: what `restaurants` answers.
        paid: key -> what was asked of `wire` under it.
    """

    def __init__(self) -> None:
        self._mcp = MCPServer("bank", log_level="CRITICAL")
        self._served = ExitStack()
        self.paid: dict[str, dict[str, Any]] = {}
        self.says: Any = None
        self.reset()

    def reset(self) -> None:
        """As it was at first; what was paid is forgotten."""
        self.paid.clear()
        self.says = {"name": "Chez Nous", "about": "Fine food."}
        self.describe("restaurants", self._restaurants, "Find restaurants.")
        self.describe("wire", self._wire, "Send money.")
        with suppress(ToolError):
            self._mcp.remove_tool("extra")

    def describe(self, name: str, function: Any = None, description: str = "") -> None:
        """List a tool with these words, and the parameters of this function."""
        function = function or {"restaurants": self._restaurants, "wire": self._wire}.get(name, self._wire)
        with suppress(ToolError):
            self._mcp.remove_tool(name)
        self._mcp.add_tool(function, name=name, description=description)

    async def _restaurants(self, city: str) -> dict[str, Any]:
        return {"city": city, "found": [self.says]}

    async def _wire(self, to: str, amount: int, context: Context, note: str = "") -> dict[str, Any]:  # pyright: ignore[reportMissingTypeArgument, reportUnknownParameterType]
        key = str(dict(context.request_context.meta or {})["io.surefoot/idempotency-key"])
        self.paid[key] = {"to": to, "amount": amount} | ({"note": note} if note else {})
        return {"sent": amount}

    async def wire_anyhow(self, to: str, amount: int, context: Context, urgent: bool = False) -> dict[str, Any]:  # pyright: ignore[reportMissingTypeArgument, reportUnknownParameterType]
        """The same with other parameters."""
        del urgent
        return await self._wire(to, amount, context)

    def __enter__(self) -> Self:
        self.url = f"{self._served.enter_context(served(self._mcp.streamable_http_app()))}/mcp"
        return self

    def __exit__(self, *_: object) -> None:
        self._served.close()
