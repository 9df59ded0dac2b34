"""What the chaos run does: jobs of five steps, as a chain and as a chord, loaded by its workers.

READ, KEYED and UNSAFE tools; the two servers' own ledgers say what was really done.
"""

import asyncio
import functools
import os
import time
from pathlib import Path
from typing import Any

from pydantic import BaseModel

from orchestrator import Plan, Step, Workflow
from workers import StepContext, specialist

NOTES = os.environ.get("CHAOS_NOTES", "")
"""A folder: each worker, its children with it, notes there which attempts it began: what it held when it was killed."""
EFFECTS = {"flight": "book", "hotel": "book", "pay": "pay"}
"""Step -> its tool with an effect: its only call."""


class Errand(BaseModel):
    """What to do; after each booking and payment its step goes on for so many seconds."""

    item: str
    seconds: float = 0.0


@functools.cache
def _notes() -> int:
    return os.open(Path(NOTES) / str(os.getpgrp()), os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)


def _note(step: StepContext) -> None:
    """One line in one write: a SIGKILL leaves it whole or not at all."""
    os.write(_notes(), f"{step.job_id}.{step.name} {step.attempt} {time.time()}\n".encode())


@specialist("find", tools=["desk.search"])
async def find(step: StepContext, request: Errand) -> dict[str, Any]:
    _note(step)
    return await step.call("desk.search", item=request.item)


@specialist("book", tools=["desk.book"])
async def book(step: StepContext, request: Errand) -> dict[str, Any]:
    _note(step)
    done = await step.call("desk.book", item=f"{request.item}-{step.name}")
    await asyncio.sleep(request.seconds)
    return done


@specialist("pay", tools=["bank.pay"])
async def pay(step: StepContext, request: Errand) -> dict[str, Any]:
    _note(step)
    done = await step.call("bank.pay", item=f"{request.item}-pay")
    await asyncio.sleep(request.seconds)
    return done


@specialist("close")
async def close(step: StepContext, _request: Errand) -> dict[str, Any]:
    _note(step)
    return {name: output["key"] for name, output in sorted(step.inputs.items())}


def _chain(_request: Errand) -> Plan:
    pay = Step("pay", after=["flight"])
    hotel = Step("book", name="hotel", after=["pay"])
    return Plan([Step("find"), Step("book", name="flight", after=["find"]), pay, hotel, Step("close", after=["hotel"])])


def _chord(_request: Errand) -> Plan:
    heads = [Step("book", name="flight", after=["find"]), Step("book", name="hotel", after=["find"])]
    heads.append(Step("pay", after=["find"]))
    return Plan([Step("find"), *heads, Step("close", after=["flight", "hotel", "pay"])])


CLOSED = {"chain": ("hotel",), "chord": ("flight", "hotel", "pay")}
"""Workflow -> the steps whose keys its result tells."""
Workflow("chain", request=Errand, plan=_chain)
Workflow("chord", request=Errand, plan=_chord)
