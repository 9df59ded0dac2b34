"""How a tool says no. These texts reach the caller; the text of a crash does not."""

from mcp.server.mcpserver.exceptions import ToolError
from mcp.shared.exceptions import MCPError

HTTP_FAILED, INTERNAL_ERROR = -32_099, -32_603
"""Our client's code for an HTTP status it met, and JSON-RPC's own for what nobody can say more about."""


class Refused(ToolError):
    """The arguments are wrong: the message begins with the field's name."""


class NotNow(MCPError):
    """Nothing was done, and later it may work: what 503 with Retry-After says in HTTP."""

    def __init__(self, message: str, retry_after_s: float = 1.0) -> None:
        data = {"http_status": 503, "retry_after": f"{retry_after_s:g}", "maybe_executed": False}
        super().__init__(HTTP_FAILED, message, data)

    def __str__(self) -> str:
        return self.message


class Uncertain(MCPError):
    """Nobody knows whether it was done; asking again with the same deduplication key tells."""

    def __init__(self, message: str) -> None:
        super().__init__(INTERNAL_ERROR, message, {"maybe_executed": True})

    def __str__(self) -> str:
        return self.message
