"""A fork: the plan of a job again, with some of its steps finished."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from orchestrator.errors import InvalidRequest
from orchestrator.plan import Plan, Step
from orchestrator.state.records import JobRecord
from orchestrator.status import StepState


@dataclass(frozen=True)
class Fork:
    """What is reused of a job, what is to do, and the whole plan."""

    kept: Plan
    rest: Plan
    whole: Plan


def fork(source: JobRecord, plan: Plan, after: str | Sequence[str]) -> Fork:
    """Divide a new plan: the steps `after` and all they come after are finished, as they are in `source`.

    Steps that a finished step had added to the plan are added again.

    Raises:
        InvalidRequest: there is no such step, it has not succeeded, or nothing or something else would be left to do.
    """
    if not isinstance(after, Iterable):  # pyright: ignore[reportUnnecessaryIsInstance]
        raise InvalidRequest(f"after must be the name of a step, or several, not {after!r:.40}")
    kept = _with_all_before(source, [after] if isinstance(after, str) else list(after))
    grown = [source.step(name) for name in source.step_names() if source.fields.get(f"{name}.by") in kept]
    added = {step.name for step in grown}
    steps = [_after_them_too(step, source, added) for step in plan.steps]
    whole = Plan([*steps, *(Step(s.specialist, s.name, s.after, s.arguments, s.optional) for s in grown)])
    for name in kept:
        if name not in whole.by_name or whole.by_name[name].specialist != source.step(name).specialist:
            raise InvalidRequest(f"with this request the plan has no such step {name!r}: fork after an earlier one")
    rest = [step for step in whole.steps if step.name not in kept]
    if not rest:
        raise InvalidRequest(f"nothing is left to do after {', '.join(sorted(kept))}: fork after an earlier step")
    return Fork(Plan(whole.by_name[name] for name in whole.numbers if name in kept), Plan(rest, known=kept), whole)


def _with_all_before(source: JobRecord, names: list[str]) -> set[str]:
    known, kept = source.step_names(), set[str]()
    if not names:
        raise InvalidRequest("fork after which step? name one or more")
    while names:
        name = names.pop()
        if name not in known:
            raise InvalidRequest(f"job {source.id} has no step {name!r}; it has {', '.join(known) or 'none yet'}")
        step = source.step(name)
        if step.state is not StepState.SUCCEEDED:
            finished = [each.name for each in source.steps() if each.state is StepState.SUCCEEDED]
            told = f"it is {step.state}; finished are {', '.join(finished) or 'none'}"
            raise InvalidRequest(f"job {source.id} cannot be forked after {name!r}: {told}")
        if name not in kept:
            kept.add(name)
            names += step.after
    return kept


def _after_them_too(step: Step, source: JobRecord, added: set[str]) -> Step:
    """A step that waited for steps which were added waits for them again."""
    waited = source.step(step.name).after if step.name in source.step_names() else ()
    more = [name for name in waited if name in added]
    return Step(step.specialist, step.name, (*step.after, *more), step.arguments, step.optional)
