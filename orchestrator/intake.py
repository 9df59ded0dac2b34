"""What comes in: a request checked against its model. What is missing becomes questions, what is wrong an error."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from pydantic import BaseModel, ValidationError
from pydantic_core import to_json

from orchestrator.errors import InvalidRequest
from orchestrator.plan import Plan
from orchestrator.state.records import Question, decode, encode
from orchestrator.workflow import Workflow, catalogue

LONGEST_NAME, LONGEST_NUMBER, REQUEST = 200, 4_299, "the request"


def check_name(what: str, name: Any, *, or_none: bool = False) -> None:
    """Refuse a name (of a tenant, a job, a key, who answers) that is no text, or none that can be kept.

    Raises:
        InvalidRequest: says what it must be.
    """
    try:
        fits = isinstance(name, str) and 0 < len(name) <= LONGEST_NAME and bool(name.encode())
    except UnicodeEncodeError:  # half a character
        fits = False
    if not fits and not (or_none and name is None):
        raise InvalidRequest(f"{what} must be a text of 1 to {LONGEST_NAME} characters, not {name!r:.40}")


def readable(text: str) -> str:
    """What `encode` wrote; ValueError where it has a whole number of over 4,299 digits, which Python does not read."""
    if len(text) > LONGEST_NUMBER:
        decode(text)
    return text


def json_text(what: str, value: Any, most_bytes: int) -> str:
    """A value from outside as it is stored.

    Raises:
        InvalidRequest: it is no JSON, or too large.
    """
    try:
        said = to_json(value, inf_nan_mode="constants")
        text = readable(said.decode())
        finite = text == encode(value) if b"NaN" in said or b"Infinity" in said else True  # a text may say so, too
    except ValueError as error:
        raise InvalidRequest(f"{what} is not JSON: {error}") from None
    if not finite:
        raise InvalidRequest(f"{what} is not JSON: a number in it is not finite (NaN or infinite)")
    if len(said) > most_bytes:
        told = f"at most {most_bytes:,} are taken (SUREFOOT_REQUEST_BYTES)"
        raise InvalidRequest(f"{what} has {len(said):,} bytes; {told}")
    return text


@dataclass(frozen=True)
class Intake:
    """A request as far as it is known; `model` is set once it is complete, until then `questions` are."""

    fields: dict[str, Any]
    model: BaseModel | None
    questions: tuple[Question, ...] = ()


def take(workflow: Workflow, request: Any, most_bytes: int) -> Intake:
    """A request as callers give it: text, a mapping, or an instance of the workflow's model.

    Raises:
        InvalidRequest: it is none of these, too large, has unknown fields or wrong types.
    """
    if isinstance(request, BaseModel):
        request = request.model_dump(mode="json", exclude_unset=True)
    if isinstance(request, str):
        json_text(REQUEST, request, most_bytes)
        if workflow.understand is None:
            raise InvalidRequest(f"workflow {workflow.name!r} takes no free text: pass a dict or {_name(workflow)}")
        request = dict(workflow.understand(request))
    if not isinstance(request, Mapping):
        raise InvalidRequest(f"a request is text, a dict or {_name(workflow)}, not {type(request).__name__}")
    return check(workflow, {str(name): value for name, value in request.items()}, most_bytes)


def check(workflow: Workflow, fields: dict[str, Any], most_bytes: int) -> Intake:
    """Validate the fields of a request. Missing fields and broken rules are asked, all at once.

    A rule, of one field or across fields, names the field to ask by raising
    `PydanticCustomError(..., {"field": name})`.
    Rules across fields are looked at when each field for itself is known and good.

    Raises:
        InvalidRequest: a field is unknown, of a wrong type, or the whole is too large.
    """
    json_text(REQUEST, fields, most_bytes)
    try:
        model = workflow.request.model_validate(fields)
    except ValidationError as error:
        return Intake(fields, None, _questions(workflow, error))
    known = model.model_dump(mode="json")
    json_text(REQUEST, known, most_bytes)
    return Intake(known, model)


def plan(workflow: Workflow, model: BaseModel) -> Plan:
    """The plan of a complete request, every specialist of it known.

    Raises:
        InvalidRequest: the workflow makes no valid plan of it.
    """
    made = workflow.plan(model)
    if not isinstance(made, Plan):  # pyright: ignore[reportUnnecessaryIsInstance] - users' code
        raise InvalidRequest(f"workflow {workflow.name!r}: plan must return a Plan, not {type(made).__name__}")
    for step in made.steps:
        catalogue.profile(step.specialist)
    return made


def _questions(workflow: Workflow, error: ValidationError) -> tuple[Question, ...]:
    questions: dict[str, Question] = {}
    wrong: list[dict[str, str]] = []
    for each in error.errors():
        place, context = each["loc"], each.get("ctx", {})
        if each["type"] == "missing":
            question = _question(workflow, str(place[0]))
        elif len(place) <= 1 and context.get("field") in workflow.request.model_fields:
            question = _question(workflow, str(context["field"]), each["msg"])
        else:
            wrong.append({"field": ".".join(map(str, place)) or "request", "message": each["msg"]})
            continue
        questions[question.field] = question
    if wrong:
        listed = "; ".join(f"{one['field']}: {one['message']}" for one in wrong)
        raise InvalidRequest(f"the request does not fit workflow {workflow.name!r}: {listed}", wrong)
    return tuple(questions.values())


def _question(workflow: Workflow, field: str, problem: str = "") -> Question:
    info = workflow.request.model_fields[field]
    schema = workflow.request.model_json_schema()
    prompt = info.description or info.title or field.replace("_", " ")
    return Question(
        id=f"request/{field}",
        field=field,
        prompt=f"{problem}: {prompt}" if problem else prompt,
        schema={**schema["properties"].get(field, {}), "$defs": schema.get("$defs", {})},
        example=info.examples[0] if info.examples else None,
    )


def _name(workflow: Workflow) -> str:
    return workflow.request.__name__
