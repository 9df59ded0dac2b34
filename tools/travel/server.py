"""The MCP server that all travel servers are."""

import logging
from typing import Any

from mcp.server.mcpserver import Context, MCPServer
from mcp.types import CallToolResult, InputRequiredResult
from mcp.types import Tool as ListedTool

from tools.travel.refused import Refused

LONGEST_NAME = 60


class TravelServer(MCPServer):
    """Refuses unknown arguments: the SDK would ignore them, and a misspelt `passenger=2` would book for one."""

    def __init__(self, name: str, instructions: str) -> None:
        # Before the SDK's own set-up, which would draw boxes around tracebacks: these lines end up in log files.
        logging.basicConfig(level=logging.WARNING, format=f"%(asctime)s %(levelname)s {name} %(name)s: %(message)s")
        super().__init__(name, log_level="WARNING", instructions=instructions)
        self._arguments: dict[str, frozenset[str]] = {}

    async def list_tools(self) -> list[ListedTool]:
        """The tools, whose schemas say that there are no other arguments."""
        tools = await super().list_tools()
        for tool in tools:
            tool.input_schema["additionalProperties"] = False
        return tools

    async def call_tool(
        self, name: str, arguments: dict[str, Any], context: Context[Any, Any] | None = None
    ) -> CallToolResult | InputRequiredResult:
        """Call a tool.

        Raises:
            Refused: it has no argument of this name.
        """
        if not self._arguments:
            known = await super().list_tools()
            self._arguments = {tool.name: frozenset(tool.input_schema.get("properties", ())) for tool in known}
        if name in self._arguments and (unknown := sorted(arguments.keys() - self._arguments[name])):
            names = ", ".join(each[:LONGEST_NAME] for each in unknown[:5])
            raise Refused(f"{names}: no such argument; {name} takes {', '.join(sorted(self._arguments[name]))}")
        return await super().call_tool(name, arguments, context)
