"""What the stores answer, typed: a claim, a job as stored, its steps, questions and events."""

import dataclasses
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, cast

from pydantic_core import from_json, to_json

from orchestrator.budget import AtCeiling, Over, Spend, globs_of
from orchestrator.plan import Plan, Step
from orchestrator.state import keys
from orchestrator.status import JobStatus, StepState

Kind = Literal["input", "approval", "form", "in_doubt", "budget"]
ADDED = frozenset({"asked_at", "answered_at", "by", "answer"})
"""Of a question: what the record adds to it."""


def encode(value: Any) -> str:
    """A value as JSON text; PydanticSerializationError where it cannot be one, as with more than 254 levels."""
    return to_json(value, inf_nan_mode="null").decode()


def decode(text: str | bytes) -> Any:
    """What a JSON text says."""
    try:
        return from_json(text)
    except ValueError:  # it reads 200 levels, fewer than `encode` writes
        return json.loads(text)


def in_order(value: Any) -> Any:
    """A JSON value whose text is equal for equal values, in whatever order their fields were said."""
    if isinstance(value, Mapping):
        pairs = cast("Mapping[str, Any]", value)
        return {name: in_order(pairs[name]) for name in sorted(pairs)}
    return [in_order(each) for each in cast("list[Any]", value)] if isinstance(value, list) else value


@dataclass(frozen=True)
class Question:
    """What a waiting job asks.

    Attributes:
        id: names the question in the job: `<step or request>/<field>`.
        field: what `job.answer(<field>=...)` calls it.
        prompt: for a person.
        kind: input, approval, form (several fields at once, or a no), in_doubt or budget.
        step: the step that asks; empty when the request itself is incomplete.
        deadline_s: how long there is for an answer, seconds; None: any time.
        otherwise: the answer that counts when the deadline has passed, as JSON text; empty: the job is cancelled then.
        schema: JSON schema of an answer.
        example: an example of an answer, or None.
        details: what a person needs to decide: the arguments to approve, the call in doubt.
        asked_at: when it was asked, seconds since 1970 by the record's clock.
        answered_at: when it was answered; None while it is open.
        by: who answered, as they said; `deadline` where nobody did in time.
        answer: what was answered.
    """

    id: str
    field: str
    prompt: str
    kind: Kind = "input"
    step: str = ""
    deadline_s: float | None = None
    otherwise: str = ""
    schema: Mapping[str, Any] = dataclasses.field(default_factory=dict[str, Any])
    example: Any = None
    details: Any = None
    asked_at: float | None = None
    answered_at: float | None = None
    by: str = ""
    answer: Any = None

    @property
    def deadline(self) -> float | None:
        """Until when it can be answered, seconds since 1970; None: any time."""
        return None if self.deadline_s is None or self.asked_at is None else self.asked_at + self.deadline_s

    @property
    def text(self) -> str:
        """As it is stored when it is asked; the record adds the rest."""
        return encode({f.name: getattr(self, f.name) for f in dataclasses.fields(self) if f.name not in ADDED})


@dataclass(frozen=True)
class Claim:
    """The answer to a claim: CLAIMED with all that a step needs, or why not (DONE, HELD, BLOCKED, OVER, DEAD, FOREIGN).

    `before`: the fence of the attempt before, whose calls may be on record, or ''. `waited_ms`: since it was offered;
    -1 where that is not known (a retry, a re-driven step). `globs`: tools that have a ceiling of their own in this job.
    `over`: the ceiling of steps is reached, `at_ceiling`: what to do then; `low`: now 80 % of it are. `last`: nothing
    comes after it. `finishing`: why no new work is done; `paid`: it was counted before. `missing`: what has no output.
    """

    answer: str
    why: str = ""
    fence: str = ""
    attempt: int = 0
    number: int = 0
    total: int = 0
    seconds_left: float | None = None
    request: Any = None
    arguments: Mapping[str, Any] = dataclasses.field(default_factory=dict[str, Any])
    specialist: str = ""
    inputs: Mapping[str, Any] = dataclasses.field(default_factory=dict[str, Any])
    before: str = ""
    waited_ms: int = -1
    globs: tuple[str, ...] = ()
    at_ceiling: AtCeiling = "fail"
    over: Over | None = None
    last: bool = False
    finishing: str = ""
    missing: tuple[str, ...] = ()
    low: bool = False
    tenant: str = ""
    paid: bool = False

    @classmethod
    def read(cls, row: Sequence[Any]) -> "Claim":
        """From the answer of the claim script."""
        answer = _text(row[0])
        if answer != "CLAIMED":
            why, *place = map(_text, row[1:])
            no, of, whose = place or ("0", "0", "")
            return cls(answer, why, number=int(no), total=int(of), tenant=whose)
        _, fence, attempt, number, total, left, request, arguments, specialist, inputs, before, *more = row
        waited, tools, policy, over, last, finishing, missing, low, tenant, paid = more
        return cls(
            "CLAIMED",
            fence=_text(fence),
            attempt=int(attempt),
            number=int(number),
            total=int(total),
            seconds_left=None if int(left) < 0 else int(left) / 1000,
            request=decode(request),
            arguments=decode(arguments),
            specialist=_text(specialist),
            inputs={_text(inputs[i]): decode(inputs[i + 1]) for i in range(0, len(inputs), 2)},
            before=_text(before),
            waited_ms=int(waited),
            globs=globs_of(_text(tools)),
            at_ceiling=_text(policy),  # pyright: ignore[reportArgumentType] - as Budget checked it
            over=Over("steps", *map(_text, over)) if over else None,
            last=bool(last),
            finishing=_text(finishing),
            missing=tuple(map(_text, missing)),
            low=bool(low),
            tenant=_text(tenant),
            paid=bool(paid),
        )


@dataclass(frozen=True)
class StepRecord:
    """One step as stored: its place ("7 of 12"), state, attempts, checkpoint or error."""

    name: str
    specialist: str
    number: int
    state: StepState
    after: tuple[str, ...]
    optional: bool
    attempts: int
    output: Any = None
    error: Any = None
    arguments: Mapping[str, Any] = dataclasses.field(default_factory=dict[str, Any])


@dataclass(frozen=True)
class Undo:
    """What becomes of what a job had done, after it was cancelled, or failed and is to be undone.

    Attributes:
        steps: the steps that are undone, newest first.
        pending: how many of them are not yet.
        done: what was undone: `step`, `tool`, `arguments`.
        left: what could not be undone: the same, and `why`.
    """

    steps: tuple[str, ...] = ()
    pending: int = 0
    done: tuple[Mapping[str, Any], ...] = ()
    left: tuple[Mapping[str, Any], ...] = ()

    @classmethod
    def read(cls, fields: Mapping[str, str]) -> "Undo":
        """From the job's fields."""
        steps = tuple(step for step in fields.get("undo", "").split(",") if step)
        outs = {step: decode(fields.get(f"{keys.UNDO}{step}.out", "{}")) for step in steps}
        listed = [
            tuple({"step": step, **entry} for step, out in outs.items() for entry in out.get(which, ()))
            for which in ("done", "left")
        ]
        return cls(steps, int(fields.get("undo_left", 0)), *listed)


@dataclass(frozen=True)
class JobRecord:
    """A job as stored, read in one command."""

    id: str
    fields: Mapping[str, str]

    @property
    def status(self) -> JobStatus:
        """Where it is."""
        return JobStatus(self.fields["status"])

    @property
    def questions(self) -> list[Question]:
        """What it asks, the request's own questions first."""
        return [Question(**decode(text)) for name, text in sorted(self.fields.items()) if name.startswith("q:")]

    @property
    def answered(self) -> list[Question]:
        """What was answered, when and by whom, in that order."""
        known = self.answers
        done = [Question(**decode(text)) for name, text in self.fields.items() if name.startswith("d:")]
        by_time = sorted(done, key=lambda question: (question.answered_at or 0.0, question.id))
        return [dataclasses.replace(question, answer=known[question.id]) for question in by_time]

    @property
    def answers(self) -> dict[str, Any]:
        """Question id -> answer."""
        return {name[2:]: decode(text) for name, text in self.fields.items() if name.startswith("a:")}

    @property
    def spend(self) -> Spend:
        """The ledger."""
        return Spend.read(self.fields)

    @property
    def undo(self) -> Undo:
        """What became of what it had done."""
        return Undo.read(self.fields)

    def step_names(self) -> list[str]:
        """All steps, in the order they were declared."""
        return [name for name in self.fields.get("order", "").split(",") if name]

    def step(self, name: str) -> StepRecord:
        """One step; in a job that ended, what never started counts as skipped."""
        f = self.fields
        state = StepState(f[f"{name}.state"])
        if self.status.final and state not in {StepState.SUCCEEDED, StepState.FAILED}:
            state = StepState.SKIPPED
        out, err = f.get(f"{name}.out"), f.get(f"{name}.err")
        return StepRecord(
            name=name,
            specialist=f[f"{name}.spec"],
            number=int(f[f"{name}.no"]),
            state=state,
            after=tuple(dep for dep in f[f"{name}.deps"].split(",") if dep),
            optional=f[f"{name}.opt"] == "1",
            attempts=int(f[f"{name}.try"]),
            output=decode(out) if out is not None else None,
            error=decode(err) if err is not None and state is not StepState.SUCCEEDED else None,
            arguments=decode(f[f"{name}.args"]),
        )

    def steps(self) -> list[StepRecord]:
        """All steps in topological order: step 1 of n first."""
        return sorted((self.step(name) for name in self.step_names()), key=lambda step: step.number)

    def plan(self) -> Plan:
        """The plan as it is now."""
        steps = map(self.step, self.step_names())
        return Plan(Step(s.specialist, s.name, s.after, s.arguments, s.optional) for s in steps)


@dataclass(frozen=True)
class Event:
    """Something that happened in a job. `id` grows; `events(after=id)` goes on behind it."""

    id: str
    type: str
    step: str
    data: Any

    @property
    def at(self) -> float:
        """Seconds since 1970, by the server's clock."""
        return int(self.id.split("-")[0]) / 1000

    @classmethod
    def read(cls, row: Sequence[Any]) -> "Event":
        """From one entry of the stream."""
        pairs = [_text(word) for word in row[1]]
        fields = dict(zip(pairs[::2], pairs[1::2], strict=True))
        text = fields.get("data", "")
        data = decode(text) if text[:1] in {"{", "["} else text
        return cls(_text(row[0]), fields["type"], fields.get("step", ""), data)


def _text(word: Any) -> str:
    return word.decode() if isinstance(word, bytes) else str(word)
