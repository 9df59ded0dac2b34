"""Specialists that ask models."""

from typing import Any

from pydantic import BaseModel, Field

from orchestrator import Plan, Workflow
from tools.outcome import Rejected
from workers import StepContext, specialist


class Wish(BaseModel):
    text: str
    max_tokens: int = 100
    repairs: int = 1


class City(BaseModel):
    city: str
    nights: int = Field(ge=1)


@specialist("understand", tools=["desk.*"])
async def understand(step: StepContext, request: Wish) -> City:
    return await step.generate(
        f"Which city, how many nights? {request.text}",
        output=City,
        system="You read wishes.",
        max_tokens=request.max_tokens,
        repairs=request.repairs,
    )


@specialist("book", tools=["desk.*"])
async def book(step: StepContext, request: Wish) -> dict[str, Any]:
    said = await step.generate(f"Name a room for: {request.text}", max_tokens=request.max_tokens)
    return await step.call("desk.flaky", item=said, times=1, after_s=0.0)


@specialist("held", tools=["desk.*"])
async def held(step: StepContext, request: Wish) -> dict[str, Any]:
    said = await step.generate(f"Name a room for: {request.text}")
    return await step.call("desk.book", item=said, seconds=3.0)


@specialist("unasked", tools=["desk.*"])
async def unasked(step: StepContext, request: Wish) -> dict[str, Any]:
    said = await step.generate(f"Name a room for: {request.text}")
    step.on_rollback("desk.book", item=f"undo {said}")
    return await step.call("desk.book", item=said, seconds=1.0)


@specialist("thrifty")
async def thrifty(step: StepContext, request: Wish) -> dict[str, Any]:
    try:
        return {"said": await step.generate(request.text, max_tokens=request.max_tokens)}
    except Rejected as no:
        return {"no": str(no)}


@specialist("agent", tools=["desk.search", "desk.book", "desk.flaky"])
async def agent(step: StepContext, request: Wish) -> City:
    return await step.agent(f"Find and book: {request.text}", output=City, tools=["desk.[sbf]*"], rounds=4)


@specialist("doorman", tools=["desk.search", "desk.book", "desk.gift"])
async def doorman(step: StepContext, request: Wish) -> dict[str, Any]:
    said = await step.agent(f"Find and book: {request.text}", output=City, tools=["desk.[sb]*"])
    return {"city": said.city, "door": await step.ask("door", prompt="which door?")}


for name in ("agent", "doorman", "understand", "book", "held", "thrifty", "unasked"):
    Workflow(name, request=Wish, plan=lambda _, name=name: Plan.chain(name))
