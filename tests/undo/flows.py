"""Workflows of the tests: they book, remember how to undo it, and are stopped."""

import asyncio
import uuid
from typing import Any

from pydantic import BaseModel

from orchestrator import Plan, Step, Workflow
from workers import StepContext, retrace, specialist

retrace.PATIENCE_S = 1.6
"""In the worker of these tests: long enough for who is at something slow, and shorter than `polling` sleeps."""


class Wish(BaseModel):
    """What is booked, how, and how long the call that is cut off takes."""

    item: str
    tool: str = "desk.cancel"
    seconds: float = 0.0


def _undo(request: Wish, item: str) -> dict[str, Any]:
    """The arguments of the tool that undoes it."""
    by_tool = {"desk.refuse": {"why": f"{item} is gone"}, "desk.flaky": {"item": f"no {item}", "times": 2}}
    return by_tool.get(request.tool, {"booked": item})


async def _book(step: StepContext, request: Wish, item: str, **more: Any) -> None:
    await step.call("desk.book", item=f"{request.item} {item}", **more)
    step.on_rollback(request.tool, **_undo(request, f"{request.item} {item}"))


@specialist("one", tools=["desk.*"])
async def one(step: StepContext, request: Wish) -> str:
    await _book(step, request, step.name)
    return step.name


@specialist("two", tools=["desk.*"])
async def two(step: StepContext, request: Wish) -> str:
    await _book(step, request, f"{step.name}-1")
    await _book(step, request, f"{step.name}-2")
    return step.name


@specialist("pondering")
async def pondering(step: StepContext, request: Wish) -> Any:
    return await step.ask("more", prompt="anything else?")


@specialist("crashing")
async def crashing(step: StepContext, request: Wish) -> None:
    raise RuntimeError(f"no {request.item}")


@specialist("dawdling", timeout_s=60)
async def dawdling(step: StepContext, request: Wish) -> None:
    await asyncio.sleep(60)


@specialist("half", tools=["desk.*"])
async def half(step: StepContext, request: Wish) -> Any:
    """It asks between two bookings, so it has no checkpoint when it is cancelled."""
    await _book(step, request, "first")
    await step.ask("more", prompt="anything else?")
    await _book(step, request, "second")


@specialist("torn", tools=["desk.*"])
async def torn(step: StepContext, request: Wish) -> Any:
    """Two bookings side by side; one of them is cut off, and behind it there is a third."""
    await asyncio.gather(_book(step, request, "quick"), _book(step, request, "cut-off", seconds=request.seconds))
    await _book(step, request, "never")


@specialist("wiring", tools=["desk.*"])
async def wiring(step: StepContext, request: Wish) -> Any:
    """Money is under way, and nobody can tell whether it arrives."""
    await _book(step, request, "before")
    await step.call("desk.wire", item=f"{request.item} wire", seconds=request.seconds)


@specialist("whimsical", tools=["desk.*"])
async def whimsical(step: StepContext, request: Wish) -> Any:
    """It asks for something else each time."""
    await _book(step, request, uuid.uuid4().hex)
    await step.ask("more", prompt="anything else?")


@specialist("silent", tools=["desk.*"])
async def silent(step: StepContext, request: Wish) -> Any:
    """It does not say how its booking is undone."""
    await step.call("desk.book", item=f"{request.item} silent")


@specialist("partial", tools=["desk.*"])
async def partial(step: StepContext, request: Wish) -> Any:
    """It says how one of its two bookings is undone."""
    await step.call("desk.book", item=f"{request.item} unsaid")
    await _book(step, request, "said")
    await step.ask("more", prompt="anything else?")


async def _slowly(step: StepContext, request: Wish, seconds: float) -> None:
    await step.call("desk.book", item=f"{request.item} slowly")
    await asyncio.sleep(seconds)
    step.on_rollback("desk.cancel", booked=f"{request.item} slowly")


@specialist("hesitant", tools=["desk.*"], timeout_s=4)
async def hesitant(step: StepContext, request: Wish) -> Any:
    """One branch says slowly how its booking is undone; the other one asks."""
    await asyncio.gather(_slowly(step, request, request.seconds), step.ask("more", prompt="anything else?"))


@specialist("dozing", tools=["desk.*"], timeout_s=4)
async def dozing(step: StepContext, request: Wish) -> Any:
    """It does something of its own behind its booking, and there is no time for it."""
    await _book(step, request, "dozing")
    await asyncio.sleep(60)


_ran = set[str]()


@specialist("polling", tools=["desk.*"], timeout_s=20)
async def polling(step: StepContext, request: Wish) -> Any:
    """Run once more, it does something slow of its own before each of its two bookings."""
    for item in ("soon", "later"):
        if f"{request.item} {item}" in _ran:
            await asyncio.sleep(2.2)
        _ran.add(f"{request.item} {item}")
        await _book(step, request, item)
    await step.ask("more", prompt="anything else?")


@specialist("forked", tools=["desk.*"])
async def forked(step: StepContext, request: Wish) -> Any:
    """It does not say how its booking is undone, and its branches ask."""
    await step.call("desk.book", item=f"{request.item} forked")
    await asyncio.gather(step.ask("more", prompt="anything else?"), step.ask("less", prompt="anything less?"))


@specialist("sprouting")
async def sprouting(step: StepContext, request: Wish) -> None:
    step.grow(Step("one", "grown-a"), Step("one", "grown-b"), before="pondering")


def _bookings(_: Wish) -> Plan:
    beside = [Step("two", after=["one"]), Step("one", "side", ["one"])]
    return Plan([Step("one"), *beside, Step("pondering", after=["two", "side"])])


Workflow("bookings", request=Wish, plan=_bookings)
Workflow("grown", request=Wish, plan=lambda _: Plan.chain("sprouting", "pondering"))
Workflow("failing", request=Wish, plan=lambda _: Plan.chain("two", "crashing"), on_failure="undo")
Workflow("late", request=Wish, plan=lambda _: Plan.chain("two", "dawdling"), on_failure="undo")
Workflow("kept", request=Wish, plan=lambda _: Plan.chain("two", "crashing"))
Workflow("unsaid", request=Wish, plan=lambda _: Plan.chain("silent", "pondering"))
Workflow("dozing", request=Wish, plan=lambda _: Plan.chain("dozing"), on_failure="undo")
for _name in ("half", "torn", "wiring", "whimsical", "dawdling", "partial", "hesitant", "polling", "forked"):
    Workflow(_name, request=Wish, plan=lambda _, name=_name: Plan.chain(name))
