"""`python -m tools`: lists the tools of an mcp.json, as a check that servers answer and rules have their tools."""

import argparse
import asyncio
import json
import sys
from pathlib import Path
from typing import Any

from tools.config import InvalidToolConfig, ToolConfig, load
from tools.outcome import ToolFailure
from tools.servers import Tool, ToolServers


def main() -> int:
    """Print a line a tool, or JSON."""
    parser = argparse.ArgumentParser(prog="surefoot tools", description="The tools of an mcp.json.")
    parser.add_argument("--config", type=Path, required=True, help="the mcp.json")
    parser.add_argument("--json", action="store_true", help="for programs")
    parser.add_argument("--digests", action="store_true", help="as mcp.json takes them")
    options = parser.parse_args()
    try:
        config = load(options.config)
        listed = asyncio.run(_list(config))
    except (InvalidToolConfig, ToolFailure) as error:
        print(_printable(f"surefoot tools: {error}"), file=sys.stderr)  # noqa: T201 - a command line's answer
        return 1
    if options.digests:
        print(json.dumps(_digests(listed), indent=2))  # noqa: T201
    elif options.json:
        print(json.dumps([_facts(tool) for tool in listed], indent=2))  # noqa: T201
    else:
        wide = max((len(tool.name) for tool in listed), default=0)
        told = [next(iter(tool.description.splitlines()), "")[:80] for tool in listed]
        lines = [f"{tool.name:{wide}}  {tool.effect:10}  {about}" for tool, about in zip(listed, told, strict=True)]
        print("\n".join(map(_printable, lines)))  # noqa: T201 - at once: who reads may leave after the first line
    if idle := _idle(config, listed):
        told = f"surefoot tools: {options.config}: rules for tools that there are not: {'; '.join(idle)}"
        print(_printable(told), file=sys.stderr)  # noqa: T201
    return 1 if idle else 0


async def _list(config: ToolConfig) -> list[Tool]:
    servers = ToolServers(config)
    try:
        return sorted(await servers.tools(), key=lambda tool: tool.name)
    finally:
        await servers.close()


def _idle(config: ToolConfig, listed: list[Tool]) -> list[str]:
    """Rules of each server's `surefoot` block that hold for none of its tools."""
    there = [tool.name.partition(".") for tool in listed]
    return [
        f"server {name!r}: {rule}"
        for name, server in config.servers.items()
        for rule in server.surefoot.idle([short for of, _, short in there if of == name])
    ]


def _digests(listed: list[Tool]) -> dict[str, dict[str, dict[str, str]]]:
    """What to put into each server's `surefoot` block so that its tools stay what they are."""
    blocks: dict[str, dict[str, dict[str, str]]] = {}
    for tool in listed:
        server, _, name = tool.name.partition(".")
        blocks.setdefault(server, {"digests": {}})["digests"][name] = tool.digest
    return blocks


def _facts(tool: Tool) -> dict[str, Any]:
    names = ("name", "description", "effect", "digest", "price_micro_usd", "timeout_s", "lookup", "input_schema")
    return {name: getattr(tool, name) for name in names}


def _printable(line: str) -> str:
    """Servers write what they like: nothing of it steers a terminal."""
    return "".join(letter if letter.isprintable() else " " for letter in line)


if __name__ == "__main__":
    sys.exit(main())
