"""A model for the server whose tokens a test writes."""

import threading
from collections.abc import Iterator

from tools.model.engine import Question, Read, Refused

CONTEXT = 20_000


class Written:
    """An engine whose answers are written by a test; a token of the prompt is a word of it."""

    name, context = "written", CONTEXT

    def __init__(self) -> None:
        self.asked: list[Question] = []
        self.script: list[str | Exception] = []
        self.wrote: list[str] = []
        self.gate = threading.Event()
        self.gate.set()

    def read(self, question: Question) -> Read:
        if question.schema == {"type": "riddle"}:
            raise Refused("no grammar for this JSON schema: riddle")
        self.asked.append(question)
        words = " ".join(message["content"] for message in question.messages[-1:]).split()
        return Read(list(range(len(words))), question.schema, question)

    def write(self, read: Read) -> Iterator[str]:
        for piece in list(self.script):
            self.gate.wait(30)
            if isinstance(piece, Exception):
                raise piece
            self.wrote.append(piece)
            yield piece
