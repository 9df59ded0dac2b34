"""Workflows of the tests."""

import asyncio
import os
import signal
import time
from pathlib import Path
from typing import Any

from pydantic import BaseModel, Field

from orchestrator import Plan, Step, Workflow
from workers import StepContext, specialist


class Order(BaseModel):
    """What the tests ask for."""

    item: str = Field(description="what to book", examples=["bed"])
    seconds: float = 0.0
    times: int = 0
    wide: int = 3


class Booked(BaseModel):
    item: str
    key: str


@specialist("begin")
async def begin(step: StepContext, request: Order) -> dict[str, Any]:
    return {"item": request.item}


def _booker(name: str) -> None:
    @specialist(name, tools=["desk.*"])
    async def book(step: StepContext, request: Order) -> Booked:
        found = await step.call("desk.search", what=request.item)
        done = await step.call("desk.book", item=f"{step.name} {found['found']}", seconds=request.seconds)
        return Booked(item=done["booked"], key=done["key"])


for name in ("flight", "hotel", "table"):
    _booker(name)


@specialist("finish")
async def finish(step: StepContext, request: Order) -> dict[str, Any]:
    return {name: output["item"] for name, output in sorted(step.inputs.items()) if "item" in output}


@specialist("flaky", tools=["desk.*"])
async def flaky(step: StepContext, request: Order) -> dict[str, Any]:
    await step.call("desk.book", item="before")
    return await step.call("desk.flaky", item=request.item, times=request.times, after_s=request.seconds or 0.05)


@specialist("refused", tools=["desk.refuse"], optional=True)
async def refused(step: StepContext, request: Order) -> dict[str, Any]:
    return await step.call("desk.refuse", why="sold out")


@specialist("unpriced", tools=["desk.*"])
async def unpriced(step: StepContext, request: Order) -> dict[str, Any]:
    await step.call("desk.book", item="before")
    return await step.call("desk.gift", item=request.item)


@specialist("asking", tools=["desk.*"])
async def asking(step: StepContext, request: Order) -> dict[str, Any]:
    first = await step.call("desk.book", item="before the question")
    date = await step.ask("date", prompt="which day?", example="2027-03-12")
    return {"first": first["booked"], "date": date}


@specialist("growing")
async def growing(step: StepContext, request: Order) -> dict[str, Any]:
    step.grow(*(Step("flight", name=f"flight-{i}") for i in range(request.wide)), before="finish")
    return {"added": request.wide}


@specialist("broken")
async def broken(step: StepContext, request: Order) -> dict[str, Any]:
    raise RuntimeError(f"no {request.item}")


@specialist("wrong")
async def wrong(step: StepContext, request: Order) -> Booked:
    return {"item": 3}  # pyright: ignore[reportReturnType] - what the test is about


@specialist("vast")
async def vast(step: StepContext, request: Order) -> dict[str, Any]:
    return {"number": 10**5_000}


@specialist("slow", timeout_s=30)
async def slow(step: StepContext, request: Order) -> dict[str, Any]:
    await asyncio.sleep(request.seconds)
    return {"slept": request.seconds}


@specialist("blocking", timeout_s=30)
async def blocking(step: StepContext, request: Order) -> dict[str, Any]:
    time.sleep(request.seconds)  # noqa: ASYNC251 - what the test is about
    return {"blocked": request.seconds}


@specialist("deadly", tools=["desk.*"])
async def deadly(step: StepContext, request: Order) -> dict[str, Any]:
    await step.call("desk.book", item=request.item)
    os.kill(os.getpid(), signal.SIGKILL)  # as a library that crashes, or takes all memory
    return {}


def _gate_is_open() -> bool:
    return Path(os.environ["TEST_LEDGER"]).with_name("gate").exists()


@specialist("gated", timeout_s=600)
async def gated(step: StepContext, request: Order) -> dict[str, Any]:
    while not _gate_is_open():  # noqa: ASYNC110 - the gate is a file, for every worker to see
        await asyncio.sleep(0.02)
    return {"through": request.item}


@specialist("walled", timeout_s=600)
async def walled(step: StepContext, request: Order) -> dict[str, Any]:
    while not _gate_is_open():
        time.sleep(0.02)  # noqa: ASYNC251 - it blocks the loop, as code that does not await does
    return {"through": request.item}


def _trip(request: Order) -> Plan:
    middle = [Step(name, after=["begin"]) for name in ("flight", "hotel", "table")]
    return Plan([Step("begin"), *middle, Step("finish", after=[step.name for step in middle])])


def _two_waves(request: Order) -> Plan:
    first = [Step("begin", name=f"a{i}") for i in range(request.wide)]
    names = [step.name for step in first]
    return Plan([*first, *(Step("begin", name=f"b{i}", after=names) for i in range(request.wide))])


def _wide(request: Order) -> Plan:
    names = [f"s{i}" for i in range(request.wide)]
    return Plan([*(Step("begin", name=name) for name in names), Step("finish", after=names)])


Workflow("journey", request=Order, plan=_trip)
Workflow("two-waves", request=Order, plan=_two_waves)
Workflow("wide", request=Order, plan=_wide)
Workflow("flaky", request=Order, plan=lambda _: Plan.chain("flaky"))
Workflow("degrading", request=Order, plan=lambda _: Plan.chord(["refused", "flight"], "finish"))
Workflow("unpriced", request=Order, plan=lambda _: Plan.chain("unpriced"))
Workflow("asking", request=Order, plan=lambda _: Plan.chain("asking", "finish"))
Workflow("growing", request=Order, plan=lambda _: Plan.chain("growing", "finish"))
Workflow("broken", request=Order, plan=lambda _: Plan.chain("begin", "broken", "finish"))
Workflow("wrong", request=Order, plan=lambda _: Plan.chain("wrong"))
Workflow("vast", request=Order, plan=lambda _: Plan.chain("vast", "finish"))
Workflow("slow", request=Order, plan=lambda _: Plan.chain("slow"))
Workflow("crowded", request=Order, plan=lambda r: Plan(Step("slow", name=f"s{i}") for i in range(r.wide)))
Workflow("blocking", request=Order, plan=lambda _: Plan.chain("blocking"))
Workflow("gated", request=Order, plan=lambda _: Plan.chain("gated"))
Workflow("walled", request=Order, plan=lambda _: Plan.chain("walled"))
Workflow("deadly", request=Order, plan=lambda _: Plan.chain("begin", "deadly", "finish"))
Workflow("unknown", request=Order, plan=lambda _: Plan.chain("begin", "nobody"))


class Stay(BaseModel):
    nights: int = Field(description="how many nights?", examples=[3])
    rooms: int = Field(description="how many rooms?")


@specialist("careful", tools=["desk.*"])
async def careful(step: StepContext, request: Order) -> dict[str, Any]:
    stay = await step.ask(Stay)
    if await step.approve("book it?", {"nights": stay.nights}, deadline_s=request.seconds or None):
        return {"booked": (await step.call("desk.book", item=f"{stay.nights} nights"))["booked"]}
    return {"booked": None}


Workflow("careful", request=Order, plan=lambda _: Plan.chain("careful"))
Workflow("two-ask", request=Order, plan=lambda _: Plan.chord(["asking", "careful"], "finish"))
