"""What a model is asked and what it answers, as plain data: the journal keeps it, and no library's types with it."""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any, Self

from orchestrator.state.records import encode

ANSWER = "answer"
"""The tool that a model calls to give an answer of a type."""
AROUND, AROUND_EACH = 500, 20
"""Tokens that a provider may add to a prompt, and to each message or tool of it."""
ROLES = {"model": "assistant"}
"""What OpenTelemetry calls who spoke, where that is another word."""
Message = Mapping[str, Any]


@dataclass(frozen=True)
class Offered:
    """A tool that a model may ask for."""

    name: str
    description: str
    schema: Mapping[str, Any]


@dataclass(frozen=True)
class Called:
    """A tool that a model asks for; arguments that are no JSON object are the text they are."""

    id: str
    name: str
    arguments: Any


@dataclass(frozen=True)
class Reply:
    """What a model answered.

    Attributes:
        text: what it said.
        calls: the tools it asks for; its answer of a type is the call of `ANSWER`.
        model: which model it was.
        finish: why it ended: stop, length, tool_call, ...
        raw: the provider's answer, to go on from; of a cached answer nothing of it is kept.
        input_tokens: tokens it read, as its provider counts them.
        output_tokens: tokens it wrote.
        cached: it was kept from another call, and nothing was read, written or paid for this one.
    """

    text: str
    calls: Sequence[Called]
    model: str
    finish: str
    raw: Any
    input_tokens: int
    output_tokens: int
    cached: bool = False

    @property
    def told(self) -> list[dict[str, Any]]:
        """As OpenTelemetry's conventions write it."""
        said: list[Any] = [{"type": "text", "content": self.text}] if self.text else []
        said += [{"type": "tool_call", **asdict(call)} for call in self.calls]
        return [{"role": "assistant", "parts": said, "finish_reason": self.finish}]

    def record(self) -> dict[str, Any]:
        """As the journal keeps it. What is not so is left out: workers of before the cache read it, too."""
        return {name: value for name, value in asdict(self).items() if name != "cached" or value}

    @classmethod
    def recorded(cls, row: Any) -> Self:
        """From the journal."""
        fields: dict[str, Any] = {**row, "calls": [Called(**call) for call in row["calls"]]}
        return cls(**fields)


@dataclass(frozen=True)
class Prompt:
    """One request to a model.

    Attributes:
        messages: `{"role": "system" | "user", "text": ...}`, `{"role": "model", "raw": ...}` what it answered before,
            `{"role": "tool", "id": ..., "name": ..., "text": ...}` what a tool it asked for answered.
        schema: JSON Schema of the answer; None: text.
        tools: what it may ask for.
        max_tokens: most tokens of its answer; None: as the settings say.
        among: the names and globs that these tools were taken by.
    """

    messages: Sequence[Message]
    schema: Mapping[str, Any] | None = None
    tools: Sequence[Offered] = ()
    max_tokens: int | None = None
    among: Sequence[str] = ()

    @property
    def told(self) -> list[dict[str, Any]]:
        """Its messages as OpenTelemetry's conventions write them."""
        return [{"role": ROLES.get(one["role"], one["role"]), "parts": [_part(one)]} for one in self.messages]

    @property
    def asked(self) -> str:
        """The question, as a short digest. Which model is asked does not matter, nor which tools there are now."""
        what = [self.messages, self.schema, self.among, self.max_tokens]
        return hashlib.sha256(encode(what).encode()).hexdigest()[:16]

    def to(self, model: str, max_tokens: int) -> str:
        """All that this model is asked, as a digest: equal only for the very same request."""
        what = [model, self.messages, self.schema, [asdict(tool) for tool in self.tools], max_tokens]
        return hashlib.sha256(encode(what).encode()).hexdigest()

    @property
    def most_input_tokens(self) -> int:
        """An upper bound of its tokens: a token has a byte at least."""
        parts: list[Any] = [message.get("raw") or message["text"] for message in self.messages]
        parts += [[tool.name, tool.description, tool.schema] for tool in self.tools] + [self.schema]
        return AROUND + sum(AROUND_EACH + len(encode(part).encode()) for part in parts)

    def then(self, *messages: Message) -> "Prompt":
        """The same with more messages."""
        return replace(self, messages=[*self.messages, *messages])


def _part(message: Message) -> dict[str, Any]:
    if message["role"] == "model":
        return {"type": "reply", "content": message["raw"]}
    if message["role"] == "tool":
        return {"type": "tool_call_response", "id": message["id"], "response": message["text"]}
    return {"type": "text", "content": message["text"]}
