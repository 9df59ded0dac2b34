"""How people see jobs: tables, an event a line, colours by status."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from pydantic_core import to_jsonable_python
from rich.table import Table
from rich.text import Text

from orchestrator import forms
from orchestrator.blocking import Job
from orchestrator.budget import MICRO, UNDO, UNDO_USD, Amount, Spend, named
from orchestrator.cli.advice import diagnoses, example
from orchestrator.cli.terminal import console
from orchestrator.state.records import Event, JobRecord, Question
from orchestrator.state.standstill import Standstill
from orchestrator.status import JobStatus
from orchestrator.telemetry.plain import one_line
from orchestrator.telemetry.redaction import as_text, redact, redact_text

COLOURS = {
    "queued": "dim", "running": "cyan", "waiting": "yellow", "succeeded": "green", "failed": "red",
    "cancelled": "magenta",
    "retrying": "yellow", "skipped": "dim", "pending": "dim", "ready": "dim", "started": "cyan", "question": "yellow",
    "undoing": "magenta", "undone": "magenta", "undo_ended": "magenta",
}  # fmt: skip


RARE, UNUSED = ("input_tokens", "output_tokens"), Amount(0, 0, None)
"""Lines of the ledger that are only shown where they say something."""


def leftovers(removed: Iterable[Path]) -> None:
    """What a killed fleet had left behind."""
    names = ", ".join(path.name for path in removed)
    if names:
        console.print(f"removed what a killed Surefoot left: {names}", style="dim")


def coloured(word: str) -> Text:
    """A status or an event's type in its colour."""
    return Text(word, COLOURS.get(word, ""))


def event_line(event: Event) -> Text:
    """One event on one line."""
    at = datetime.fromtimestamp(event.at, UTC)
    line = Text.assemble((f"{at:%H:%M:%S}.{at.microsecond // 1000:03} ", "dim"), coloured(f"{event.type:10}"), " ")
    line.append(f"{event.step:14} " if event.step else "")
    line.append(one_line(redact_text(_told(event))))
    return line


def _told(event: Event) -> str:
    data = event.data
    if event.type == "started":
        return "" if data == "1" else f"attempt {data}"
    if isinstance(data, dict) and event.type in TOLD:
        return TOLD[event.type](data)
    if event.type == "unpriced":
        return f"{data}: nobody said what it costs, so it counts as nothing (SUREFOOT_PRICES)"
    return _told_of_undoing(data) if event.type in {"undoing", "undone"} else str(data)


TOLD: Mapping[str, Callable[[dict[str, Any]], str]] = {
    "call": lambda data: f"{data['tool']} (call {data['number']}) {data['outcome']}",
    "question": lambda data: f"{data['field']}: {data['prompt']}",
    "budget": lambda data: f"80 % of the budget: {named(data['kind'])} {data['used']} of {data['ceiling']}",
    "changed": lambda data: f"{data['tool']}: another tool now (digest {data['first']}, now {data['now']})",
    "retrying": lambda data: f"{data['message']}; again in {data.get('delay_s', 0)} s",
}
"""Event -> what it says of itself, where that is more than its data."""


def _told_of_undoing(data: Any) -> str:
    """What will be undone, or what became of one step."""
    if isinstance(data, list):
        return f"newest first: {', '.join(data)}"
    return "; ".join([f"{len(data['done'])} undone", *(f"NOT {one['tool']}: {one['why']}" for one in data["left"])])


def question_text(question: Question) -> Text:
    """A question and how to answer it."""
    if question.kind == "in_doubt":
        return _doubt_text(question)
    shown = f" (e.g. {shown})" if (shown := example(question)) else ""
    told = one_line(f": {question.prompt}{shown}  [{question.id}]")
    if question.kind == "approval":
        told += f"\n  {one_line(as_text(question.details))}\n  answer with surefoot approve or decline"
    if question.kind == "form":
        told += (
            f"\n  {one_line(as_text(question.details))}" + "".join(_form_lines(question)) + "\n  or surefoot decline"
        )
    return Text.assemble(("asks ", "yellow"), (one_line(question.field), "bold"), told + _until(question))


def _form_lines(question: Question) -> Iterator[str]:
    """What a form asks for, a line each."""
    required = question.schema.get("required", ())
    for name, schema in forms.fields(question).items():
        choice = f" one of {', '.join(map(str, schema['enum']))}" if "enum" in schema else ""
        about = f"  {schema['description']}" if "description" in schema else ""
        told = f"{name}: {schema['type']}{choice}{'' if name in required else ', optional'}{about}"
        yield f"\n  {one_line(told)}"


def _until(question: Question) -> str:
    """How long there is for an answer, and what happens then."""
    if question.deadline is None:
        return ""
    then = f"then {question.otherwise} counts" if question.otherwise else "then the job is cancelled"
    return f"\n  until {datetime.fromtimestamp(question.deadline, UTC):%F %T} UTC, {then}"


def answered_text(question: Question) -> Text:
    """A question that was answered: what, when and by whom."""
    at = datetime.fromtimestamp(question.answered_at or 0, UTC)
    answer, by = as_text(redact(question.answer, question.field)), question.by or "nobody named"
    told = one_line(f": {answer}  by {by}, {at:%F %T} UTC  [{question.id}]")
    return Text.assemble(("answered ", "green"), (one_line(question.field), "bold"), told)


def _doubt_text(question: Question) -> Text:
    """A call in doubt: what was sent, when and with which key, and the two ways to answer."""
    call = question.details
    lines = [
        one_line(f": {question.prompt}  [{question.id}]"),
        f"  arguments {as_text(call['arguments'])}",
        f"  key {one_line(call['key'])}",
    ]
    lines.append("  answer with --happened RESULT (JSON) or --did-not-happen")
    return Text.assemble(("in doubt ", "yellow"), (one_line(question.field), "bold"), "\n".join(lines))


def amount(line: Amount, scale: float = 1) -> str:
    """Spent of its ceiling."""
    shown = f"{line.spent / scale:g}"
    return shown if line.ceiling is None else f"{shown} of {line.ceiling / scale:g}"


def spend_table(spend: Spend) -> Table:
    """Spend against budget."""
    table = Table("budget", "spent", "reserved", "free", box=None, header_style="bold")
    undoing = {UNDO: spend.undo, UNDO_USD: spend.undo_usd} if spend.undo.spent else {}
    for kind, line in {**spend.lines, **undoing}.items():
        if kind in RARE and line == UNUSED:
            continue
        scale = MICRO if kind.endswith("usd") else 1
        free = "no ceiling" if line.free is None else f"{line.free / scale:g}"
        table.add_row(named(kind), amount(line, scale), f"{line.reserved / scale:g}", free)
    return table


def as_json(record: JobRecord) -> dict[str, Any]:
    """A job for programs, without secrets, long texts cut; the whole result is `job.result()`'s."""
    fields = record.fields
    told = {
        "id": record.id,
        "status": record.status,
        "workflow": fields["workflow"],
        "tenant": fields["tenant"],
        "reason": fields.get("reason"),
        "error": fields.get("error"),
        "failed_step": fields.get("failing") or None,
        "steps": to_jsonable_python(record.steps()),
        "questions": to_jsonable_python(record.questions),
        "answered": to_jsonable_python(record.answered),
        "spend": to_jsonable_python(record.spend),
        "undo": to_jsonable_python(record.undo),
        "forked_from": fields.get("forked_from"),
        "forks": [name for name in fields.get("forks", "").split(",") if name],
        "created_ms": int(fields["created"]),
        "since_ms": int(fields["since"]),
        "wrong": to_jsonable_python(diagnoses(record)),
    }
    return {name: redact(value) for name, value in told.items()}


def stuck_as_json(one: Standstill) -> dict[str, Any]:
    """A job that stands still, for programs."""
    found = {"step": one.step, "cause": one.cause, "next": one.remedy, "for_s": round(one.for_s, 1)}
    return {**found, "job": as_json(one.record)}


def follow(job: Job, after: str = "0") -> str:
    """Print a job's events behind `after` until it ends or waits for a person; returns the last one's id."""
    for event in job.events(after):
        console.print(event_line(event), soft_wrap=True)
        after = event.id
        if event.type == "waiting" and job.status is JobStatus.WAITING:
            break
    return after
