"""The planted secrets, a workflow that spreads them, and a tool server that tells them (`-m tests.flower.plants`)."""

import asyncio
import json
import logging
import os
import sys
from base64 import b64encode
from collections.abc import Mapping
from typing import Any, Final
from urllib.parse import quote

from mcp.server.mcpserver import Context, MCPServer
from mcp.server.mcpserver.exceptions import ToolError
from pydantic import BaseModel

from orchestrator import Plan, Workflow
from workers import StepContext, specialist

PLACES = (
    *("redis", "otlp", "model key", "header", "api key header", "server env", "server argument", "own env", "broker"),
    *("field", "bearer", "basic", "jwt", "json", "encoded", "address", "pair", "option", "prompt", "answer of model"),
    *(
        "answer of tool",
        "rejected",
        "raised",
        "logged",
        "printed",
        "emitted",
        "approval",
        "answered",
        "request",
        "tag",
        "tenant",
    ),
)
PLANTS: Final[Mapping[str, str]] = {
    place: f"Zq{number:02}hunter{place.title().replace(' ', '')}" for number, place in enumerate(PLACES)
}
"""Where a secret is planted -> the secret; each is another one, so that whoever finds it knows the way it came."""
SHORTEST_PART = 6


def forms(secret: str) -> set[str]:
    """What a search must look for: as it is, and as base64 says it wherever it begins."""
    inside = [b64encode(b"x" * before + secret.encode() + b"yy").decode() for before in range(3)]
    return {secret, *(text[4:-4].rstrip("=")[: 4 * (len(secret) // 3) - 4] for text in inside)}


class Confided(BaseModel):
    """A request that nobody should repeat."""

    item: str
    password: str


def spread() -> dict[str, Any]:
    """Arguments as careless as code is."""
    plant = PLANTS
    basic = b64encode(f"me:{plant['basic']}".encode()).decode()
    return {
        "api_key": plant["field"],
        "line": f"Authorization: Bearer {plant['bearer']}",
        "basic": f"Basic {basic}",
        "jwt": f"eyJhbGciOiJIUzI1NiJ9.{plant['jwt']}.{plant['jwt']}",
        "json": json.dumps({"a": json.dumps({"b": json.dumps({"password": plant["json"]})})}),
        "form": f"a=b&{quote(json.dumps({'password': plant['encoded']}))}",
        "address": f"https://api.example.com/v1?access_token={plant['address']}&q=1",
        "headers": [["x-api-key", plant["pair"]], ["accept", "*/*"]],
        "argv": ["curl", "--password", plant["option"], "https://example.com"],
        "setting": {"name": "DB_PASSWORD", "value": plant["tag"]},
    }


@specialist("confided", tools=["vault.*", "safe.*"])
async def confided(step: StepContext, request: Confided) -> dict[str, Any]:
    """Spread them over all there is, and fail with one."""
    logging.getLogger(__name__).warning("signing in with password=%s", PLANTS["logged"])
    print(f"password={PLANTS['printed']}")  # noqa: T201 - as people do who look for a fault
    await step.emit(f"signed in, token={PLANTS['emitted']}")
    told = await step.call("vault.tell", **spread())
    told |= await step.call("safe.tell", **spread())
    said = await step.generate(f"Sign in with password={PLANTS['prompt']}, then say {request.item}", max_tokens=50)
    await step.ask("pin", prompt=f"the pin? (not password={PLANTS['prompt']})")
    await step.approve("send it?", {"password": PLANTS["approval"], "said": said, **spread()})
    return {"told": told, "said": said}


@specialist("betrayed", tools=["vault.*", "safe.*"])
async def betrayed(step: StepContext, request: Confided) -> dict[str, Any]:
    """A tool's error says them."""
    return await step.call(f"{request.item}.refuse")


@specialist("blurting")
async def blurting(step: StepContext, request: Confided) -> dict[str, Any]:
    """An exception of its own says one."""
    raise RuntimeError(f"cannot sign in with password={PLANTS['raised']} or {os.environ['TEST_VAULT_TOKEN']}")


Workflow("confided", request=Confided, plan=lambda _: Plan.chain("confided", "blurting"))
Workflow("betrayed", request=Confided, plan=lambda _: Plan.chain("betrayed"))

heard: list[dict[str, Any]] = []
"""What the server of this process was given to sign in with, call by call."""


def _known(context: Context) -> dict[str, Any]:  # pyright: ignore[reportMissingTypeArgument]
    """What this server was given to sign in with."""
    headers = dict(context.headers or {})
    heard.append(headers)
    return {
        "sent": headers.get("authorization", ""),
        "again": headers.get("x-api-key", ""),
        "variable": os.environ.get("VAULT_PASSWORD", ""),
        "words": sys.argv[1:],
    }


def tell(api_key: str, line: str, context: Context) -> dict[str, Any]:  # pyright: ignore[reportMissingTypeArgument]
    """Say again what came, and what it was given."""
    return {"password": PLANTS["answer of tool"], "api_key": api_key, "line": line, "known": _known(context)}


def refuse(context: Context) -> str:  # pyright: ignore[reportMissingTypeArgument]
    """Say no, and repeat what it was given."""
    raise ToolError(f"401: password={PLANTS['rejected']} is wrong, and so is what was sent: {_known(context)}")


def server() -> MCPServer:
    """A server with both. Its library sets up logging where nobody has: not for who only imports this module."""
    made = MCPServer("vault", log_level="CRITICAL")
    made.add_tool(tell)
    made.add_tool(refuse)
    return made


if __name__ == "__main__":
    asyncio.run(server().run_stdio_async())
