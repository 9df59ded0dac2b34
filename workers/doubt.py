"""Calls in doubt: sent, with no answer, and nobody can say what came of them but a look-up or a person."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from orchestrator.state.records import Question
from tools.tool import Tool

ANSWER: Mapping[str, Any] = {
    "type": "object",
    "properties": {"happened": {"type": "boolean"}, "result": {}},
    "required": ["happened"],
    "if": {"properties": {"happened": {"const": True}}},
    "then": {"required": ["result"]},
    "additionalProperties": False,
}


@dataclass(frozen=True)
class Known:
    """What became of a call."""

    happened: bool
    result: Any = None


@dataclass(frozen=True)
class Doubt:
    """A call of an UNSAFE tool that may have been sent.

    Attributes:
        step: the step that made it.
        number: the call's number.
        sends: how often it may have been sent: each time is a doubt, and a question, of its own.
        at_ms: when it was sent last, milliseconds since 1970 by the record's clock.
        tool: what was called.
        arguments: as they were sent.
        key: the deduplication key it was sent with.
    """

    step: str
    number: int
    sends: int
    at_ms: int
    tool: Tool
    arguments: Mapping[str, Any]
    key: str

    def under_way_s(self, now_ms: int) -> float:
        """How long the call may still be under way.

        Its time limit passes once while it waits for its turn at the server, and once while the server works.
        """
        return 2 * self.tool.timeout_s - (now_ms - self.at_ms) / 1000

    def question(self) -> Question:
        """What a person is asked: with `surefoot answer JOB --happened RESULT` or `--did-not-happen`."""
        field = f"call-{self.number}" + (f"-{self.sends}" if self.sends > 1 else "")
        sent = datetime.fromtimestamp(self.at_ms / 1000, UTC).isoformat(timespec="seconds")
        return Question(
            id=f"{self.step}/{field}",
            field=field,
            kind="in_doubt",
            step=self.step,
            prompt=f"did {self.tool.name} happen? It was sent at {sent}, and no answer came",
            schema=ANSWER,
            example={"happened": False},
            details={"tool": self.tool.name, "arguments": dict(self.arguments), "sent": sent, "key": self.key},
        )


def told(answer: Any) -> Known | None:
    """What a person, or a look-up, says; None where it says nothing usable.

    A person says `happened` and `result`. A look-up says `found`; the result is its field `result`, else all it says.
    """
    if not isinstance(answer, dict):
        return None
    for word, result in (("happened", None), ("found", answer)):
        if isinstance(answer.get(word), bool):
            return Known(answer[word], answer.get("result", result))
    return None
