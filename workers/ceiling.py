"""What an attempt comes to at a ceiling of the budget: the job's `at_ceiling` says."""

from orchestrator.budget import DAY, MICRO, TOOLS, Over, named
from orchestrator.state.records import Claim, Question
from workers.verdict import Failed, Parked


def stopped(claim: Claim, step: str, over: Over) -> Failed | Parked:
    """Fail the job, ask a person to raise the ceiling, or leave the step out, unless it is one of the plan's last."""
    if claim.at_ceiling == "ask" and not over.kind.startswith(DAY):  # a day's ceiling is the tenant's, not the job's
        return Parked([question(step, over)])
    reason = "finish" if claim.at_ceiling == "finish" and not claim.last else "budget"
    return Failed("budget", str(over), reason=reason)


def question(step: str, over: Over) -> Question:
    """How high the ceiling may be instead. Money is asked and answered in US dollars."""
    field = over.kind.removeprefix(TOOLS)
    scale = MICRO if over.kind == "usd" else 1
    top = int(over.ceiling) / scale
    return Question(
        id=f"{step}/budget-{field}-{over.ceiling}",
        field=field,
        kind="budget",
        step=step,
        prompt=f"{over} are used, and more is needed: how many {named(over.kind)} may it be in all?",
        schema={"type": "integer" if scale == 1 else "number", "exclusiveMinimum": top},
        example=int(2 * top) or 1,
        details={"kind": over.kind, "used": over.used, "ceiling": over.ceiling},
    )
