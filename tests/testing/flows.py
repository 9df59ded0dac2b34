"""Workflows whose tools fail."""

from typing import Any

from pydantic import BaseModel

from orchestrator import Plan, Workflow
from workers import StepContext, specialist


class Errand(BaseModel):
    item: str


class Stay(BaseModel):
    offer_id: str


@specialist("errand", tools=["faults.*"])
async def errand(step: StepContext, request: Errand) -> dict[str, Any]:
    found = await step.call("faults.search", item=request.item)
    booked = await step.call("faults.book", item=request.item)
    paid = await step.call("faults.pay", item=request.item)
    return {"found": found["found"], "booked": booked["item"], "paid": paid["item"]}


@specialist("letter", tools=["faults.send"])
async def letter(step: StepContext, request: Errand) -> dict[str, Any]:
    return await step.call("faults.send", item=request.item)


@specialist("lodging", tools=["hotels.book"])
async def stay(step: StepContext, request: Stay) -> dict[str, Any]:
    return await step.call("hotels.book", offer_id=request.offer_id, guests=2)


Workflow("errand", request=Errand, plan=lambda _: Plan.chain("errand"))
Workflow("letter", request=Errand, plan=lambda _: Plan.chain("letter"))
Workflow("lodging", request=Stay, plan=lambda _: Plan.chain("lodging"))
