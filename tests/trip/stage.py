"""Plays the trip's plan in one process: real specialists, real tool servers over MCP in memory, a real ledger."""

from collections.abc import AsyncGenerator, Callable, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from fnmatch import fnmatch
from pathlib import Path
from typing import Any

import pytest
from mcp import Client
from pydantic import TypeAdapter

from tools.outcome import Rejected
from tools.travel import flights, hotels, restaurants, weather
from tools.travel.ledger import Ledger
from workers.specialist import specialists
from workers.trip import workflow
from workers.trip.request import TripRequest

KEY_META = "io.surefoot/idempotency-key"
SERVERS: dict[str, Any] = {"flights": flights, "hotels": hotels, "restaurants": restaurants, "weather": weather}
Spoil = Callable[[str, dict[str, Any]], None]


class Asked(Exception):
    """A step asked, and nobody has answered."""

    def __init__(self, field: str, prompt: str) -> None:
        super().__init__(prompt)
        self.field, self.prompt = field, prompt


class StepInMemory:
    """What a specialist sees of its step; calls are keyed and numbered as the journal does it."""

    def __init__(self, stage: "Stage", name: str, inputs: Mapping[str, Any], missing: tuple[str, ...]) -> None:
        self.name, self.inputs, self.job_id, self.attempt = name, inputs, stage.job_id, 1
        self.missing, self.finishing = missing, stage.finishing
        self.arguments: dict[str, Any] = {}
        self._stage, self._calls = stage, 0
        self._allowed = specialists[name].profile.tools

    async def call(self, tool: str, /, **arguments: Any) -> Any:
        self._calls += 1
        if not any(fnmatch(tool, pattern) for pattern in self._allowed):
            raise Rejected(tool, f"{self.name} may not call it")
        return await self._stage.call(tool, arguments, f"{self.job_id}.{self.name}/{self._calls}")

    async def ask(self, what: str, *, prompt: str = "", example: Any = None) -> Any:
        if what not in self._stage.answers:
            raise Asked(what, prompt)
        return self._stage.answers[what]

    async def emit(self, message: str) -> None:
        self._stage.said.append(message)

    def on_rollback(self, tool: str, /, **arguments: Any) -> None:
        self._stage.rollback.append((tool, arguments))


class Stage:
    """Performs a plan's steps in order, each with the outputs it comes after, through JSON as the record does."""

    def __init__(self, clients: Mapping[str, Client], ledger: Ledger) -> None:
        self.ledger, self._clients = ledger, clients
        self.job_id, self.finishing = "job", ""
        self.answers: dict[str, Any] = {}
        self.calls: list[str] = []
        self.said: list[str] = []
        self.rollback: list[tuple[str, dict[str, Any]]] = []
        self.spoil: Spoil = lambda tool, arguments: None

    async def call(self, tool: str, arguments: dict[str, Any], key: str) -> Any:
        server, _, name = tool.partition(".")
        self.calls.append(tool)
        self.spoil(tool, arguments)
        answer = await self._clients[server].call_tool(name, arguments, meta={KEY_META: key})  # type: ignore[arg-type]
        if answer.is_error:
            raise Rejected(tool, str(answer.content))
        return answer.structured_content

    async def step(self, name: str, request: TripRequest, outputs: Mapping[str, Any]) -> Any:
        """One step's output as plain JSON."""
        known = specialists[name]
        missing = tuple(before for before in workflow.plan(request).by_name[name].after if before not in outputs)
        made = await known.perform(StepInMemory(self, name, outputs, missing), request)
        assert known.profile.output is not None
        return TypeAdapter(known.profile.output).validate_python(made).model_dump(mode="json")

    async def play(self, request: TripRequest) -> dict[str, Any]:
        """All steps; one that is optional and refused is missing."""
        plan = workflow.plan(request)
        done: dict[str, Any] = {}
        for name in (name for wave in plan.waves for name in wave):
            inputs = {before: done[before] for before in plan.by_name[name].after if before in done}
            try:
                done[name] = await self.step(name, request, inputs)
            except Rejected:
                if not specialists[name].profile.optional:
                    raise
        return done


@asynccontextmanager
async def opened(folder: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncGenerator[Stage]:
    """A stage with its own ledger."""
    ledger = Ledger(f"sqlite:///{folder / 'ledger.sqlite'}")
    for desk in (flights.desk, hotels.desk, restaurants.desk):
        monkeypatch.setattr(desk, "_ledger", ledger)
    async with AsyncExitStack() as stack:
        clients = {name: await stack.enter_async_context(Client(each.server)) for name, each in SERVERS.items()}
        yield Stage(clients, ledger)
