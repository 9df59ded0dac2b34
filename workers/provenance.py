"""Where the values of a call come from: from people, or from what tools have answered.

The rule is short, so that a person who is asked can follow it. Case, spaces and punctuation do not count. A value of
the arguments is copied if an answer has it, or if it has the whole of an answer's longer value in it, or if an answer
has one of its words with a digit or an @: the number of an account, a price, an address. The name of a field with such
a mark is a value, too. It is not copied, if the request or a person's answer has it too. What is short is in every
text, and is nobody's: three letters, two digits.

Comparing takes the worker's time, so only so much of what tools have answered is kept. Nobody knows what the rest says:
from then on each value counts as copied from it that no person has said.
"""

import re
import unicodedata
from collections.abc import Iterator, Mapping
from typing import Any, cast

LETTERS, DIGITS, LONG = 4, 3, 6
"""Fewer characters, of a word or of a number, are nobody's; so many make a longer value."""
MOST_TEXTS, MOST_CHARACTERS = 20_000, 4_000_000
"""What is kept of all that tools answered to one attempt."""
NUMBER = re.compile(r"\d[\d.,:/-]*")
MARKED = re.compile(r"[\d@]")
PUNCTUATION = re.compile(r"[\W_]+")


class Provenance:
    """What was said to one attempt of a step so far, by whom."""

    def __init__(self, request: Any, inputs: Mapping[str, Any]) -> None:
        """`inputs` are the outputs of the steps before: they count as what tools answered."""
        self._people, self._numbers = set[str](), set[str]()
        self._tools: dict[str, str] = {}
        self._characters, self._unread = 0, ""
        self.person(request)
        for step, output in inputs.items():
            self.tool(f"step {step}", output)

    def person(self, said: Any) -> None:
        """A person said this."""
        for text in _leaves(said):
            self._people.add(_plain(text))
            self._numbers |= {_plain(number) for number in NUMBER.findall(text)}

    def tool(self, name: str, answer: Any) -> None:
        """A tool answered this."""
        for text in _leaves(answer, keys=True):
            if len(self._tools) >= MOST_TEXTS or self._characters + len(text) > MOST_CHARACTERS:
                self._unread = self._unread or name
                return
            if (plain := _plain(text)) not in self._tools:
                self._tools[plain] = name
                self._characters += len(text)

    def shown(self, tool: str, description: str, schema: Mapping[str, Any]) -> None:
        """A model reads this of a tool: as one text, whose single words are no values."""
        self.tool(tool, " ".join([description, *_leaves(schema, keys=True)]))

    def copied(self, arguments: Mapping[str, Any]) -> dict[str, str]:
        """The values that are copied, as texts, and who said them first."""
        said = [*_leaves(dict(arguments)), *filter(MARKED.search, _names(dict(arguments)))]
        found = {text: self._source(text) for text in said}
        return {text: source for text, source in found.items() if source}

    def _source(self, value: str) -> str:
        whole = _plain(value)
        marked = [_plain(word) for word in value.split() if MARKED.search(word)]
        parts = [part for part in dict.fromkeys([whole, *marked]) if _counts(part) and not self._own(part)]
        for told, source in self._tools.items():
            longer = len(told) >= LONG and told in whole and not self._own(told)
            if longer or any(part in told for part in parts):
                return source
        return self._unread if parts else ""

    def _own(self, text: str) -> bool:
        """A person said it; a number must be one of theirs, not a part of one."""
        if text in self._people or text in self._numbers:
            return True
        return not text.isdigit() and any(text in said for said in self._people)


def _counts(text: str) -> bool:
    return len(text) >= (DIGITS if text.isdigit() else LETTERS)


def _plain(text: str) -> str:
    return PUNCTUATION.sub("", unicodedata.normalize("NFKC", text).casefold())


def _names(value: Any) -> Iterator[str]:
    """The names of the fields of a JSON value, wherever they are."""
    if isinstance(value, Mapping):
        yield from cast("Mapping[str, Any]", value)
        value = list(cast("Mapping[str, Any]", value).values())
    if isinstance(value, list | tuple):
        for inner in cast("list[Any]", value):
            yield from _names(inner)


def _leaves(value: Any, *, keys: bool = False) -> Iterator[str]:
    """The texts and numbers of a JSON value."""
    if isinstance(value, Mapping):
        for name, inner in cast("Mapping[str, Any]", value).items():
            if keys:
                yield name
            yield from _leaves(inner, keys=keys)
    elif isinstance(value, list | tuple):
        for inner in cast("list[Any]", value):
            yield from _leaves(inner, keys=keys)
    elif isinstance(value, str):
        yield value
    elif isinstance(value, int | float) and not isinstance(value, bool):
        yield str(int(value)) if float(value).is_integer() else str(value)
