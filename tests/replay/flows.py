"""A chord of which one header sends what nobody can look up."""

from typing import Any

from pydantic import BaseModel

from orchestrator import Plan, Workflow
from workers import StepContext, specialist


class Note(BaseModel):
    item: str


@specialist("post", tools=["faults.send"])
async def post(step: StepContext, request: Note) -> dict[str, Any]:
    return await step.call("faults.send", item=request.item)


@specialist("note", tools=["faults.search"])
async def note(step: StepContext, request: Note) -> dict[str, Any]:
    return await step.call("faults.search", item=request.item)


@specialist("collect")
async def collect(step: StepContext, request: Note) -> dict[str, Any]:
    return dict(step.inputs)


Workflow("post", request=Note, plan=lambda _: Plan.chord(["post", "note"], "collect"))
