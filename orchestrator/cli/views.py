"""What a job looks like to people: what is wrong and what to type on top, then where it stands."""

import time
from collections.abc import Iterable, Iterator, Sequence

from rich.table import Column, Table
from rich.text import Text

from orchestrator.budget import MICRO, Spend
from orchestrator.cli.advice import Diagnosis, diagnoses, place_of
from orchestrator.cli.render import answered_text, coloured, question_text, spend_table
from orchestrator.cli.terminal import console
from orchestrator.outcome import undone
from orchestrator.state.keys import UNDO
from orchestrator.state.records import JobRecord, StepRecord
from orchestrator.state.standstill import Standstill
from orchestrator.status import JobStatus, StepState
from orchestrator.telemetry.plain import one_line, short
from orchestrator.telemetry.redaction import redact_text
from orchestrator.telemetry.timeline import BAR, duration, rows
from orchestrator.telemetry.tree import Trace

UNDER_WAY = (StepState.RUNNING, StepState.RETRYING, StepState.WAITING, StepState.READY)
ID_WIDTH, WIDEST, ROOMY = 32, 60, 110
MOST_STEPS = 24
"""A larger plan is shown live by what is under way or failed."""


def show(record: JobRecord) -> None:
    """One job: what is wrong first, then steps, questions and spend."""
    console.print(headline(record))
    for told in wrong(record):
        console.print(told, soft_wrap=True)
    if record.undo.steps:
        told = one_line("; ".join(undone(record.undo)))
        console.print(Text(told, "red" if record.undo.left else "magenta"), soft_wrap=True)
    if record.step_names():
        console.print(steps_table(record))
    for question in record.answered:
        console.print(answered_text(question), soft_wrap=True)
    for question in record.questions:
        console.print(question_text(question), soft_wrap=True)
    console.print(spend_table(record.spend))
    if free := record.fields.get("unpriced", "").strip(","):
        told = f"not in usd, since nobody said what they cost (SUREFOOT_PRICES): {redact_text(free.replace(',', ', '))}"
        console.print(Text(one_line(told), "yellow"), soft_wrap=True)


def headline(record: JobRecord) -> Text:
    """One line: which job, how it stands, whose it is, how old it is."""
    fields = record.fields
    done, total = done_of(record)
    tenant = short(redact_text(fields["tenant"]), WIDEST)
    told = f"  {fields['workflow']}  tenant {tenant}  {done} of {total} steps ended  {age(record)} old"
    return Text.assemble(("job ", "bold"), record.id, "  ", coloured(record.status), told)


def wrong(record: JobRecord, most: int = 5) -> Iterator[Text]:
    """What keeps it from going on, and the commands that help."""
    found = diagnoses(record)
    for one in found[:most]:
        yield _told(one, "red" if record.status is JobStatus.FAILED else "yellow")
    if len(found) > most:
        yield Text(f"and {len(found) - most} more questions: surefoot show {record.id}", "yellow")


def _told(one: Diagnosis, colour: str) -> Text:
    asked = one.kind in {"input", "approval"}
    first = f"{one.place} {'asks' if asked else 'failed' if colour == 'red' else 'stopped'}: {one.kind}"
    return Text.assemble(
        (first, f"bold {colour}"), "\n  cause  ", one.cause, *(("\n  next   " + each, "bold") for each in one.remedies)
    )


def done_of(record: JobRecord) -> tuple[int, int]:
    """How many steps of how many are over."""
    total = int(record.fields["total"])
    return total - int(record.fields["left"]), total


def age(record: JobRecord) -> str:
    """How long ago it was submitted."""
    return duration(max(0.0, time.time() * 1000 - int(record.fields["created"])))


def at(record: JobRecord) -> str:
    """Where it is: the step that failed, or those under way."""
    failing = record.fields.get("failing")
    if failing:
        return place_of(record, failing)
    if record.status.final:
        return ""
    under_way = [step for step in record.steps() if step.state in UNDER_WAY[:3]]
    more = f" and {len(under_way) - 1} more" if len(under_way) > 1 else ""
    return f"{place_of(record, under_way[0].name)}{more}" if under_way else ""


def spent(spend: Spend) -> str:
    """What it has spent, without what it has none of."""
    told = [f"{spend.tool_calls.spent} calls"]
    told += [f"{spend.tokens.spent:,} tokens"] if spend.tokens.spent else []
    told += [f"{spend.usd.spent / MICRO:.4g} USD"] if spend.usd.spent else []
    return ", ".join(told)


def jobs_table(records: Iterable[JobRecord]) -> Table:
    """Many jobs; ids are never cut, so that they can be copied. On a narrow terminal what matters least is left out."""
    wide = console.width >= ROOMY
    whole = [Column(name, no_wrap=True, min_width=8) for name in ("status", "age", "done")]
    columns = [*whole, *(["at", "asks", "tenant", "spent"] if wide else [Column("at", no_wrap=True)])]
    table = Table(
        Column("job", no_wrap=True, min_width=ID_WIDTH), *columns, box=None, header_style="bold", pad_edge=False
    )
    for record in records:
        done, total = done_of(record)
        asks = short(redact_text("; ".join(question.field for question in record.questions)), WIDEST)
        where = at(record)
        if wide:
            words = [where, asks, short(redact_text(record.fields["tenant"]), WIDEST), spent(record.spend)]
        else:
            words = [f"asks {asks}" if asks and record.status is JobStatus.WAITING else where]
        table.add_row(record.id, coloured(record.status), age(record), f"{done} of {total}", *words)
    return table


def stuck(found: Sequence[Standstill], patience_s: float) -> None:
    """Jobs that should move and do not, each with what helps."""
    for one in found:
        console.print(headline(one.record), soft_wrap=True)
        step = one.step.removeprefix(UNDO)
        place = place_of(one.record, step) if step else "the job"
        doing = f"undoing {place}" if step != one.step else place
        told = f"{doing} has stood still for {duration(one.for_s * 1000)}"
        console.print(Text.assemble((told, "bold yellow"), "\n  cause  ", redact_text(one.cause)), soft_wrap=True)
        console.print(Text(f"  next   {one.remedy}", "bold"), soft_wrap=True)
    if not found:
        console.print(f"no job has stood still for {patience_s:g} s")


def steps_table(record: JobRecord, most: int = 0) -> Table:
    """Its steps; with `most`, of a larger plan those that are under way or failed."""
    steps = record.steps()
    shown = _pressing(steps)[:most] if most and len(steps) > most else steps
    wide = console.width >= ROOMY
    columns = ["step", "", "state", "attempts", *(["after"] if wide else []), ""]
    table = Table(*columns, box=None, header_style="bold")
    for step in shown:
        told = step.error["message"] if isinstance(step.error, dict) and "message" in step.error else ""
        place = f"{step.number} of {record.fields['total']}"
        after = ", ".join(step.after) if len(step.after) <= 4 else f"{len(step.after)} steps"  # noqa: PLR2004 - fits a line
        words = [coloured(step.state), str(step.attempts), *([after] if wide else [])]
        words.append(short(redact_text(told), 4 * WIDEST))
        table.add_row(place, step.name, *words)
    if len(shown) < len(steps):
        table.add_row("", f"and {len(steps) - len(shown)} more")
    return table


def _pressing(steps: Iterable[StepRecord]) -> list[StepRecord]:
    return [step for step in steps if step.state in UNDER_WAY or step.state is StepState.FAILED]


def timeline(trace: Trace, width: int) -> Iterator[Text]:
    """The tree with its bars, and the span that the failure comes from."""
    if trace.failing is not None and trace.failing is not trace.failed_step:
        yield Text(f"  in     {trace.failing.name}: {one_line(trace.failing.message)}", "red")
    whole = f"|0 {duration(trace.worked_ns / 1e6):>{BAR - 2}}|"
    yield Text(f"{'':<{width - BAR - 4}} {whole}", "dim")
    for line, node in rows(trace, width):
        failed = node is not None and node.failed
        style = "bold red" if node is not None and node.failing else "red" if failed else ""
        yield Text(line, style, no_wrap=True, overflow="ellipsis")
