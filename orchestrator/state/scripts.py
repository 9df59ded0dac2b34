"""Loads the Lua scripts: each file says which parts of `lua/lib/` it uses, and is run by its digest."""

import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from orchestrator.state import keys
from orchestrator.state.client import Client, ReplyError

LUA = Path(__file__).with_name("lua")
NAMES = tuple(sorted(path.stem for path in LUA.glob("*.lua")))


@dataclass(frozen=True)
class Script:
    """One operation on the state."""

    name: str
    text: str
    digest: str

    @classmethod
    def load(cls, name: str, message: str) -> "Script":
        """Put the key names, the message's wire form and the parts it uses before a script."""
        body = (LUA / f"{name}.lua").read_text()
        constant = f"local MESSAGE = [==[{message}]==]\n"
        text = "\n".join([keys.lua(), constant, *_parts(body).values(), body])
        return cls(name, text, hashlib.sha1(text.encode(), usedforsecurity=False).hexdigest())


def _parts(text: str) -> dict[str, str]:
    """The parts of `lua/lib/` that a text uses, each once, behind those that it uses itself."""
    uses, found = re.search(r"^-- USES (.+)$", text, re.MULTILINE), dict[str, str]()
    for name in uses.group(1).split() if uses else ():
        part = (LUA / "lib" / f"{name}.lua").read_text()
        found |= _parts(part) | {name: part}
    return found


@cache
def _loaded(message: str) -> Mapping[str, Script]:
    """Every script; made once a process for each wire form, whichever client runs them."""
    return {name: Script.load(name, message) for name in NAMES}


class Scripts:
    """Runs scripts on one client. Every script is harmless when repeated, so a lost connection is waited out."""

    def __init__(self, client: Client, message: str = "") -> None:
        """`message` is the wire form of a step's message; empty where the scripts do not enqueue."""
        self.client = client
        self._scripts = _loaded(message)

    def digest(self, name: str) -> str:
        """What the server calls a script, for who looks into its statistics."""
        return self._scripts[name].digest

    async def run(self, name: str, *arguments: Any) -> Any:
        """Run a script by its digest, sending its text only to a server that does not know it."""
        script = self._scripts[name]
        try:
            return await self.client.command("EVALSHA", script.digest, 1, keys.PREFIX, *arguments)
        except ReplyError as error:
            if not str(error).startswith("NOSCRIPT"):
                raise
        return await self.client.command("EVAL", script.text, 1, keys.PREFIX, *arguments)
