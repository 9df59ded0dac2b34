"""The specialists of the patterns' deciding steps: router, planner and supervisor. What they decide about is data."""

from typing import Any

from orchestrator.errors import InvalidRequest
from orchestrator.patterns import KINDS, Situation
from orchestrator.patterns.pattern import QUEUE, Here, Pattern
from orchestrator.telemetry import current
from orchestrator.telemetry.names import Happening
from orchestrator.telemetry.redaction import as_text
from orchestrator.workflow import ACCEPTED, Profile, catalogue
from tools.outcome import Rejected
from workers.context import StepContext
from workers.specialist import Specialist, specialists


async def decide(step: StepContext, request: Any) -> Any:
    """Decide, and let the plan grow by what was decided; a decision that cannot be fails the step."""
    told = step.arguments
    try:
        bound = catalogue.pattern(told["pattern"])
        pattern = bound.pattern
        assert isinstance(pattern, Pattern)
        here = Here(step.name, told["pattern"], tuple(told["then"]), frozenset(await step.steps()), told["state"])
        situation = Situation(
            request=bound.request.model_validate(request, context=ACCEPTED),
            choices=pattern.choices(),
            done=step.inputs,
            missing=step.missing,
            finishing=step.finishing,
            finishes=step.at_ceiling == "finish",
            left=await step.budget() if pattern.counts else {},
            arguments=told["arguments"],
            step=step,
        )
        decided = await pattern.decide(here, situation)
    except InvalidRequest as error:
        raise Rejected(step.name, str(error)) from error
    for grown in decided.grown:
        step.grow(grown.step, before=grown.before)
    output = decided.output.model_dump(mode="json")
    current().event(Happening.DECIDED, decision=as_text(output))
    return output


for kind in KINDS:  # known to this process's step pipeline; the catalogue lists them once a pattern needs them
    specialists[kind] = Specialist(Profile(kind, queue=QUEUE), decide)
