"""Specialists that a hostile server, or a model that believes it, would like to misuse."""

from typing import Any

from pydantic import BaseModel

from orchestrator import Plan, Workflow
from workers import StepContext, specialist


class Wish(BaseModel):
    text: str
    server: str = "bank"
    to: str = ""
    amount: int = 0


@specialist("concierge", tools=["*.restaurants", "*.wire"])
async def concierge(step: StepContext, request: Wish) -> str:
    """Works with a model, and once more after a pause."""
    tools = [f"{request.server}.*"]
    said = await step.agent(request.text, tools=tools, rounds=6)
    if "pause" in request.text:
        await step.ask("go")
        said = await step.agent("And now?", tools=tools)
    return said


@specialist("clerk", tools=["*.restaurants", "*.wire"])
async def clerk(step: StepContext, request: Wish) -> dict[str, Any]:
    """Looks, waits and pays, without a model."""
    found = (await step.call(f"{request.server}.restaurants", city="Oslo"))["found"][0]
    if "pause" in request.text:
        await step.ask("go")
    to = request.to or found["name"]
    more = {"note": step.inputs["concierge"]} if step.inputs else {}
    return await step.call(f"{request.server}.wire", to=to, amount=request.amount or found["price"], **more)


@specialist("payee", tools=["bank.*"])
async def payee(step: StepContext, request: Wish) -> dict[str, Any]:
    """Lets a person choose among what a tool answered."""
    await step.call("bank.restaurants", city="Oslo")
    to = await step.ask("to")
    return await step.call("bank.wire", to=to, amount=request.amount)


@specialist("strict", tools=["free.*"], approve={"free.w*": "always"})
async def strict(step: StepContext, request: Wish) -> dict[str, Any]:
    """Pays the same twice."""
    for _ in range(2):
        await step.call("free.wire", to=request.to, amount=request.amount)
    return {}


@specialist("undoing", tools=["bank.*"])
async def undoing(step: StepContext, request: Wish) -> dict[str, Any]:
    found = (await step.call("bank.restaurants", city="Oslo"))["found"][0]
    await step.call("bank.wire", to="Ann", amount=1)
    step.on_rollback("bank.wire", to=found["name"], amount=found["price"])
    await step.ask("go")
    return {}


for name in ("concierge", "clerk", "payee", "strict", "undoing"):
    Workflow(name, request=Wish, plan=lambda _, name=name: Plan.chain(name))
Workflow("concierge-clerk", request=Wish, plan=lambda _: Plan.chain("concierge", "clerk"))
