"""Small workflows in each pattern: read with the tests beside it. Specialists say who they are and what they got."""

import asyncio
import os
from pathlib import Path
from typing import Any

from pydantic import BaseModel

from orchestrator import Budget, Plan, Step, Workflow
from orchestrator.patterns import (
    Draft,
    Label,
    Next,
    PlanExecuteSolve,
    PlannedStep,
    Router,
    Routing,
    Situation,
    Supervisor,
    by_embedding,
    by_model,
    by_rules,
    wordllama,
)
from workers import StepContext, specialist


class Wish(BaseModel):
    """What is asked: of a text, or of fields that say what a decider shall do."""

    text: str = ""
    sure: dict[str, float] = {}
    rounds: int = 2
    same: bool = False
    broken: list[str] = []


def decided(by: str) -> None:
    """Note that a decider was asked."""
    with Path(os.environ["TEST_LEDGER"]).with_name("decisions").open("a") as notes:
        notes.write(f"{by}\n")


def _looker(name: str, needs: tuple[str, ...] = ()) -> None:
    @specialist(name, needs=needs)
    async def look(step: StepContext, request: Wish) -> dict[str, Any]:
        """Look at something."""
        return {"who": step.name, "got": sorted(step.inputs), "with": dict(step.arguments)}


for each in ("air", "sky", "bed"):
    _looker(each)
_looker("pick", needs=("air", "bed"))


for each in ("dear", "dear-too"):
    least = Budget(tool_calls=3, tools={"desk.book": 2}, usd=0.25, input_tokens=100, output_tokens=50, seconds=9.5)

    @specialist(each, least=least)
    async def dear(step: StepContext, request: Wish) -> dict[str, Any]:
        """Look at something, which costs."""
        return {"left": await step.budget()}


@specialist("tell", needs=("pick",))
async def tell(step: StepContext, request: Wish) -> list[str]:
    """Tell what there is."""
    return sorted(step.inputs)


@specialist("sum")
async def summing(step: StepContext, request: Wish) -> list[str]:
    """Tell what there is."""
    return sorted(step.inputs)


@specialist("same")
async def same(step: StepContext, request: Wish) -> dict[str, Any]:
    """Find the same again and again."""
    return {"found": "nothing new"}


@specialist("desk")
async def desk(step: StepContext, request: Wish) -> dict[str, Any]:
    """Hand off to who knows."""
    return {"handoff": {"to": "bed", "arguments": {"nights": 3}, "why": "it is about a bed"}}


@specialist("gate")
async def gate(step: StepContext, request: Wish) -> dict[str, Any]:
    """Wait until the test opens the gate."""
    while not Path(os.environ["TEST_LEDGER"]).with_name("gate").exists():  # noqa: ASYNC110 - a file, for every worker
        await asyncio.sleep(0.02)
    return {"through": step.name}


@specialist("halt")
async def halt(step: StepContext, request: Wish) -> dict[str, Any]:
    """Wait until the test lets this place pass."""
    place = Path(os.environ["TEST_LEDGER"]).with_name(f"pass-{step.arguments['place']}")
    while not place.exists():  # noqa: ASYNC110 - a file, for every worker
        await asyncio.sleep(0.02)
    return {"passed": step.name}


@specialist("sick", optional=True)
async def sick(step: StepContext, request: Wish) -> dict[str, Any]:
    """Fail."""
    raise RuntimeError("ill")


# Router -------------------------------------------------------------------------------------------------------------


def by_words(situation: Situation) -> Routing:
    decided("router")
    return by_rules(
        {"air": lambda wish: "fly" in wish.text, "sky": lambda wish: "rain" in wish.text},
    )(situation)


async def as_told(situation: Situation) -> Routing:
    sure = situation.request.sure
    return Routing(labels=[Label(route=route, confidence=value) for route, value in sure.items()], why="told so")


FULL = Plan([Step("air"), Step("bed"), Step("pick", after=["air", "bed"])])
ROUTES = {"air": "air", "sky": "sky", "full": FULL}
Workflow("routed", request=Wish, plan=Router(ROUTES, decide=by_words, fallback="full"))
Workflow(
    "routed-unsure",
    request=Wish,
    plan=Router(ROUTES, decide=as_told, fallback="full", threshold=0.7, most=2, join="sum"),
)
EXAMPLES = {
    "air": ["a flight there and back", "when does the plane leave?"],
    "sky": ["will it rain?", "how warm is it there?"],
    "bed": ["a hotel room", "where do we sleep for two nights?"],
}
Workflow(
    "routed-by-embedding",
    request=Wish,
    plan=Router(
        [*EXAMPLES, "sum"],
        decide=by_embedding(wordllama(), EXAMPLES, text=lambda wish: wish.text),
        fallback="sum",
        threshold=0.4,
    ),
)


# Plan, execute, solve -----------------------------------------------------------------------------------------------


def planned(situation: Situation) -> Draft:
    """A plan as the request wants it broken, whole when it is asked again, unless it says "stubborn"."""
    decided("planner")
    broken = situation.request.broken
    if situation.problems and "stubborn" not in broken:
        broken = []
    steps = [PlannedStep(specialist="air"), PlannedStep(specialist="bed")]
    steps += [] if "no pick" in broken else [PlannedStep(specialist="pick", after=["air", "bed"])]
    if "unknown" in broken:
        steps.append(PlannedStep(specialist="magic"))
    if "cycle" in broken:
        steps += [
            PlannedStep(specialist="sky", after=["two"]),
            PlannedStep(specialist="sky", name="two", after=["sky"]),
        ]
    if "no input" in broken:
        steps.append(PlannedStep(specialist="pick", name="other", after=["air"]))
    if "long" in broken:
        steps += [PlannedStep(specialist="sky", name=f"sky-{n}") for n in range(20)]
    return Draft(steps=steps, why="as asked")


PARTS = ("air", "sky", "bed", "pick")
Workflow("planned", request=Wish, plan=PlanExecuteSolve(PARTS, planner=planned, solve="tell", most_steps=10))


def dear_ones(situation: Situation) -> Draft:
    many = 3 if "long" in situation.request.broken and not situation.problems else 2
    return Draft(
        steps=[PlannedStep(specialist="dear", name=f"dear-{n}" if n > 1 else "dear") for n in range(1, many + 1)]
    )


Workflow("planned-dear", request=Wish, plan=PlanExecuteSolve(["dear"], planner=dear_ones, solve="sum"))

# Supervisor ---------------------------------------------------------------------------------------------------------


def in_order(situation: Situation) -> Next:
    """First air and bed, then pick, then over."""
    decided(f"supervisor {situation.round}")
    if "air" not in situation.done:
        return Next.to("air", "bed", why="nothing is known yet")
    if "pick" not in situation.done:
        return Next.to("pick")
    return Next.finish(why="all is picked")


def gated_rounds(situation: Situation) -> Next:
    """One gated step a round."""
    decided(f"gated {situation.round}")
    if situation.round > situation.request.rounds:
        return Next.finish(len(situation.done))
    return Next.to("gate" if situation.round == 2 else "air", number=situation.round)


def never_enough(situation: Situation) -> Next:
    """Goes on for ever: the very same, or with other arguments."""
    return Next.to("same", number=0 if situation.request.same else situation.round)


def with_desk(situation: Situation) -> Next:
    decided("desk")
    return Next.to("desk") if not situation.calls else Next.finish(sorted(situation.called))


def nested(situation: Situation) -> Next:
    if situation.round == 1:
        return Next.to("route", "look")
    return Next.to("plan") if situation.round == 2 else Next.finish()


TEAM = ("air", "bed", "pick")
Workflow("supervised", request=Wish, plan=Supervisor(TEAM, decide=in_order, join="tell"))
Workflow("supervised-alone", request=Wish, plan=Supervisor(TEAM, decide=in_order))
Workflow("supervised-gated", request=Wish, plan=Supervisor(["air", "gate"], decide=gated_rounds))
for guard in ("fail", "partial"):
    Workflow(
        f"endless-{guard}",
        request=Wish,
        plan=Supervisor(["same"], decide=never_enough, rounds=5, idle_rounds=2, on_guard=guard),
    )
Workflow("wandering", request=Wish, plan=Supervisor(["air"], decide=lambda s: Next.to("air", number=s.round), rounds=3))
Workflow("handed", request=Wish, plan=Supervisor(["desk", "bed"], decide=with_desk, handoffs=["desk"]))
Workflow("unheard", request=Wish, plan=Supervisor(["desk", "bed"], decide=with_desk, handoffs=["bed"]))
Workflow(
    "wandering-joined", request=Wish, plan=Supervisor(["air"], decide=lambda s: Next.to("air", n=s.round), join="sum")
)
Workflow(
    "wandering-deep",
    request=Wish,
    plan=Supervisor(
        {"deep": Router(["air"], decide=lambda _: Routing.to("air"), fallback="air")},
        decide=lambda s: Next.to("deep", n=s.round),
        join="sum",
    ),
)
Workflow("lonely", request=Wish, plan=Supervisor(["sick"], decide=lambda s: Next.to("sick", n=s.round), rounds=9))
Workflow(
    "nested",
    request=Wish,
    plan=Supervisor(
        {
            "route": Router(ROUTES, decide=by_words, fallback="full"),
            "look": Plan.chain("sky", "bed"),
            "plan": PlanExecuteSolve(PARTS, planner=planned, solve="tell"),
        },
        decide=nested,
        join="sum",
    ),
)
Workflow("beside-itself", request=Wish, plan=Router(["air"], decide=lambda _: Routing.to("nowhere"), fallback="air"))
Workflow("wordless", request=Wish, plan=Router(["air"], decide=lambda _: "air", fallback="air"))  # type: ignore[arg-type]

# The same work in all four: one step after the other, each of which waits to be let pass -----------------------------

PLACES = {"halt": 1, "halt-2": 2, "halt-3": 3, "halt-4": 4}
BEFORE = {"halt-2": ["halt"], "halt-3": ["halt-2"], "halt-4": ["halt-3"]}
WAY = Plan(Step("halt", name, BEFORE.get(name, ()), {"place": place}) for name, place in PLACES.items())
Workflow("halting-plain", request=Wish, plan=lambda _: Plan([*WAY.steps, Step("sum", after=["halt-4"])]))
Workflow(
    "halting-router", request=Wish, plan=Router({"way": WAY}, decide=by_model(Routing), fallback="way", join="sum")
)
Workflow("halting-planner", request=Wish, plan=PlanExecuteSolve(["halt"], planner=by_model(Draft), solve="sum"))
Workflow("halting-supervisor", request=Wish, plan=Supervisor(["halt"], decide=by_model(Next), join="sum"))

# A model decides --------------------------------------------------------------------------------------------------

Workflow("routed-by-model", request=Wish, plan=Router(ROUTES, decide=by_model(Routing), fallback="full"))
Workflow("planned-by-model", request=Wish, plan=PlanExecuteSolve(PARTS, planner=by_model(Draft), solve="tell"))
Workflow("supervised-by-model", request=Wish, plan=Supervisor(TEAM, decide=by_model(Next, "Be quick.")))
