"""The journal of calls in the record: begin reserves and records the intent, settle keeps the answer."""

from dataclasses import dataclass
from typing import Any, Literal

from orchestrator.budget import TOOLS, Over
from orchestrator.state import keys
from orchestrator.state.records import decode, encode
from orchestrator.state.scripts import Scripts
from orchestrator.state.steps import Lease

State = Literal["done", "rejected", "unknown", "unsent"]


@dataclass(frozen=True)
class Cost:
    """What a call costs: calls, also for each glob of tools that has a ceiling, model tokens, money in micro-USD."""

    tool_calls: int = 1
    input_tokens: int = 0
    micro_usd: int = 0
    output_tokens: int = 0
    globs: tuple[str, ...] = ()

    def __str__(self) -> str:
        """As the scripts read it: what is most special first, since the first ceiling that is reached is named."""
        amounts = {f"{TOOLS}{glob}": self.tool_calls for glob in self.globs}
        amounts |= {"input_tokens": self.input_tokens, "output_tokens": self.output_tokens}
        amounts |= {"tool_calls": self.tool_calls, "tokens": self.input_tokens + self.output_tokens}
        amounts |= {"usd": self.micro_usd}
        return ",".join(f"{kind}={amount}" for kind, amount in amounts.items() if amount)


NOTHING = Cost(tool_calls=0)


@dataclass(frozen=True)
class Begun:
    """The answer to begin.

    GO and AGAIN (`before`: unknown, begun or unsent) mean send it, and `low` names the kinds of which 80 % are used now
    for the first time; REPLAY brings the stored `value` of a call that was
    `before` done or rejected; OVER says which ceiling is reached (`over`), STALE and DEAD say why in `before`;
    DIVERGED names the tool that has this number.
    """

    answer: str
    before: str = ""
    value: Any = None
    low: tuple[str, ...] = ()
    over: Over | None = None


class CallStore:
    """Begins and settles calls."""

    def __init__(self, scripts: Scripts) -> None:
        self._scripts = scripts

    async def begin(self, lease: Lease, number: int, fingerprint: str, tool: str, cost: Cost) -> Begun:
        """Before a call is sent."""
        row = await self._scripts.run(
            "call_begin", lease.job_id, lease.step, lease.fence, number, fingerprint, tool, str(cost)
        )
        answer, before = row[0].decode(), row[1].decode()
        if answer == "REPLAY":
            return Begun(answer, before, decode(row[2]))
        if answer == "OVER":
            return Begun(answer, over=Over(before, row[2].decode(), row[3].decode()))
        return Begun(answer, before, low=tuple(kind.decode() for kinds in row[2:] for kind in kinds))

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
