"""A workflow that is not travel, on a foreign MCP server (mcp-server-time over stdio)."""

from pydantic import BaseModel

from orchestrator import Plan, Workflow
from workers import StepContext, specialist


class Question(BaseModel):
    timezone: str


@specialist("clock", tools=["time.get_current_time"])
async def clock(step: StepContext, request: Question) -> dict[str, str]:
    return {"now": str(await step.call("time.get_current_time", timezone=request.timezone))}


Workflow("clock", request=Question, plan=lambda _: Plan.chain("clock"))
