"""What a job came to: its result, or the error that says why there is none."""

from collections.abc import Mapping
from typing import Any

from orchestrator.errors import BudgetExhausted, JobCancelled, JobFailed, WaitingForInput
from orchestrator.state.records import JobRecord, Undo
from orchestrator.status import JobStatus
from orchestrator.telemetry.redaction import as_text


def outcome(record: JobRecord) -> Any:
    """The result of a job that has ended or waits: its last step's output, by name where several are last.

    Raises:
        JobFailed, BudgetExhausted, JobCancelled, WaitingForInput: as the job stands.
    """
    status, fields = record.status, record.fields
    if status is JobStatus.WAITING:
        asked = record.questions
        listed = "; ".join(f"{question.field}: {question.prompt}" for question in asked)
        raise WaitingForInput(f"job {record.id} waits for {listed}", asked)
    if status is JobStatus.CANCELLED:
        raise JobCancelled("; ".join([f"job {record.id} was cancelled", *undone(record.undo)]))
    if status is JobStatus.FAILED:
        kind = BudgetExhausted if fields.get("reason") == "budget" else JobFailed
        step = fields.get("failing", "")
        raise kind(failure(record), reason=fields.get("reason", "step"), step=step or None)
    lasts = [name for name in record.step_names() if not fields[f"{name}.next"]]
    outputs = {name: record.step(name).output for name in lasts}
    return next(iter(outputs.values())) if len(outputs) == 1 else outputs


def failure(record: JobRecord) -> str:
    """One line: where, why, what was undone, and what to do next."""
    name, total = record.fields.get("failing", ""), record.fields.get("total", "0")
    where = f"at step {record.step(name).number} of {total} ({name})" if name else "between steps"
    why = "; ".join([record.fields.get("error", ""), *undone(record.undo)])
    return f"job {record.id} failed {where}: {why}; `surefoot show {record.id}`"


def undone(undo: Undo) -> list[str]:
    """What became of what a job had done: how much is undone, and each thing that could not be."""
    if not undo.steps:
        return []
    told = [f"undone: {len(undo.done)}"]
    if undo.pending:
        told.append(f"{undo.pending} of {len(undo.steps)} steps are still being undone")
    left = (f"NOT undone: {one['tool']} {_which(one)} of {one['step']}: {one['why']}" for one in undo.left)
    return [*told, *left]


def _which(entry: Mapping[str, Any]) -> str:
    if "calls" in entry:
        return f"calls {', '.join(map(str, entry['calls']))}"
    return as_text(entry["arguments"]) if "arguments" in entry else f"call {entry['call']}"
