"""What is wrong with a job, and the very command that helps: read from its record alone."""

import json
from dataclasses import dataclass
from shlex import quote

from orchestrator.budget import DAY, TOOLS, Amount, Spend
from orchestrator.state.records import JobRecord, Question
from orchestrator.status import JobStatus
from orchestrator.telemetry.names import Kind
from orchestrator.telemetry.plain import one_line
from orchestrator.telemetry.redaction import redact_text

REMEDIES = {
    Kind.TIMEOUT: "it took too long; see where, then go on: surefoot trace {job}; surefoot resume {job}",
    Kind.REJECTED: "a tool said no; put right what it names, then: surefoot resume {job}",
    Kind.UNAVAILABLE: "a tool server did not answer; look at it, then: surefoot tools; surefoot resume {job}",
    Kind.INVALID_DATA: "what came in or out has another form than declared; deploy a cure, then: surefoot resume {job}",
    Kind.DIVERGED: "the step asked otherwise than before (docs/replay.md); deploy a cure, then: surefoot resume {job}",
    Kind.UNHANDLED: "an error in the specialist; the worker's log has it; deploy a cure, then: surefoot resume {job}",
}
"""By kind of failure: what to look at and what to type."""


@dataclass(frozen=True)
class Diagnosis:
    """Why a job does not go on.

    Attributes:
        place: "step 7 of 12 (weather)"; "the request" or "between steps" where no step is at fault.
        kind: timeout, rejected, unavailable, invalid data, diverged, budget, in doubt, unhandled; or what is asked.
        cause: one line, redacted.
        remedies: what to do next, each with its command.
    """

    place: str
    kind: str
    cause: str
    remedies: tuple[str, ...]


def place_of(record: JobRecord, step: str) -> str:
    """Say "step 7 of 12 (weather)"."""
    return f"step {record.step(step).number} of {record.fields['total']} ({step})"


def diagnoses(record: JobRecord) -> list[Diagnosis]:
    """The failure of a failed job; the open questions of one that is not over. Empty: nothing is wrong."""
    if record.status is JobStatus.FAILED:
        return [_failure(record)]
    return [] if record.status.final else [_asked(record, question) for question in record.questions]


def _failure(record: JobRecord) -> Diagnosis:
    fields = record.fields
    step, reason = fields.get("failing", ""), fields.get("reason", "step")
    place = place_of(record, step) if step else "between steps"
    error = record.step(step).error if step else None
    kind, cause = (error["kind"], error["message"]) if isinstance(error, dict) else (reason, fields.get("error", ""))
    kind = Kind.BUDGET if reason == "budget" else Kind.TIMEOUT if reason == "deadline" else str(kind)
    return Diagnosis(place, str(kind), one_line(redact_text(str(cause))), (_remedy(record, kind, reason),))


def _remedy(record: JobRecord, kind: str, reason: str) -> str:
    if reason == "deadline":
        return f"the job had no time left; give it more: surefoot resume {record.id} --seconds 300"
    if kind != Kind.BUDGET:
        return REMEDIES.get(Kind(kind) if kind in set(Kind) else Kind.UNHANDLED, REMEDIES[Kind.UNHANDLED]).format(
            job=record.id
        )
    if f"{DAY}" in record.fields.get("error", "") or "a day" in record.fields.get("error", ""):
        return f"the tenant has spent what it may today (UTC); tomorrow: surefoot resume {record.id}"
    return f"raise what is used up: surefoot resume {record.id}{raised(record.spend)}"


def raised(spend: Spend) -> str:
    """Options of `surefoot resume` that double each ceiling of which nothing is left."""
    return "".join(
        f" {_option(kind, line)}" for kind, line in spend.lines.items() if line.free is not None and line.free <= 0
    )


def _option(kind: str, line: Amount) -> str:
    more = max(2 * (line.ceiling or 0), 1)
    if kind.startswith(TOOLS):
        return f"--tool {quote(f'{kind.removeprefix(TOOLS)}={more}')}"
    return f"--usd {more / 1e6:g}" if kind == "usd" else f"--{kind.replace('_', '-')} {more}"


def _asked(record: JobRecord, question: Question) -> Diagnosis:
    place = place_of(record, question.step) if question.step in record.step_names() else "the request"
    kind = {"in_doubt": str(Kind.IN_DOUBT)}.get(question.kind, question.kind)
    return Diagnosis(
        place, kind, one_line(redact_text(f"{question.field}: {question.prompt}")), tuple(_answers(record, question))
    )


def _answers(record: JobRecord, question: Question) -> list[str]:
    if question.kind == "in_doubt":
        which = (
            f" --question {quote(question.id)}" if sum(one.kind == "in_doubt" for one in record.questions) > 1 else ""
        )
        return [
            f"it did not happen, send it again: surefoot answer {record.id} --did-not-happen{which}",
            f"it happened: surefoot answer {record.id} --happened '{{...}}'{which}",
        ]
    if question.kind == "approval":
        return [f"surefoot {verb} {record.id} {quote(question.id)}" for verb in ("approve", "decline")]
    if question.kind == "form":
        given = " ".join(quote(f"{name}=...") for name in question.schema.get("required", ())) or "..."
        return [f"surefoot answer {record.id} {given}", f"surefoot decline {record.id} {quote(question.id)}"]
    return [f"surefoot answer {record.id} {quote(example(question) or f'{question.field}=...')}"]


def example(question: Question) -> str:
    """An answer as the command line takes it: text as it is, anything else as JSON; empty where there is none."""
    if question.example is None:
        return ""
    return f"{question.field}={question.example if isinstance(question.example, str) else json.dumps(question.example)}"
