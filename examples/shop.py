"""A workflow that books and pays, to be tested against faults: see docs/testing.md."""

from pydantic import BaseModel

from orchestrator import Plan, Workflow
from workers import StepContext, specialist


class Order(BaseModel):
    item: str


@specialist("shopper", tools=["shop.*"])
async def shopper(step: StepContext, request: Order) -> dict[str, str]:
    booked = await step.call("shop.book", item=request.item)  # KEYED: the server honours the deduplication key
    paid = await step.call("shop.pay", item=request.item)  # UNSAFE: mcp.json names a look-up for it
    return {"booked": booked["item"], "paid": paid["item"]}


Workflow("shop", request=Order, plan=lambda _: Plan.chain("shopper"))
