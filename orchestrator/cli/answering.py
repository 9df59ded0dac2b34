"""Commands that answer what a job asks: answer, approve, decline."""

import getpass
import json
from collections.abc import Mapping, Sequence
from typing import Annotated, Any

import typer

from orchestrator import forms
from orchestrator.answers import misfits, one_in_doubt
from orchestrator.app import Orchestrator
from orchestrator.blocking import Job
from orchestrator.cli import render
from orchestrator.cli.jobs import JobId
from orchestrator.cli.terminal import console
from orchestrator.errors import InvalidRequest
from orchestrator.state.records import Question
from orchestrator.telemetry.plain import one_line

By = Annotated[str | None, typer.Option(help="who answers (default: your user name)")]
QuestionId = Annotated[str, typer.Argument(help="the question's id", metavar="QUESTION")]


def answer(
    job_id: JobId,
    answers: Annotated[list[str] | None, typer.Argument(help="field=value ...; without any, you are asked")] = None,
    happened: Annotated[
        str | None, typer.Option(help="a call in doubt happened, with this result", metavar="JSON")
    ] = None,
    not_happened: Annotated[bool, typer.Option("--did-not-happen", help="it did not: it is sent once more")] = False,
    question: Annotated[str | None, typer.Option(help="which call in doubt, where several are asked about")] = None,
    by: By = None,
) -> None:
    """Answer what a waiting job asks.

    Example: surefoot answer JOB start_date=2027-03-12; surefoot answer JOB --did-not-happen
    """
    job = Orchestrator().job(job_id)
    if happened is not None or not_happened or question:
        job.answer(_about_doubt(job, answers, happened, not_happened, question), by=by or _user())
    elif answers:
        job.answer(_values(job.questions, answers), by=by or _user())
    else:
        _interview(job, by or _user())
    console.print(render.coloured(job.status))


def _interview(job: Job, by: str | None) -> None:
    """Ask for one answer after the other; a wrong one is asked for again."""
    if not job.questions:
        console.print(f"job {job.id} asks nothing")
    while not job.status.final and (asked := job.questions):
        console.print(render.question_text(asked[0]))
        try:
            job.answer({asked[0].id: _prompted(asked[0])}, by=by)
        except InvalidRequest as error:
            console.print(str(error), style="red")


def _prompted(question: Question) -> Any:
    if question.kind == "approval":
        return typer.confirm("approve")
    if question.kind == "form":
        return _form(question) if typer.confirm("fill it in", default=True) else False
    if question.kind == "in_doubt":
        if not typer.confirm("did it happen"):
            return {"happened": False}
        return {"happened": True, "result": _value(typer.prompt("its result (JSON)"), {})}
    return _value(typer.prompt(one_line(question.field)), question.schema)


def _form(question: Question) -> dict[str, Any]:
    """Field by field; one that is not required may be left empty."""
    content, required = dict[str, Any](), question.schema.get("required", ())
    for name, schema in forms.fields(question).items():
        told = f"{name} ({schema['description']})" if "description" in schema else name
        default = schema.get("default", None if name in required else "")
        shown = default if default is None or isinstance(default, str) else json.dumps(default)
        said = typer.prompt(told if name in required else f"{told}, optional", default=shown)
        if name in required or said:
            content[name] = _value(said, schema)
    return content


def _about_doubt(
    job: Job, answers: list[str] | None, happened: str | None, not_happened: bool, question: str | None
) -> dict[str, Any]:
    """The answer about a call in doubt, by the question's id."""
    if answers or (happened is not None) == not_happened:
        raise InvalidRequest("of a call in doubt say either --happened RESULT or --did-not-happen, and nothing else")
    try:
        said = {"happened": True, "result": json.loads(happened)} if happened is not None else {"happened": False}
    except ValueError as error:
        raise InvalidRequest(f"--happened {happened!r} is no JSON ({error}); a text is written '\"so\"'") from error
    return {question or one_in_doubt(job.questions).id: said}


def _values(asked: Sequence[Question], words: Sequence[str]) -> dict[str, Any]:
    values: dict[str, Any] = {}
    for word in words:
        field, equals, text = word.partition("=")
        if not equals:
            raise InvalidRequest(f"{word!r}: write field=value")
        if field in values:
            raise InvalidRequest(f"{field!r} is answered twice: say which counts")
        schemas = [question.schema for question in asked if field in {question.field, question.id}]
        schemas += [forms.fields(question)[field] for question in asked if field in forms.fields(question)]
        values[field] = _value(text, schemas[0] if schemas else {})
    return values


def _value(text: str, schema: Mapping[str, Any]) -> Any:
    """JSON where it is JSON, else the text itself; the text where a text is asked for, or where only that fits."""
    if schema.get("type") == "string":
        return text
    try:
        value = json.loads(text)
    except ValueError:
        return text
    return text if misfits(schema, value) and not misfits(schema, text) else value


def approve(job_id: JobId, question: QuestionId, by: By = None) -> None:
    """Say yes to a question of kind approval."""
    Orchestrator().job(job_id).approve(question, by=by or _user())


def decline(job_id: JobId, question: QuestionId, by: By = None) -> None:
    """Say no to a question of kind approval, or to a form."""
    Orchestrator().job(job_id).decline(question, by=by or _user())


def _user() -> str | None:
    """The user's name, where the machine knows one."""
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        return None


COMMANDS = (answer, approve, decline)
