"""What can go wrong with a tool call. Three names, and what each allows."""

from collections.abc import Mapping, Sequence
from typing import Any


class ToolFailure(Exception):
    """A tool call did not bring an answer; `retry_after_s` is when the server says to ask again, if it says so."""

    retry_after_s: float | None = None

    def __init__(self, tool: str, message: str) -> None:
        """`tool` is "<server>.<tool>", or the server alone when it could not be asked."""
        super().__init__(f"{tool}: {message}")
        self.tool = tool


class Rejected(ToolFailure):
    """A definite no: the tool, its schema or the allow-list refused, or what only reads has no usable answer.

    Never repeated.
    """


class Unavailable(ToolFailure):
    """Certainly not executed: it may be repeated, not before `retry_after_s` where the server says so."""

    def __init__(self, tool: str, message: str, retry_after_s: float | None = None) -> None:
        super().__init__(tool, message)
        self.retry_after_s = retry_after_s


class OutcomeUnknown(ToolFailure):
    """Sent, and nobody knows what came of it: repeated with the same key if the effect allows it, else in doubt."""


class CutOff(OutcomeUnknown):
    """Executed, but its answer is larger than this call may bring: it was not read any further.

    Asked again with the same key and more room, it brings its answer.
    """

    def __init__(self, tool: str, most_bytes: int) -> None:
        super().__init__(tool, f"it was executed, but its answer has more than {most_bytes:,} bytes")
        self.most_bytes = most_bytes


class NeedsInput(Exception):
    """The tool asks people before it goes on (MCP input_required): nothing has happened yet.

    Attributes:
        tool: "<server>.<tool>".
        questions: each with `key` (the server's name for it), `message`, and `schema` of a form or `url` to visit.
        request_state: what the server wants back with the answers, as it came; it is shown to nobody.
    """

    def __init__(self, tool: str, questions: Sequence[Mapping[str, Any]], request_state: str | None) -> None:
        super().__init__(f"{tool} needs input")
        self.tool, self.questions, self.request_state = tool, list(questions), request_state

    @property
    def kept(self) -> dict[str, Any]:
        """What has to be kept to go on."""
        return {"questions": self.questions, "request_state": self.request_state}
