"""Sends one tool call that was begun, and settles it whatever comes of it; and says again what came of one."""

import asyncio
from dataclasses import replace
from typing import Any

from orchestrator.state.calls import NOTHING, Begun
from tools.outcome import CutOff, NeedsInput, OutcomeUnknown, Rejected, Unavailable
from tools.tool import Tool
from workers.record import Record
from workers.replay import Call


def as_recorded(tool: str, state: str, kept: Any) -> Any:
    """The answer of a finished call as it is on record.

    Raises:
        Rejected: word for word as it was said first: a model that is shown it is asked the same again.
        NeedsInput: its tool asked people.
    """
    if state == "rejected":
        raise Rejected(tool, str(kept).removeprefix(f"{tool}: "))
    if state == "asked":
        raise NeedsInput(tool, **kept)
    return kept


async def sent(
    record: Record, tool: Tool, arguments: dict[str, Any], call: Call, begun: Begun, timeout_s: float, key: str = ""
) -> Any:
    """Send it, with another key than its own where that is given.

    A tool that asks nothing of people and yet does not answer wants to be called again with the state it gave.
    """
    try:
        return await _settled(record, tool, arguments, call, begun, timeout_s, key)
    except asyncio.CancelledError:
        await record.leave(call.number, replace(begun.cost, answer_bytes=0))
        raise


async def _settled(
    record: Record, tool: Tool, arguments: dict[str, Any], call: Call, begun: Begun, timeout_s: float, key: str
) -> Any:
    cost, number = begun.cost, call.number
    way: dict[str, Any] = {"key": key or record.key(number), "timeout_s": timeout_s, "said": call.said}
    try:
        with record.meter.sending(tool.name, cost, record.claim.tenant):
            room = cost.answer_bytes or None
            answer = await tool.call(arguments, **way, ours=lambda: record.sure, most_bytes=room)
    except Rejected as error:
        await record.settle(number, "rejected", str(error), cost)
        raise
    except Unavailable:
        await record.settle(number, "unsent", None, NOTHING)
        raise
    except NeedsInput as asked:
        await record.settle(number, "asked", asked.kept, cost)
        if not asked.questions:
            raise Unavailable(tool.name, "it wants to be called again") from asked
        raise
    except OutcomeUnknown as error:
        read = cost if isinstance(error, CutOff) else replace(cost, answer_bytes=0)
        await record.settle(number, "unknown", None, read)
        raise
    await record.settle(number, "done", answer, cost)
    return answer
