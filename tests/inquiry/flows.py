"""A guest whose calls are asked about, alone, side by side, and in a job that fails afterwards."""

import asyncio
from typing import Any

from pydantic import BaseModel

from orchestrator import Plan, Step, Workflow
from workers import StepContext, specialist


class Wish(BaseModel):
    tool: str
    arguments: dict[str, Any]


@specialist("arrive")
async def arrive(step: StepContext, request: Wish) -> dict[str, Any]:
    return {"arrived": step.job_id}


@specialist("guest", tools=["inn.*", "cellar.*", "hotel.*"])
async def guest(step: StepContext, request: Wish) -> dict[str, Any]:
    said = await step.call(request.tool, **request.arguments)
    step.on_rollback("inn.sign", item="undone")
    return {"said": said}


@specialist("guarded", tools=["inn.reserve"], approve={"inn.reserve": "always"})
async def guarded(step: StepContext, request: Wish) -> dict[str, Any]:
    return await step.call("inn.reserve", item="bed")


@specialist("couple", tools=["inn.*"])
async def couple(step: StepContext, request: Wish) -> dict[str, Any]:
    rooms = (step.call("inn.reserve", item=item) for item in ("ann", "ben"))
    ann, ben, name = await asyncio.gather(*rooms, step.ask("name"))
    return {"ann": ann["said"], "ben": ben["said"], "name": name}


@specialist("regretful")
async def regretful(step: StepContext, request: Wish) -> None:
    raise RuntimeError("no more")


Workflow("visit", request=Wish, plan=lambda _: Plan.chain("arrive", "guest"))
Workflow("struck-visit", request=Wish, plan=lambda _: Plan([Step("guest", "victim")]))
Workflow("guarded-visit", request=Wish, plan=lambda _: Plan.chain("guarded"))
Workflow("pair", request=Wish, plan=lambda _: Plan.chain("couple"))
Workflow("regret", request=Wish, plan=lambda _: Plan.chain("guest", "regretful"), on_failure="undo")
