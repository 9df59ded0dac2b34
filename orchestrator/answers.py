"""A person's answers matched to a job's questions."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import jsonschema_rs

from orchestrator import forms
from orchestrator.budget import KINDS, TOOLS, UNLIMITED, Budget, Spend, figure, named
from orchestrator.errors import InvalidRequest
from orchestrator.state.records import JobRecord, Kind, Question, decode

REQUEST, ROUNDS = "request/", 3
"""Ids of questions about the request: `request/<field>`, and when it is asked again `request/<round>/<field>`."""


@dataclass(frozen=True)
class Reply:
    """Answers by question id.

    Attributes:
        request: the request with them filled in, when they are about the request.
        ceilings: question id -> kind -> the ceiling that the answer raises, in the ledger's units.
    """

    record: JobRecord
    answers: dict[str, Any]
    request: dict[str, Any]
    ceilings: dict[str, dict[str, int]]

    @property
    def told(self) -> int:
        """How many answers about the request the record has."""
        return len(_about_request(self.record.answers))

    def still_open(self, questions: Iterable[Question]) -> list[Question]:
        """Of the questions about the request, those that these answers leave open.

        A field that was answered before is asked by another id, since an answer never changes.

        Raises:
            InvalidRequest: an answer breaks a rule, so that its question would have to be asked again.
        """
        now, before = (
            [_field(name) for name in self.answers],
            [_field(name) for name in _about_request(self.record.answers)],
        )
        left: list[Question] = []
        for question in questions:
            if question.field in now:
                raise InvalidRequest(question.prompt)
            times = before.count(question.field)
            left.append(replace(question, id=f"{REQUEST}{times + 1}/{question.field}") if times else question)
        return left


def match(record: JobRecord, given: Mapping[str, Any], kind: Kind = "input") -> Reply:
    """Find the question of each answer, by its id or its field, or that of a form that asks for it.

    A ceiling is asked once for all steps that need more.

    Raises:
        InvalidRequest: no such question, several of that field, or an answer that does not fit the question's schema.
    """
    if not given:
        raise InvalidRequest("no answer was given")
    answers, ceilings, about_request = dict[str, Any](), dict[str, dict[str, int]](), False
    for name, value in forms.filled_in(record, given).items():
        if _is_the_ceiling(record, name, value):
            continue  # the same answer again
        for question in _find(record, name, kind, value):
            if isinstance(question, Question) and question.step:
                _fits(question, value)
            if isinstance(question, Question) and question.kind == "budget":
                ceilings[question.id] = _raised(question, value)
            about_request |= isinstance(question, Question) and not question.step
            answers[question.id if isinstance(question, Question) else question] = value
    told = {**_about_request(record.answers), **_about_request(answers)}
    filled = {_field(name): told[name] for name in sorted(told, key=_round)}
    fields = decode(record.fields["request"]) | filled if about_request else {}
    return Reply(record, answers, fields, ceilings)


def _about_request(answers: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in answers.items() if name.startswith(REQUEST)}


def _field(question_id: str) -> str:
    return question_id.rpartition("/")[2]


def _round(question_id: str) -> int:
    """How often the field was asked until then."""
    words = question_id.split("/")
    return int(words[1]) if len(words) == ROUNDS else 1


def _is_the_ceiling(record: JobRecord, name: str, value: Any) -> bool:
    """Whether nobody asks how high this ceiling may be any more, and it is as high as this answer says."""
    if any(name in {question.id, question.field} for question in record.questions):
        return False
    kind = name if name in KINDS else TOOLS + name
    line = record.spend.lines.get(kind)
    return line is not None and line.ceiling is not None and line.ceiling == _ceiling(kind, value)


def _raised(question: Question, value: Any) -> dict[str, int]:
    kind: str = question.details["kind"]
    return {kind: _ceiling(kind, value)}


def _ceiling(kind: str, value: Any) -> int:
    """An answer in the ledger's units."""
    budget = Budget(tools={kind.removeprefix(TOOLS): value}) if kind.startswith(TOOLS) else Budget.of({kind: value})
    return budget.ceilings()[kind]


def budget_answers(record: JobRecord, budget: Budget) -> dict[str, Any]:
    """What a budget answers of a job's open questions, by question id."""
    values: dict[str, Any] = {kind: getattr(budget, kind) for kind in KINDS} | {
        TOOLS + glob: calls for glob, calls in budget.tools.items()
    }
    asked = [
        (question.id, values.get(question.details["kind"]))
        for question in record.questions
        if question.kind == "budget"
    ]
    return {name: value for name, value in asked if value is not None}


def only_more(spend: Spend, budget: Budget) -> None:
    """Refuse a budget that does not only raise ceilings: what a job under way holds may be spent at any moment.

    Raises:
        InvalidRequest: it lowers one, brings a new one, or gives a new time, which begins when a failed job is resumed.
    """
    if budget.seconds is not None:
        raise InvalidRequest("budget seconds: this job is under way; its time is set anew only after it has failed")
    for kind, top in budget.ceilings().items():
        ceiling = spend.of(kind).ceiling
        if top != UNLIMITED and (ceiling is None or top < ceiling):
            has = "no such ceiling" if ceiling is None else figure(kind, ceiling)
            raise InvalidRequest(
                f"budget {named(kind)}: this job is under way and can only be given more; it has {has}"
            )


def one_in_doubt(questions: Sequence[Question]) -> Question:
    """The question about a call in doubt, where there is just one.

    Raises:
        InvalidRequest: there is none, or there are several.
    """
    asked = [question for question in questions if question.kind == "in_doubt"]
    if len(asked) == 1:
        return asked[0]
    if not asked:
        raise InvalidRequest("the job does not ask about a call in doubt")
    ids = ", ".join(question.id for question in asked)
    raise InvalidRequest(f"{len(asked)} calls are in doubt: name one with --question ID: {ids}")


def _find(record: JobRecord, name: str, kind: Kind, value: Any) -> Sequence[Question | str]:
    """The open question of this name, or the id of one that was answered before."""
    found = [question for question in record.questions if name in {question.id, question.field}]
    if len(found) == 1 or {question.kind for question in found} == {"budget"}:
        if kind == "approval" and found[0].kind != "approval" and not forms.is_no(found[0], value):
            raise InvalidRequest(f"question {name!r} asks for {found[0].kind}: use answer()")
        return found
    if found:
        ids = ", ".join(question.id for question in found)
        raise InvalidRequest(f"{len(found)} questions ask for {name!r}; name one by its id: {ids}")
    before = [known for known in record.answers if name in {known, _field(known)}]
    if len(before) == 1 or (before and all(known.startswith(REQUEST) for known in before)):
        return sorted(before, key=_round)[-1:]
    asked = ", ".join(question.field for question in record.questions) or "nothing"
    raise InvalidRequest(f"job {record.id} does not ask for {name!r}; it asks for {asked}")


def _fits(question: Question, value: Any) -> None:
    if not forms.is_no(question, value) and (problems := misfits(question.schema, value)):
        raise InvalidRequest(f"{question.field}: {'; '.join(problems[:3])}")


def misfits(schema: Mapping[str, Any], value: Any) -> list[str]:
    """Why an answer does not fit a question's schema."""
    if not schema:
        return []
    validator = jsonschema_rs.validator_for(dict(schema), validate_formats=True)
    return [error.message for error in validator.iter_errors(value)]
