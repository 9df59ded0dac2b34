"""Jobs whose calls take a minute, and what becomes of these calls: for the tests, and measured by a benchmark."""

import json
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

from pydantic import BaseModel

from orchestrator import Job, Orchestrator, Plan, Step, Workflow
from orchestrator.patterns import Next, Router, Routing, Situation, Supervisor
from tests.support.stage import Stage, stage
from tests.support.waiting import wait_until
from tests.tools_client.stage import Desk
from workers import StepContext, specialist

FLOWS = "tests.undo.stopping"


class Patience(BaseModel):
    """Which job it is, for the tool server's log."""

    name: str


@specialist("lingering", tools=["desk.slow"])
async def lingering(step: StepContext, request: Patience) -> None:
    await step.call("desk.slow", seconds=60, name=f"{request.name}-{step.name}")


@specialist("beginning")
async def beginning(step: StepContext, request: Patience) -> str:
    return request.name


@specialist("branching")
async def branching(step: StepContext, request: Patience) -> None:
    step.grow(*(Step("lingering", f"grown-{n}") for n in range(2)), before="last")


LAST = Step("lingering", "last", ["lingering"])


def _chord(_: Patience) -> Plan:
    beside = [Step("lingering", f"side-{n}") for n in range(3)]
    return Plan([*beside, Step("lingering", "last", [step.name for step in beside])])


def _deeper(situation: Situation) -> Next:
    return Next.to("routed") if situation.round == 1 else Next.finish()


SIDE_BY_SIDE = Plan([Step("lingering", f"deep-{n}") for n in range(2)])
ROUTED = Router({"both": SIDE_BY_SIDE}, decide=lambda _: Routing.to("both"), fallback="both", join="lingering")

Workflow("lingering-chain", request=Patience, plan=lambda _: Plan([*Plan.chain("beginning", "lingering").steps, LAST]))
Workflow("lingering-chord", request=Patience, plan=_chord)
Workflow("lingering-nested", request=Patience, plan=Supervisor({"routed": ROUTED}, decide=_deeper))
Workflow(
    "lingering-grown",
    request=Patience,
    plan=lambda _: Plan([Step("branching"), Step("lingering", "last", ["branching"])]),
)


class Stopping:
    """A stage, and a tool server in a process of its own."""

    def __init__(self, played: Stage, app: Orchestrator, desk: Desk) -> None:
        self.played, self.app, self.desk = played, app, desk

    def running(self, workflow: str, name: str, calls: int, **budget: float) -> Job:
        """A job with so many calls under way."""
        job = self.app.submit({"name": name}, workflow=workflow, budget=budget)
        wait_until(lambda: self.count("started", name) == calls, f"{calls} calls are under way")
        return job

    def count(self, what: str, name: str) -> int:
        """How many calls of a job were started or cancelled."""
        return len(self.moments(what, name))

    def moments(self, what: str, name: str) -> list[float]:
        """When, by the tool server's clock, seconds since 1970."""
        return [at for line, at in self.desk.notes() if line.startswith(f"{what} {name}-")]


@contextmanager
def stopping(folder: Path) -> Generator[Stopping]:
    """Set it up with one worker, and clear it."""
    desk = Desk(folder / "log").start()
    try:
        config = folder / "slow.json"
        config.write_text(json.dumps({"mcpServers": {"desk": desk.entry(effects={"slow": "read"}, timeout_s=120)}}))
        with stage(folder, workflows=FLOWS, mcp_config=config, lease_s=10) as played:
            played.worker("--concurrency", "50")
            app = Orchestrator(redis_url=played.server.url, workflows=(FLOWS,), trace=False)
            yield Stopping(played, app, desk)
            app.close()
    finally:
        desk.kill()
