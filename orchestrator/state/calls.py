"""The journal of calls in the record: begin reserves and records the intent, settle keeps the answer."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

from orchestrator.budget import TOOLS, Over, named
from orchestrator.state import keys
from orchestrator.state.records import decode, encode
from orchestrator.state.scripts import Scripts
from orchestrator.state.steps import Lease

State = Literal["done", "rejected", "asked", "unknown", "unsent"]


@dataclass(frozen=True)
class Cost:
    """What a call costs: calls, also for each glob of tools that has a ceiling, tokens, micro-USD, bytes of its answer.

    What undoes something is counted apart, on the allowance that the job has for it. `unpriced`: nobody said what its
    tool costs, and so its money counts as nothing.
    """

    tool_calls: int = 1
    input_tokens: int = 0
    micro_usd: int = 0
    output_tokens: int = 0
    globs: tuple[str, ...] = ()
    undo: int = 0
    undo_micro_usd: int = 0
    answer_bytes: int = 0
    unpriced: bool = False

    def __str__(self) -> str:
        """As the scripts read it: what is most special first, since the first ceiling that is reached is named."""
        amounts = {f"{TOOLS}{glob}": self.tool_calls for glob in self.globs}
        amounts |= {"input_tokens": self.input_tokens, "output_tokens": self.output_tokens}
        amounts |= {"tool_calls": self.tool_calls, "tokens": self.input_tokens + self.output_tokens}
        amounts |= {"usd": self.micro_usd, "undo": self.undo, "undo_usd": self.undo_micro_usd}
        amounts |= {"answer_bytes": self.answer_bytes}
        return ",".join(f"{kind}={amount}" for kind, amount in amounts.items() if amount)


NOTHING = Cost(tool_calls=0)
LOOK_UP = "look-up"
"""The effect of a call that asks what became of another: no attempt has to ask it again."""


@dataclass(frozen=True)
class Begun:
    """The answer to begin.

    GO and AGAIN (`before`: unknown, begun or unsent) mean send it, and `low` names the kinds of which 80 % are used now
    for the first time; it was begun `sends` times, now at `at_ms` since 1970; `first` is the tool's digest when the job
    first saw it, if it is another one now; `cost` is what was reserved: it may have fewer bytes for the answer than
    were asked; `unpriced`: its tool has no price although money has a ceiling, said once a job and tool. REPLAY brings
    the stored `value` of a call that was `before` done, rejected or asked; OVER says which ceiling is reached (`over`),
    STALE and DEAD say why in `before`; DIVERGED names the tool that has this number; BUSY: calls under way hold the
    bytes that are left; CHANGED says what the tool was (`first`), and that it is not called.
    """

    answer: str
    before: str = ""
    value: Any = None
    low: tuple[str, ...] = ()
    over: Over | None = None
    sends: int = 0
    at_ms: int = 0
    cost: Cost = NOTHING
    first: str = ""
    unpriced: bool = False


@dataclass(frozen=True)
class Pin:
    """What a tool is now, and whether a call of it is refused where the job first saw another one."""

    digest: str = ""
    refuse: bool = False


UNPINNED = Pin()


@dataclass(frozen=True)
class Recorded:
    """A call in the journal: what was asked, and how far it came; its answer is read when it is wanted.

    Attributes:
        number: the call's number, part of its deduplication key.
        asked: the fingerprint of tool and arguments.
        tool: "<server>.<tool>".
        effect: read, idempotent, keyed or unsafe; look-up: what a call in doubt asked.
        state: begun, done, rejected, asked (its tool asked people before it goes on: another call does, whose `asked`
            is `continues <number>`), unknown or unsent.
        sends: how often it was begun, and so may have been sent.
        at_ms: when it was begun last, milliseconds since 1970.
    """

    number: int
    asked: str
    tool: str
    effect: str
    state: str
    sends: int = 1
    at_ms: int = 0

    @property
    def finished(self) -> bool:
        """There is an answer: a result, a definite no, or questions to people."""
        return self.state in {"done", "rejected", "asked"}

    @property
    def unsettled(self) -> bool:
        """It may have been sent, and nobody knows what came of it."""
        return self.state in {"begun", "unknown"}

    @property
    def changed_something(self) -> bool:
        """It has, or may have, changed the world."""
        return self.effect not in {"read", LOOK_UP} and self.state in {"begun", "unknown", "done"}


class CallStore:
    """Begins and settles calls."""

    def __init__(self, scripts: Scripts) -> None:
        self._scripts = scripts

    async def begin(
        self,
        lease: Lease,
        number: int,
        fingerprint: str,
        tool: str,
        cost: Cost,
        effect: str = "unsafe",
        pin: Pin = UNPINNED,
    ) -> Begun:
        """Before a call is sent."""
        words = (lease.job_id, lease.step, lease.fence, number, fingerprint, tool, str(cost), effect)
        row = await self._scripts.run("call_begin", *words, pin.digest, int(pin.refuse), int(cost.unpriced))
        answer, before = row[0].decode(), row[1].decode()
        if answer == "REPLAY":
            return Begun(answer, before, decode(row[2]))
        if answer == "OVER":
            return Begun(answer, over=Over(before, row[2].decode(), row[3].decode()))
        if answer == "CHANGED":
            return Begun(answer, first=before)
        if answer not in {"GO", "AGAIN"}:
            return Begun(answer, before)
        low = tuple(kind.decode() for kind in row[2])
        cost = cost if row[5] == cost.answer_bytes else replace(cost, answer_bytes=row[5])
        first, unpriced = row[6].decode(), row[7] == 1
        return Begun(answer, before, low=low, sends=row[3], at_ms=row[4], cost=cost, first=first, unpriced=unpriced)

    async def pin(self, lease: Lease, digests: Mapping[str, str]) -> dict[str, str] | str:
        """Note what each of these tools is. Answers what those were at first that are others now; or STALE, DEAD."""
        words = [word for pair in digests.items() for word in pair]
        row = await self._scripts.run("pin", lease.job_id, lease.step, lease.fence, *words)
        if row[0] != b"OK":
            return row[0].decode()
        found = [word.decode() for word in row[1]]
        return dict(zip(found[::2], found[1::2], strict=True))

    async def recall(self, lease: Lease) -> list[Recorded]:
        """What the attempts of this step have asked so far, by number."""
        rows = await self._scripts.run("recall", lease.job_id, lease.step)
        return [
            Recorded(number, *(word.decode() for word in words), sends=sends, at_ms=at_ms)
            for number, *words, sends, at_ms in rows
        ]

    async def stored(self, lease: Lease, number: int) -> Any:
        """The answer that is kept of a finished call."""
        return decode(
            await self._scripts.client.command("HGET", keys.calls(lease.job_id), f"{lease.step}:{number}:out")
        )

    async def answer(self, lease: Lease, question_id: str) -> Any:
        """What a person answered to this question, or None."""
        return (await self.answers(lease, [question_id])).get(question_id)

    async def answers(self, lease: Lease, question_ids: Sequence[str]) -> dict[str, Any]:
        """What a person answered to these questions, by id; what is open is missing."""
        if not question_ids:
            return {}
        names = [f"a:{question_id}" for question_id in question_ids]
        texts = await self._scripts.client.command("HMGET", keys.job(lease.job_id), *names)
        found = zip(question_ids, texts, strict=True)
        return {question_id: decode(text) for question_id, text in found if text is not None}

    async def emit(self, lease: Lease, message: str) -> None:
        """Tell those who watch the job; after its end nobody is told."""
        await self._scripts.run("emit", lease.job_id, lease.step, message)

    async def settle(self, lease: Lease, number: int, state: State, value: Any, cost: Cost) -> str:
        """After a call. Answers OK, STALE, DEAD, or OVERRUN and which amount is more than was reserved.

        `cost` has the most bytes that the answer may have; what is kept of it counts.
        """
        text = encode(value)
        if state in {"done", "rejected", "asked"}:
            cost = replace(cost, answer_bytes=min(cost.answer_bytes, len(text.encode())))
        words = (lease.job_id, lease.step, lease.fence, number, state, text, str(cost))
        row = await self._scripts.run("call_settle", *words)
        if row[0] == b"OVERRUN":
            kind, used, reserved = (word.decode() for word in row[1:])
            return f"OVERRUN {used} {named(kind)}, at most {reserved} could be expected"
        return row[0].decode()
