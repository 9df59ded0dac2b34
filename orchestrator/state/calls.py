"""The journal of calls in the record: begin reserves and records the intent, settle keeps the answer."""

from dataclasses import dataclass
from typing import Any, Literal

from orchestrator.state import keys
from orchestrator.state.records import decode, encode
from orchestrator.state.scripts import Scripts
from orchestrator.state.steps import Lease

State = Literal["done", "rejected", "unknown", "unsent"]


@dataclass(frozen=True)
class Cost:
    """What a call costs: calls, model tokens, money in micro-USD."""

    tool_calls: int = 1
    tokens: int = 0
    micro_usd: int = 0

    def __str__(self) -> str:
        return f"{self.tool_calls}:{self.tokens}:{self.micro_usd}"


@dataclass(frozen=True)
class Begun:
    """The answer to begin.

    GO and AGAIN (`before`: unknown, begun or unsent) mean send it; REPLAY brings the stored `value` of a call that was
    `before` done or rejected; OVER names the ceiling (`before`), STALE and DEAD say why in `before`;
    DIVERGED names the tool that has this number.
    """

    answer: str
    before: str = ""
    value: Any = None


class CallStore:
    """Begins and settles calls."""

    def __init__(self, scripts: Scripts) -> None:
        self._scripts = scripts

    async def begin(self, lease: Lease, number: int, fingerprint: str, tool: str, cost: Cost) -> Begun:
        """Before a call is sent."""
        row = await self._scripts.run(
            "call_begin", lease.job_id, lease.step, lease.fence, number, fingerprint, tool, str(cost)
        )
        answer, words = row[0].decode(), [word.decode() for word in row[1:]]
        if answer == "REPLAY":
            return Begun(answer, words[0], decode(words[1]))
        if answer == "OVER":
            return Begun(answer, f"{words[0].replace('_', ' ')} {words[1]} of {words[2]}")
        return Begun(answer, *words[:1])

    async def finished(self, lease: Lease, number: int, fingerprint: str) -> Begun | None:
        """The stored answer of this call, if an earlier attempt finished the very same one."""
        place = f"{lease.step}:{number}:"
        words = (place + "state", place + "print", place + "out")
        state, asked, value = await self._scripts.client.command("HMGET", keys.calls(lease.job_id), *words)
        if state not in {b"done", b"rejected"} or asked != fingerprint.encode():
            return None
        return Begun("REPLAY", state.decode(), decode(value))

    async def answer(self, lease: Lease, question_id: str) -> Any:
        """What a person answered to this question, or None."""
        answer = await self._scripts.client.command("HGET", keys.job(lease.job_id), f"a:{question_id}")
        return None if answer is None else decode(answer)

    async def emit(self, lease: Lease, message: str) -> None:
        """Tell those who watch the job; after its end nobody is told."""
        await self._scripts.run("emit", lease.job_id, lease.step, message)

    async def settle(self, lease: Lease, number: int, state: State, value: Any, cost: Cost) -> str:
        """After a call. Answers OK, STALE or DEAD."""
        row = await self._scripts.run(
            "call_settle", lease.job_id, lease.step, lease.fence, number, state, encode(value), str(cost)
        )
        return row[0].decode()
