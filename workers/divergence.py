"""An attempt that asks otherwise than the ones before it: what it may still ask, and what it must not leave out."""

from typing import Any

from orchestrator.state.calls import Recorded
from orchestrator.telemetry import Span
from orchestrator.telemetry.names import Happening, Kind
from orchestrator.telemetry.redaction import as_text
from orchestrator.workflow import Diverged
from tools.effects import Effect
from tools.tool import Tool
from workers.record import Record
from workers.replay import Call
from workers.verdict import Failed, Stop


class Divergence:
    """Of one attempt, by its specialist's policy."""

    def __init__(self, record: Record, policy: Diverged) -> None:
        self._record, self._replay, self._policy = record, record.replay, policy

    async def left_out(self) -> Failed | None:
        """Why a step that thinks it has succeeded has not: an effect is on record that it did not ask for again."""
        outstanding = await self._replay.outstanding() if self._record.claim.before else []
        if not outstanding:
            return None
        return Failed("diverged", f"it ended without asking for {await self._shown(outstanding[0])}")

    async def otherwise(self, call: Call, tool: Tool, arguments: dict[str, Any], span: Span) -> Recorded | None:
        """A question that was certainly never sent: may it be? Answers what on record stands for it.

        Raises:
            Stop: it may not.
        """
        outstanding = await self._replay.outstanding() if tool.effect is not Effect.READ else []
        passed = outstanding[0] if outstanding else self._replay.passed
        if passed is None:
            return None
        span.event(Happening.DIVERGED, recorded=f"{passed.tool} as call {passed.number}")
        if not outstanding:
            return None
        if self._policy == "recorded":
            done = (row for row in outstanding if row.tool == tool.name and row.state == "done")
            if (row := next(done, None)) is not None:
                self._replay.take(call, row)
                return row
        asked = f"{tool.name} {as_text(arguments)}"
        message = f"it asked for {asked}, before it had asked again for {await self._shown(passed)}"
        self._record.failed(span, Kind.DIVERGED, message)
        raise Stop(Failed("diverged", message))

    async def _shown(self, row: Recorded) -> str:
        """A call on record, for people."""
        answer = f", answer {as_text(await self._record.stored(row.number))}" if row.state == "done" else ""
        return f"{row.tool}, which an earlier attempt had asked as call {row.number} ({row.state}{answer})"
