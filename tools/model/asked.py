"""A chat completion request in OpenAI's form, as far as it is understood; what is not, is refused, never ignored."""

import json
from typing import Any, Literal

from pydantic import BaseModel, Field, model_validator

from tools.model.engine import Question

TEXT = "text"
"""Where a model may call tools or answer: the field of its answer."""


class Part(BaseModel):
    """A piece of a message."""

    type: Literal["text"]
    text: str


class Message(BaseModel):
    """One message."""

    role: Literal["system", "developer", "user", "assistant", "tool"]
    content: str | list[Part] | None = None
    tool_calls: list[Any] = Field(default_factory=list[Any])

    def plain(self) -> dict[str, str]:
        """As a template of a small model knows it: three roles, and text."""
        text = self.content if isinstance(self.content, str) else "\n".join(part.text for part in self.content or ())
        if self.tool_calls:
            text = "\n".join(filter(None, [text, json.dumps(self.tool_calls)]))
        role = {"developer": "system", "tool": "user"}.get(self.role, self.role)
        return {"role": role, "content": text}


class Function(BaseModel):
    """A tool's face."""

    name: str
    description: str = ""
    parameters: dict[str, Any] = Field(default_factory=lambda: {"type": "object"})


class Tool(BaseModel):
    """A tool that is on offer, or that must be called."""

    type: Literal["function"]
    function: Function


class Schema(BaseModel):
    """A named JSON Schema."""

    schema_: dict[str, Any] = Field(alias="schema")


class Format(BaseModel):
    """The form of the answer."""

    type: Literal["text", "json_object", "json_schema"]
    json_schema: Schema | None = None


class StreamOptions(BaseModel):
    """What a stream tells besides."""

    include_usage: bool = False


class ChatRequest(BaseModel):
    """The body of a request."""

    model: str = ""
    messages: list[Message] = Field(min_length=1)
    max_tokens: int | None = Field(None, ge=1)
    max_completion_tokens: int | None = Field(None, ge=1)
    temperature: float | None = Field(None, ge=0, le=2)
    seed: int | None = Field(None, ge=0, lt=2**32)
    stream: bool = False
    stream_options: StreamOptions | None = None
    response_format: Format | None = None
    tools: list[Tool] = Field(default_factory=list[Tool])
    tool_choice: Literal["auto", "none", "required"] | Tool = "auto"
    n: Literal[1] | None = 1
    stop: None = None
    logprobs: Literal[False] | None = None

    @model_validator(mode="after")
    def _chosen_tool_is_on_offer(self) -> "ChatRequest":
        names = [tool.function.name for tool in self.tools]
        if isinstance(self.tool_choice, Tool) and self.tool_choice.function.name not in names:
            raise ValueError(f"tool_choice names {self.tool_choice.function.name!r}; tools are {names}")
        if self.tool_choice == "required" and not names:
            raise ValueError("tool_choice is required, and there are no tools")
        return self

    @property
    def most_tokens(self) -> int | None:
        """Most tokens of the answer; None: as many as there is room for."""
        return self.max_completion_tokens or self.max_tokens

    @property
    def offered(self) -> list[Function]:
        """The tools of which one may, or must, be called."""
        if self.tool_choice == "none":
            return []
        chosen = self.tool_choice.function.name if isinstance(self.tool_choice, Tool) else None
        return [tool.function for tool in self.tools if chosen in {None, tool.function.name}]

    @property
    def only(self) -> Function | None:
        """The tool that must be called, where it is one: the model writes its arguments only."""
        return self.offered[0] if len(self.offered) == 1 and self.tool_choice != "auto" else None

    @property
    def schema_of_answer(self) -> dict[str, Any] | None:
        """What the text that the model writes must fit."""
        if self.only:
            return self.only.parameters
        if self.offered:
            return _either(self.offered, text=self.tool_choice == "auto")
        if self.response_format is None or self.response_format.type == "text":
            return None
        named = self.response_format.json_schema
        return named.schema_ if named else {"type": "object"}

    def question(self) -> Question:
        """What the model is asked: it reads the schema, too, which a grammar alone would not tell it."""
        schema, messages = self.schema_of_answer, [message.plain() for message in self.messages]
        if schema is not None:
            told = "\n".join(
                [*(f"{tool.name}: {tool.description}" for tool in self.offered), WITH_JSON + json.dumps(schema)]
            )
            first = messages.pop(0)["content"] + "\n" if messages[0]["role"] == "system" else ""
            messages.insert(0, {"role": "system", "content": first + told})
        return Question(messages, schema, self.temperature or 0.0, self.seed)


WITH_JSON = "Answer with JSON that fits this schema: "


def _either(tools: list[Function], *, text: bool) -> dict[str, Any]:
    """A call of one of these tools, or a text; each tool's definitions get a name of their own."""
    definitions: dict[str, Any] = {}
    ways: list[dict[str, Any]] = [_object({TEXT: {"type": "string"}})] if text else []
    for tool in tools:
        prefix = f'"#/$defs/{tool.name}.'
        own: dict[str, Any] = json.loads(json.dumps(tool.parameters).replace('"#/$defs/', prefix))
        definitions |= {f"{tool.name}.{name}": each for name, each in own.get("$defs", {}).items()}
        arguments = {key: value for key, value in own.items() if key != "$defs"}
        ways.append(_object({"name": {"const": tool.name}, "arguments": arguments}))
    return {"anyOf": ways, **({"$defs": definitions} if definitions else {})}


def _object(properties: dict[str, Any]) -> dict[str, Any]:
    return {"type": "object", "properties": properties, "required": list(properties), "additionalProperties": False}
