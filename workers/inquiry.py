"""What a tool asks people before it goes on, as the job's questions; and what they said, as the tool gets it."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Self

from orchestrator.state.records import Question
from tools.outcome import NeedsInput
from tools.way import Said
from workers.record import Record
from workers.replay import Call

YES_OR_NO: Mapping[str, Any] = {"type": "boolean"}


@dataclass(frozen=True)
class Inquiry:
    """One round of questions: of a call, or of one that goes on with it.

    Attributes:
        step: the step that made the call.
        number: the number of the call that asks: what is asked next has other ids.
        key: the deduplication key of the call that asked first.
        asked: what the tool said.
    """

    step: str
    number: int
    key: str
    asked: NeedsInput

    @classmethod
    def of(cls, record: Record, call: Call, asked: NeedsInput) -> Self:
        """What a call's tool asks."""
        return cls(record.step, call.number, call.said.key if call.said else record.key(call.number), asked)

    def questions(self) -> list[Question]:
        """What people are asked: a form is filled in or declined, the rest is approved or not.

        Their ids begin with the call, `<step>:<number>`, as no question of the specialist's own does.
        """
        return [self._question(place, one) for place, one in enumerate(self.asked.questions, 1)]

    def said(self, answers: Mapping[str, Any]) -> Said:
        """What people answered, by question id: the fields of a form; yes or no; or None, where nobody chose."""
        told = {one["key"]: answers[self._id(place)] for place, one in enumerate(self.asked.questions, 1)}
        nothing_to_fill_in = [one["key"] for one in self.asked.questions if _confirms(one) and "url" not in one]
        told |= {key: dict[str, Any]() for key in nothing_to_fill_in if told[key] is True}
        return Said(told, self.asked.request_state, self.key)

    def _question(self, place: int, one: Mapping[str, Any]) -> Question:
        confirms, shown = _confirms(one), {"tool": self.asked.tool}
        return Question(
            id=self._id(place),
            field=self._field(place),
            prompt=one["message"],
            kind="approval" if confirms else "form",
            step=self.step,
            schema=YES_OR_NO if confirms else one["schema"],
            details={**shown, "url": one["url"]} if "url" in one else shown,
        )

    def _id(self, place: int) -> str:
        return f"{self.step}:{self.number}/{self._field(place)}"

    def _field(self, place: int) -> str:
        return f"ask-{self.number}" + (f"-{place}" if len(self.asked.questions) > 1 else "")


def _confirms(one: Mapping[str, Any]) -> bool:
    """A URL to visit and a form without a field are answered by yes or no."""
    return "url" in one or not one["schema"].get("properties")
