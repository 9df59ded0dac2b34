"""Matches what this attempt of a step asks with what its earlier attempts have asked. It sends nothing.

The rule, and why no effect is doubled by a specialist that asks otherwise when it runs again:

1. A call takes the first recorded call of the very same question (tool and arguments) that this attempt has not taken
   yet, whatever its place, with its number: its key is the same on every attempt.
2. A question that was never asked gets a number that no attempt has used: a key never stands for two questions.
3. Before an effect is sent that certainly never was, this attempt must have taken every effect that is on record
   (done, begun or unknown). Else the attempt has diverged, and the specialist's policy decides.
4. A step does not succeed before it has taken them all either: no effect is left that its output does not know of.

A call whose tool asked people is gone on with by another one, which has a number of its own and says which call it
continues. Who takes the first takes all that continue it: they are one question of the specialist.

What is on record is read once an attempt. That is enough: only the holder of the step's lease adds to it.
"""

import asyncio
import hashlib
from collections import Counter
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from orchestrator.state.calls import LOOK_UP, Recorded
from orchestrator.state.records import encode
from tools.tool import Tool
from tools.way import Said


def fingerprint(tool: str, arguments: Mapping[str, Any]) -> str:
    """What is asked, as a short digest; equal for equal arguments whatever their order."""
    text = encode([tool, sorted((name, encode(value)) for name, value in arguments.items())])
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def continues(number: int) -> str:
    """What a call asks that goes on with another one, whose tool had asked people."""
    return f"continues {number}"


@dataclass(eq=False)
class Call:
    """A call of this attempt: its number, what is on record of it, and what people said where it goes on with one.

    `nth`: how often this attempt has asked the very same by now.
    """

    tool: str
    asked: str
    number: int = 0
    row: Recorded | None = None
    said: Said | None = None
    nth: int = 1

    @property
    def followed(self) -> bool:
        """It may have had its effect already: it is followed to its end."""
        return self.row is not None and self.row.changed_something

    def known_by(self, tool: Tool, key: str) -> str:
        """The key by which its tool knows it: where an argument carries it, that of the call that asked first."""
        return self.said.key if self.said and tool.key_argument else key


class Replay:
    """The calls of one attempt."""

    def __init__(self, recall: Callable[[], Awaitable[Sequence[Recorded]]] | None = None) -> None:
        """`recall` reads what is on record; None: this is the first attempt."""
        self._recall, self._reading = recall, asyncio.Lock()
        self._left: list[Recorded] = []
        self._continued = dict[int, Recorded]()
        self._calls: list[Call] = []
        self._last, self._times = 0, Counter[str]()

    async def ask(self, tool: str, asked: str) -> Call:
        """Number a call. Calls that are asked side by side are numbered in the order in which they were asked."""
        self._times[asked] += 1
        call = Call(tool, asked, nth=self._times[asked])
        self._calls.append(call)
        try:
            await self._read()
        except BaseException:
            if call in self._calls:  # a call that was cancelled takes nothing
                self._calls.remove(call)
            raise
        self._match()
        return call

    async def tools(self) -> set[str]:
        """The tools of the calls on record that this attempt has not taken."""
        await self._read()
        return {row.tool for row in self._left}

    def continuation(self, call: Call, said: Said | None = None) -> Call:
        """The call that goes on with this one: the one on record, else a new one."""
        row = self._continued.get(call.number)
        return Call(call.tool, continues(call.number), row.number if row else self.fresh(), row, said)

    async def outstanding(self) -> list[Recorded]:
        """The effects on record that this attempt has not taken, by number; those asked side by side count as taken."""
        await self._read()
        if self.ahead:
            await asyncio.sleep(0)  # the other calls of a gather() ask in this turn of the loop
        return [row for row in self._left if row.changed_something]

    @property
    def ahead(self) -> bool:
        """Whether an effect is on record that this attempt has not taken."""
        return any(row.changed_something for row in self._left)

    @property
    def passed(self) -> Recorded | None:
        """The first call on record that this attempt has not taken."""
        return next((row for row in self._left if row.effect != LOOK_UP), None)

    def fresh(self) -> int:
        """A number that no attempt has used."""
        self._last += 1
        return self._last

    def take(self, call: Call, row: Recorded) -> None:
        """Let a call stand for one on record that asked otherwise."""
        call.number, call.row = row.number, row
        taken: Recorded | None = row
        while taken is not None:
            self._left.remove(taken)
            number = taken.number
            if taken := next((each for each in self._left if each.asked == continues(number)), None):
                self._continued[number] = taken

    async def _read(self) -> None:
        if self._recall is None:
            return
        async with self._reading:
            if self._recall is not None:
                self._left = list(await self._recall())
                self._last = max((row.number for row in self._left), default=0)
                self._recall = None

    def _match(self) -> None:
        """Number those that wait, in order: the last of them to come back finds itself numbered."""
        for call in self._calls:
            row = next((row for row in self._left if row.asked == call.asked), None)
            if row is None:
                call.number = self.fresh()
            else:
                self.take(call, row)
        self._calls.clear()
