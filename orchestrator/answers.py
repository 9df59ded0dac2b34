"""A person's answers matched to a job's questions."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import jsonschema_rs

from orchestrator.errors import InvalidRequest
from orchestrator.state.records import JobRecord, Kind, Question, decode


@dataclass(frozen=True)
class Reply:
    """Answers by question id; `request` is the request with them filled in, when they are about the request."""

    record: JobRecord
    answers: dict[str, Any]
    request: dict[str, Any]

    def still_open(self, questions: Iterable[Question]) -> list[Question]:
        """Of the questions about the request, those that these answers leave open.

        Raises:
            InvalidRequest: an answer breaks a rule, so that its question would have to be asked again.
        """
        questions = list(questions)
        for question in questions:
            if question.id in self.answers:
                raise InvalidRequest(question.prompt)
        return questions


def match(record: JobRecord, given: Mapping[str, Any], kind: Kind = "input") -> Reply:
    """Find the question of each answer, by its id or its field.

    Raises:
        InvalidRequest: no such question, several of that field, or an answer that does not fit the question's schema.
    """
    if not given:
        raise InvalidRequest("no answer was given")
    answers, about_request = dict[str, Any](), False
    for name, value in given.items():
        question = _find(record, name, kind)
        if isinstance(question, Question) and question.step:
            _fits(question, value)
        about_request |= isinstance(question, Question) and not question.step
        answers[question.id if isinstance(question, Question) else question] = value
    filled = {name.removeprefix("request/"): value for name, value in answers.items() if name.startswith("request/")}
    fields = decode(record.fields["request"]) | filled if about_request else {}
    return Reply(record, answers, fields)


def _find(record: JobRecord, name: str, kind: Kind) -> Question | str:
    """The open question of this name, or the id of one that was answered before."""
    found = [question for question in record.questions if name in {question.id, question.field}]
    if len(found) == 1:
        if kind == "approval" and found[0].kind != "approval":
            raise InvalidRequest(f"question {name!r} asks for {found[0].kind}: use answer()")
        return found[0]
    if found:
        ids = ", ".join(question.id for question in found)
        raise InvalidRequest(f"{len(found)} questions ask for {name!r}; name one by its id: {ids}")
    before = [known for known in record.answers if name in {known, known.rpartition("/")[2]}]
    if len(before) == 1:
        return before[0]
    asked = ", ".join(question.field for question in record.questions) or "nothing"
    raise InvalidRequest(f"job {record.id} does not ask for {name!r}; it asks for {asked}")


def _fits(question: Question, value: Any) -> None:
    if not question.schema:
        return
    validator = jsonschema_rs.validator_for(dict(question.schema))
    problems = [error.message for error in validator.iter_errors(value)]
    if problems:
        raise InvalidRequest(f"{question.field}: {'; '.join(problems[:3])}")
