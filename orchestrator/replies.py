"""What a person says to a job: matched with its questions, checked, stored, and what goes on is enqueued."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from orchestrator import intake
from orchestrator.answers import Reply, match
from orchestrator.errors import InvalidRequest
from orchestrator.state.records import Kind, decode
from orchestrator.telemetry import Span
from orchestrator.telemetry.names import Happening, Stage
from orchestrator.workflow import catalogue

if TYPE_CHECKING:
    from orchestrator.app import Desk


async def reply(
    desk: "Desk",
    job_id: str,
    given: Mapping[str, Any],
    by: str | None,
    kind: Kind = "input",
    more: Mapping[str, int] | None = None,
) -> None:
    """Store answers, by question id or field. Where others told more of the request meanwhile, it is looked at again.

    `more`: ceilings that are raised besides those that the answers raise, also where others gave these before.

    Raises:
        InvalidRequest: an answer does not fit, is to no question of this job, or differs from an earlier one.
    """
    intake.check_name("by", by, or_none=True)
    answers = {name: _taken(name, value, desk.settings.request_bytes) for name, value in given.items()}
    with desk.telemetry.spans.stage(Stage.ANSWER, job_id) as span:
        stored = False
        while not stored:
            matched = match(await desk.jobs.read(job_id), answers, kind)
            for raised in matched.ceilings.values():
                desk.tenants.of(matched.record.fields["tenant"]).check_ceilings(raised)
            if matched.request:
                stored = await _completed(desk, matched, by or "", span)
            else:
                stored = await _stored(desk, matched, by or "", span, more or {})


def _taken(name: str, value: Any, most_bytes: int) -> Any:
    """An answer as it will be read again: a date is a text, a set a list."""
    if not isinstance(name, str):  # pyright: ignore[reportUnnecessaryIsInstance]
        raise InvalidRequest(f"an answer names its question by id or field, a text, not {name!r:.40}")
    return decode(intake.json_text(f"the answer to {name!r:.200}", value, most_bytes))


async def _stored(desk: "Desk", matched: Reply, by: str, span: Span, more: Mapping[str, int]) -> bool:
    """Answers to steps, which wait in the record."""
    record = matched.record
    for step in sorted({asked.step for asked in record.questions if asked.id in matched.answers}):
        span.follow(record.id, step, record.fields.get(f"{step}.fence", ""))
    ready = await desk.jobs.answer(record.id, matched.answers, ceilings=matched.ceilings, more=more, by=by)
    await desk.send_offered(record.id, ready or ())
    return True


async def _completed(desk: "Desk", matched: Reply, by: str, span: Span) -> bool:
    """Answers to the request itself: when nothing is missing any more, they make the plan."""
    flow, job_id = catalogue.workflow(matched.record.fields["workflow"]), matched.record.id
    taken = intake.check(flow, matched.request, desk.settings.request_bytes)
    plan = intake.plan(flow, taken.model) if taken.model else None
    span.event(Happening.VALIDATED, questions=len(taken.questions), steps=len(plan.steps) if plan else 0)
    ready = await desk.jobs.answer(
        job_id,
        matched.answers,
        questions=matched.still_open(taken.questions),
        request=taken.fields,
        plan=plan,
        templates=desk.templates(plan),
        by=by,
        told=matched.told,
    )
    if ready:
        await desk.send(job_id, plan)
    return ready is not None
