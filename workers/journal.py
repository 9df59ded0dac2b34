"""The tool calls of one attempt: each numbered, journaled, budgeted, and sent with its deduplication key."""

import hashlib
from collections.abc import Mapping
from fnmatch import fnmatchcase
from typing import Any

from orchestrator.budget import named
from orchestrator.state.calls import NOTHING, Begun, CallStore, Cost
from orchestrator.state.records import Claim, Question, encode
from orchestrator.state.steps import Lease
from orchestrator.telemetry import Span, Spans
from orchestrator.telemetry.names import Happening
from tools.effects import Effect
from tools.outcome import NeedsInput, OutcomeUnknown, Rejected, Unavailable
from tools.servers import Tool, ToolServers
from workers.ceiling import stopped
from workers.verdict import Failed, Later, Lost, Parked, Stop


def fingerprint(tool: str, arguments: Mapping[str, Any]) -> str:
    """What is asked, as a short digest; equal for equal arguments whatever their order."""
    text = encode([tool, sorted((name, encode(value)) for name, value in arguments.items())])
    return hashlib.sha256(text.encode()).hexdigest()[:16]


class Journal:
    """Calls tools for one attempt of one step."""

    def __init__(
        self, store: CallStore, tools: ToolServers, spans: Spans, lease: Lease, claim: Claim, allowed: tuple[str, ...]
    ) -> None:
        """`claim`: may an earlier attempt have left finished calls, and which tools have their own ceiling?"""
        self._store, self._tools, self._spans, self._lease = store, tools, spans, lease
        self._allowed, self._claim, self._number = allowed, claim, 0

    async def call(self, name: str, arguments: dict[str, Any], timeout_s: float) -> Any:
        """One call: replay it, or check, reserve, send and settle it."""
        self._number += 1
        number, asked = self._number, fingerprint(name, arguments)
        key = f"{self._lease.job_id}.{self._lease.step}:{number}"
        with self._spans.tool(self._lease.job_id, name, arguments, key=key) as span:
            if self._claim.again:
                finished = await self._store.finished(self._lease, number, asked)
                if finished is not None:
                    span.answer(finished.value, replayed=True)
                    return _replayed(name, finished)
            try:
                tool = await self._tools.find(name, self._allowed)
            except Unavailable as error:
                raise Stop(Later(str(error), error.retry_after_s or 0)) from error
            tool.check(arguments)
            answer = await self._send(tool, arguments, number, asked, key, timeout_s, span)
            span.answer(answer)
            return answer

    async def _send(
        self,
        tool: Tool,
        arguments: dict[str, Any],
        number: int,
        asked: str,
        key: str,
        timeout_s: float,
        span: Span,
    ) -> Any:
        cost = self._cost(tool)
        begun = await self._begin(tool, number, asked, cost, span)
        if begun.answer == "REPLAY":
            return _replayed(tool.name, begun)
        if begun.answer == "AGAIN" and begun.before != "unsent" and tool.effect is Effect.UNSAFE:
            found = await self._after_doubt(tool, arguments, number, key)
            if found is not None:
                return found["result"]
        try:
            answer = await tool.call(arguments, key=key, timeout_s=timeout_s)
        except Rejected as error:
            await self._settle(number, "rejected", str(error), cost)
            raise
        except Unavailable as error:
            await self._settle(number, "unsent", None, NOTHING)
            raise Stop(Later(str(error), error.retry_after_s or 0)) from error
        except NeedsInput as error:
            await self._settle(number, "unsent", None, NOTHING)
            raise Stop(
                Failed("needs input", f"{tool.name} asks for input, which this version cannot pass on")
            ) from error
        except OutcomeUnknown as error:
            if tool.effect is Effect.UNSAFE:
                found = await self._after_doubt(tool, arguments, number, key)
                if found is not None:
                    return found["result"]
            await self._settle(number, "unknown", None, cost)
            raise Stop(Later(str(error))) from error
        await self._settle(number, "done", answer, cost)
        return answer

    async def _begin(self, tool: Tool, number: int, asked: str, cost: Cost, span: Span) -> Begun:
        begun = await self._store.begin(self._lease, number, asked, tool.name, cost)
        if begun.over:
            raise Stop(stopped(self._claim, self._lease.step, begun.over))
        _go_on(begun, tool.name)
        for kind in begun.low:
            span.event(Happening.BUDGET_LOW, ceiling=named(kind))
        return begun

    async def _after_doubt(self, tool: Tool, arguments: dict[str, Any], number: int, key: str) -> dict[str, Any] | None:
        """What became of an unsafe call that was sent: its result, or None when it surely did not happen."""
        question = _in_doubt(self._lease.step, number, tool, arguments, key)
        known = await self._store.answer(self._lease, question.id)
        if known is None and tool.lookup:
            known = await self._looked_up(tool.lookup, number, key)
        if known is None:
            await self._settle(number, "unknown", None, NOTHING)
            raise Stop(Parked([question]))
        if not known["happened"]:
            return None
        await self._settle(number, "done", known.get("result"), self._cost(tool))
        return {"result": known.get("result")}

    async def _looked_up(self, lookup: str, number: int, key: str) -> dict[str, Any] | None:
        """What the look-up says of a key; None where it cannot tell. One that fails is asked again, later."""
        try:
            looker = await self._tools.find(lookup, (lookup,))
            looked = await looker.call({"key": key}, key=f"{key}:lookup", timeout_s=looker.timeout_s)
        except (Unavailable, OutcomeUnknown) as error:
            await self._settle(number, "unknown", None, NOTHING)
            raise Stop(Later(str(error), getattr(error, "retry_after_s", None) or 0)) from error
        except Rejected:
            return None
        tells = isinstance(looked, dict) and isinstance(looked.get("found"), bool)
        return {"happened": looked["found"], "result": looked} if tells else None

    def _cost(self, tool: Tool) -> Cost:
        globs = tuple(glob for glob in self._claim.globs if fnmatchcase(tool.name, glob))
        return Cost(globs=globs, micro_usd=tool.price_micro_usd)

    async def _settle(self, number: int, state: Any, value: Any, cost: Cost) -> None:
        answer = await self._store.settle(self._lease, number, state, value, cost)
        if answer != "OK":
            raise Stop(Lost(f"call settled too late: {answer}"))


def _go_on(begun: Begun, tool: str) -> None:
    if begun.answer in {"STALE", "DEAD"}:
        raise Stop(Lost(f"{begun.answer} {begun.before}"))
    if begun.answer == "DIVERGED":
        raise Stop(Failed("diverged", f"{tool} was asked where an earlier attempt asked {begun.before} otherwise"))


def _replayed(tool: str, finished: Begun) -> Any:
    if finished.before == "rejected":
        raise Rejected(tool, str(finished.value))
    return finished.value


def _in_doubt(step: str, number: int, tool: Tool, arguments: dict[str, Any], key: str) -> Question:
    return Question(
        id=f"{step}/call-{number}",
        field=f"call-{number}",
        kind="in_doubt",
        step=step,
        prompt=f"did {tool.name} happen? It was sent, and no answer came",
        schema={
            "type": "object",
            "properties": {"happened": {"type": "boolean"}, "result": {}},
            "required": ["happened"],
        },
        example={"happened": False},
        details={"tool": tool.name, "arguments": arguments, "key": key},
    )
