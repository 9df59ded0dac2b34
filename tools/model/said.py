"""An answer in OpenAI's form (chat completions): whole, or as the events of a stream."""

import json
import uuid
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

DONE = b"data: [DONE]\n\n"


@dataclass(frozen=True)
class Usage:
    """Tokens that were read and written."""

    input_tokens: int
    output_tokens: int

    def told(self) -> dict[str, int]:
        """As OpenAI says it."""
        both = self.input_tokens + self.output_tokens
        return {"prompt_tokens": self.input_tokens, "completion_tokens": self.output_tokens, "total_tokens": both}


@dataclass(frozen=True)
class Answer:
    """One answer, as it is told whole or piece by piece."""

    model: str
    id: str = field(default_factory=lambda: f"chatcmpl-{uuid.uuid4().hex[:12]}")
    created: int = 1_800_000_000

    def whole(self, message: Mapping[str, Any], finish: str, usage: Usage) -> dict[str, Any]:
        """The body of an answer that is not streamed."""
        choice = {"index": 0, "message": {"role": "assistant", **message}, "finish_reason": finish, "logprobs": None}
        return {**self._head("chat.completion"), "choices": [choice], "usage": usage.told()}

    def piece(self, delta: Mapping[str, Any], finish: str | None = None) -> bytes:
        """One event of a stream."""
        choice = {"index": 0, "delta": dict(delta), "finish_reason": finish, "logprobs": None}
        return event({**self._head("chat.completion.chunk"), "choices": [choice]})

    def end(self, usage: Usage | None) -> Iterator[bytes]:
        """The last events of a stream; the tokens only where they were asked for."""
        if usage:
            yield event({**self._head("chat.completion.chunk"), "choices": [], "usage": usage.told()})
        yield DONE

    def _head(self, kind: str) -> dict[str, Any]:
        return {"id": self.id, "object": kind, "created": self.created, "model": self.model}


def calls(called: Sequence[tuple[str, str]], prefix: str) -> list[dict[str, Any]]:
    """Calls of these tools with these arguments, as a message or a piece of one has them."""
    return [
        {"index": i, "id": f"{prefix}_{i}", "type": "function", "function": {"name": name, "arguments": arguments}}
        for i, (name, arguments) in enumerate(called)
    ]


def event(body: Mapping[str, Any]) -> bytes:
    """A server-sent event."""
    return b"data: " + json.dumps(body).encode() + b"\n\n"


def error(message: str, kind: str, code: str = "") -> dict[str, Any]:
    """The body of an error."""
    return {"error": {"message": message, "type": kind, "param": None, "code": code or None}}
