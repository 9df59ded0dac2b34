"""Whether a Redis keeps what it is told: how it is set up may lose jobs without a word."""

from collections.abc import Mapping

from orchestrator.errors import SurefootError
from orchestrator.state.client import Client, ReplyError


async def info(client: Client) -> dict[str, str]:
    """What the server says about itself.

    Raises:
        ReplyError: it does not know the command.
        SurefootError: it does not answer, or does not let us ask.
    """
    text: bytes = await client.command("INFO")
    return dict(line.split(":", 1) for line in text.decode().splitlines() if ":" in line)


def dangers(known: Mapping[str, str]) -> list[str]:
    """How this server may lose jobs, each with what to do; what it does not tell counts as right."""
    found: list[str] = []
    if known.get("aof_enabled", "1") != "1":
        found.append("its append-only file is off: a restart would lose jobs; set appendonly yes")
    if known.get("maxmemory_policy", "noeviction") != "noeviction":
        found.append(f"maxmemory-policy is {known['maxmemory_policy']}: jobs may be evicted; set noeviction")
    return found


async def foreseen(client: Client) -> list[str]:
    """`dangers` for who goes on either way: empty too where the server does not answer, or INFO is not ours to ask."""
    try:
        return dangers(await info(client))
    except (SurefootError, ReplyError):
        return []
