"""What the server needs of a model: it reads a question, and writes its answer token by token."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol


class Refused(Exception):
    """The question cannot be answered as it is asked; the message says why.

    Attributes:
        status: HTTP status of the answer.
        code: OpenAI's word for it, where it has one.
        retry_after_s: when to ask again, where that helps.
    """

    def __init__(self, message: str, status: int = 400, code: str = "", retry_after_s: int | None = None) -> None:
        super().__init__(message)
        self.status, self.code, self.retry_after_s = status, code, retry_after_s


@dataclass(frozen=True)
class Question:
    """What is asked.

    Attributes:
        messages: `role` (system, user, assistant) and `content`, oldest first.
        schema: JSON Schema that the answer must fit; None: any text.
        temperature: 0 is always the likeliest token.
        seed: of the draws, where the temperature is not 0.
    """

    messages: Sequence[Mapping[str, str]]
    schema: Mapping[str, Any] | None = None
    temperature: float = 0.0
    seed: int | None = None


@dataclass(frozen=True)
class Read:
    """A question as the model reads it.

    Attributes:
        tokens: of the whole prompt.
        grammar: what the answer is held to, as the engine has it; None: nothing.
        question: what was asked.
    """

    tokens: Sequence[int]
    grammar: Any
    question: Question


class Engine(Protocol):
    """A model. It answers one question at a time.

    Attributes:
        name: of the model.
        context: tokens of prompt and answer together, at most.
    """

    name: str
    context: int

    def read(self, question: Question) -> Read:
        """Make tokens and grammar of a question.

        Raises:
            Refused: there is no grammar for its schema.
        """
        ...

    def write(self, read: Read) -> Iterator[str]:
        """The answer, a text for each token (it may be empty), until the model ends it."""
        ...
