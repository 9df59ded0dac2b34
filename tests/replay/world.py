"""Tools in this process whose effects are counted, and which lose answers, are away or see their caller die as told."""

import asyncio
import random
from dataclasses import dataclass, field
from typing import Any

from tools.config import Extras, ToolConfig
from tools.effects import Effect
from tools.local import tool
from tools.outcome import NeedsInput, OutcomeUnknown, Rejected, Unavailable
from tools.servers import ToolServers
from tools.tool import Signature, Tool, described
from tools.way import Way


class Died(BaseException):
    """The attempt was killed here: nothing of it runs any more."""


@dataclass
class World:
    """What was sent and what really happened.

    Attributes:
        risk: the share of calls that meet a fault.
        sent: key -> what was asked with it.
        effects: (tool, item, key), in order.
        losing: every call is lost on its way.
        silent: items that are looked for and never found; `reached` is set then.
        no: what `search` says no with.
    """

    rolled: random.Random = field(default_factory=random.Random)
    risk: float = 0.0
    sent: dict[str, tuple[str, str]] = field(default_factory=dict[str, tuple[str, str]])
    effects: list[tuple[str, str, str]] = field(default_factory=list[tuple[str, str, str]])
    losing: bool = False
    silent: str = ""
    reached: asyncio.Event = field(default_factory=asyncio.Event)
    no: str = ""

    def receive(self, name: str, item: str, key: str) -> None:
        assert self.sent.setdefault(key, (name, item)) == (name, item), f"{key} stands for two questions"

    def fault(self, faults: list[BaseException]) -> None:
        if self.rolled.random() < self.risk:
            raise self.rolled.choice(faults)

    def call(self, name: str, item: str, key: str, *, keyed: bool) -> dict[str, Any]:
        self.receive(name, item, key)
        if self.losing:
            raise OutcomeUnknown(name, "lost on its way")
        self.fault([Unavailable(name, "away"), OutcomeUnknown(name, "lost"), Died()])
        if not (keyed and any(key == known for _, _, known in self.effects)):
            self.effects.append((name, item, key))
        self.fault([OutcomeUnknown(name, "the answer is lost"), Died()])
        return {"item": item, "key": key}

    def happened(self, key: str) -> dict[str, Any] | None:
        """The answer to the call with this key, if it had its effect."""
        return next(({"item": item, "key": key} for _, item, known in self.effects if known == key), None)


world = World()


@tool(effect=Effect.READ)
async def search(item: str, key: str) -> dict[str, Any]:
    """Find something."""
    world.receive("search", item, key)
    if item in world.silent:
        world.reached.set()
        await asyncio.Event().wait()
    if world.no:
        raise Rejected("desk.search", world.no)
    world.fault([Unavailable("search", "away"), OutcomeUnknown("search", "lost"), Died()])
    return {"found": item}


@tool(effect=Effect.KEYED)
async def book(item: str, key: str) -> dict[str, Any]:
    """Book it, once a key."""
    return world.call("book", item, key, keyed=True)


@tool(effect=Effect.UNSAFE)
async def pay(item: str, key: str) -> dict[str, Any]:
    """Pay each time it is called; `find_payment` tells."""
    return world.call("pay", item, key, keyed=False)


@tool(effect=Effect.UNSAFE)
async def send(item: str, key: str) -> dict[str, Any]:
    """Send each time it is called, and nobody can tell."""
    return world.call("send", item, key, keyed=False)


@tool(effect=Effect.READ)
async def find_payment(key: str) -> dict[str, Any]:
    """Whether the payment of this key happened."""
    world.fault([Unavailable("find_payment", "away"), Died()])
    result = world.happened(key)
    return {"found": result is not None, "result": result}


ROUNDS = {"stay": 1, "tour": 2, "wire": 1}
FORM = {"type": "object", "properties": {"round": {"type": "integer"}}, "required": ["round"]}


class Inn:
    """Its tools ask people before they act: `stay` (KEYED) and `wire` (UNSAFE) once, `tour` (KEYED) twice.

    `queue` (KEYED) asks nothing: it wants to be called again, with what it said.
    """

    def __init__(self) -> None:
        effects = {"stay": Effect.KEYED, "tour": Effect.KEYED, "wire": Effect.UNSAFE, "queue": Effect.KEYED}
        item = {"type": "object", "properties": {"item": {"type": "string"}}}
        self._tools = {
            name: described("inn", Signature(name, None, item), Extras.model_validate({}), effect, self, 10_000)
            for name, effect in effects.items()
        }

    async def tool(self, name: str) -> Tool:
        return self._tools[name]

    async def tools(self) -> list[Tool]:
        return list(self._tools.values())

    async def close(self) -> None:
        pass

    async def call(self, tool: Tool, arguments: dict[str, Any], way: Way) -> Any:
        """Act when all was asked and answered; what it wants to know was told by its state."""
        name, item = tool.name.partition(".")[2], arguments["item"]
        told = int(way.said.request_state or 0) if way.said else 0
        if name == "queue":
            if way.said is None:
                raise NeedsInput(tool.name, [], "1")
            assert way.said.request_state == "1"
            return world.call(name, item, way.key, keyed=True)
        if way.said and way.said.answers != {"k": {"round": told}}:
            raise Rejected(tool.name, f"an answer to another question: {way.said}")
        if told == ROUNDS[name]:
            return world.call(name, item, way.key, keyed=name != "wire")
        world.receive(name, item, way.key)
        world.fault([Unavailable(name, "away"), OutcomeUnknown(name, "lost"), Died()])
        raise NeedsInput(tool.name, [{"key": "k", "message": f"{told + 1}", "schema": FORM}], str(told + 1))


class Tools(ToolServers):
    """The desk, and the inn beside it."""

    def __init__(self, config: ToolConfig) -> None:
        super().__init__(config)
        self._servers["inn"] = Inn()
