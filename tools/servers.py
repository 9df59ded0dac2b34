"""All tool servers of a process: finds the tool of a name, wherever it is."""

import asyncio
import importlib
from collections.abc import Iterable, Sequence
from fnmatch import fnmatchcase
from typing import Protocol

from tools.config import ServerConfig, ToolConfig
from tools.local import LocalServer
from tools.outcome import Rejected
from tools.tool import Tool


class Server(Protocol):
    """Functions of this process, or an MCP server."""

    async def tool(self, name: str) -> Tool:
        """Its tool of this name."""
        ...

    async def tools(self) -> list[Tool]:
        """All its tools."""
        ...

    async def close(self) -> None:
        """Leave it."""
        ...


class ToolServers:
    """The servers of an mcp.json; each is connected when first needed. Belongs to one event loop.

    Attributes:
        approvals: some calls need a person's approval.
    """

    def __init__(self, config: ToolConfig, *, catalogue_ttl_s: float = 300.0, answer_bytes: int = 1_048_576) -> None:
        self._servers: dict[str, Server] = {
            name: LocalServer(name, each, answer_bytes)
            if each.module
            else _remote(name, each, catalogue_ttl_s, answer_bytes)
            for name, each in config.servers.items()
        }
        self.approvals = any(each.surefoot.approve for each in config.servers.values())

    async def find(self, name: str, allowed: Sequence[str]) -> Tool:
        """The tool of this name, if `allowed` (names or globs) has it.

        Raises:
            Rejected: not allowed, or no such server or tool.
            Unavailable: its server cannot be asked now.
        """
        if not fits(name, allowed):
            raise Rejected(name, f"not in this specialist's tools: {', '.join(allowed) or 'none'}")
        server, _, short = name.partition(".")
        if server not in self._servers:
            raise Rejected(name, f"no tool server {server!r}; configured: {', '.join(self._servers) or 'none'}")
        return await self._servers[server].tool(short)

    async def tools(self) -> list[Tool]:
        """All tools of all servers, which are asked side by side.

        Raises:
            ToolFailure: a server cannot be asked.
        """
        return await self._listed(self._servers.values())

    async def allowed(self, *patterns: Sequence[str]) -> list[Tool]:
        """The tools that each of these lists of names or globs has; only servers that may have some are asked.

        Where an operator wrote down what a server has, a tool that is not among it is not there.

        Raises:
            ToolFailure: such a server cannot be asked.
        """
        of_servers = [[pattern.partition(".")[0] for pattern in each] for each in patterns]
        listed = await self._listed(server for name, server in self._servers.items() if fits(name, *of_servers))
        return [tool for tool in listed if fits(tool.name, *patterns) and tool.known != ""]

    async def _listed(self, servers: Iterable[Server]) -> list[Tool]:
        listed = await asyncio.gather(*(server.tools() for server in servers))
        return [tool for tools in listed for tool in tools]

    async def close(self) -> None:
        """Leave all servers, side by side; those over stdio end. There is no way back."""
        await asyncio.gather(*(server.close() for server in self._servers.values()))


def fits(name: str, *patterns: Sequence[str]) -> bool:
    """Whether each of these lists of names or globs has a name."""
    return all(any(fnmatchcase(name, pattern) for pattern in each) for each in patterns)


def prepare(config: ToolConfig) -> None:
    """Import what these servers need, before the first of them is called, and before a process forks."""
    if any(not each.module for each in config.servers.values()):
        importlib.import_module("tools.remote")


def _remote(name: str, config: ServerConfig, ttl_s: float, answer_bytes: int) -> Server:
    """Only who has MCP servers imports their client, which takes more than a second of CPU."""
    from tools.remote import RemoteServer  # noqa: PLC0415

    return RemoteServer(name, config, ttl_s, answer_bytes)
