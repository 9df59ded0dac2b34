"""Workflows whose traces are looked at."""

import asyncio
import os
from pathlib import Path
from typing import Any

from orchestrator import Plan, Workflow
from tests.support import flows
from tests.support.flows import Order
from workers import StepContext, specialist


@specialist("gate-keeper", tools=["desk.*"])
async def held(step: StepContext, request: Order) -> dict[str, Any]:
    """It books, waits for the gate, and books again."""
    await step.call("desk.book", item=f"{request.item} first")
    while not Path(os.environ["TEST_LEDGER"]).with_name("gate").exists():  # noqa: ASYNC110 - a file, for all to see
        await asyncio.sleep(0.02)
    return await step.call("desk.book", item=f"{request.item} second")


@specialist("book-twice", tools=["desk.*"])
async def twice(step: StepContext, request: Order) -> dict[str, Any]:
    await step.call("desk.book", item=f"{request.item} first")
    return await step.call("desk.book", item=f"{request.item} second")


@specialist("reserve", tools=["desk.*"])
async def reserve(step: StepContext, request: Order) -> dict[str, Any]:
    done = await step.call("desk.book", item=request.item)
    step.on_rollback("desk.cancel", booked=request.item)
    return done


@specialist("transfer", tools=["bank.*"])
async def transfer(step: StepContext, request: Order) -> dict[str, Any]:
    return await step.call("bank.pay", item=request.item)


@specialist("mail", tools=["bank.*"])
async def post(step: StepContext, request: Order) -> dict[str, Any]:
    return await step.call("bank.send", item=request.item)


@specialist("ponder", tools=["desk.*"])
async def ponder(step: StepContext, request: Order) -> dict[str, Any]:
    return {"said": await step.generate(f"Name a room for {request.item}", max_tokens=50)}


@specialist("sleepy", timeout_s=0.3)
async def sleepy(step: StepContext, request: Order) -> None:
    await asyncio.sleep(60)


@specialist("declined", tools=["desk.refuse"])
async def declined(step: StepContext, request: Order) -> dict[str, Any]:
    return await step.call("desk.refuse", why="sold out")


Workflow("traced-held", request=Order, plan=lambda _: Plan.chain("gate-keeper"))
Workflow("traced-twice", request=Order, plan=lambda _: Plan.chain("begin", "book-twice", "finish"))
Workflow("traced-undone", request=Order, plan=lambda _: Plan.chain("reserve", "broken"), on_failure="undo")
Workflow("traced-transfer", request=Order, plan=lambda _: Plan.chain("transfer"))
Workflow("traced-post", request=Order, plan=lambda _: Plan.chain("begin", "mail"))
Workflow("traced-ponder", request=Order, plan=lambda _: Plan.chain("ponder"))
Workflow("traced-sleepy", request=Order, plan=lambda _: Plan.chain("begin", "sleepy"))
Workflow("traced-declined", request=Order, plan=lambda _: Plan.chain("begin", "declined"))
_ = flows
