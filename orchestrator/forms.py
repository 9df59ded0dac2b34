"""Forms that tools ask people to fill in: single fields put together, and what counts as an answer."""

from collections.abc import Mapping, Sequence
from typing import Any

from orchestrator.errors import InvalidRequest
from orchestrator.state.records import JobRecord, Question


def fields(question: Question) -> Mapping[str, Mapping[str, Any]]:
    """The fields of a form with their schemas; no other question has any."""
    return question.schema.get("properties", {}) if question.kind == "form" else {}


def filled_in(record: JobRecord, given: Mapping[str, Any]) -> dict[str, Any]:
    """Answers in which the single fields of a form have become one answer to it, by its id.

    A name that stands for a question itself is left as it is. A form that was answered before is found too, so that the
    same answer again is the same.

    Raises:
        InvalidRequest: several forms ask for such a field.
    """
    answers, forms = dict[str, Any](), dict[str, dict[str, Any]]()
    for name, value in given.items():
        questions = record.questions if _is_asked(name, record.questions) else record.answered
        asking = [] if _named(name, questions) else [question for question in questions if name in fields(question)]
        if len(asking) > 1:
            ids = ", ".join(question.id for question in asking)
            raise InvalidRequest(f"{len(asking)} forms ask for {name!r}; answer one by its id: {ids}")
        if asking:
            forms.setdefault(asking[0].id, {})[name] = value
        else:
            answers[name] = value
    return answers | forms


def _named(name: str, questions: Sequence[Question]) -> bool:
    return any(name in {question.id, question.field} for question in questions)


def _is_asked(name: str, questions: Sequence[Question]) -> bool:
    return _named(name, questions) or any(name in fields(question) for question in questions)


def is_no(question: Question, value: Any) -> bool:
    """Whether a form is not filled in: it was declined (False), or nobody chose (None)."""
    return question.kind == "form" and (value is None or value is False)
