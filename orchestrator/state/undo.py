"""What a job had done, being undone: how workers take and end the work on each step. One method per script."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from orchestrator.state import keys
from orchestrator.state.calls import Recorded
from orchestrator.state.records import Claim, decode, encode
from orchestrator.state.scripts import Scripts
from orchestrator.state.steps import Committed, Lease

Entry = Mapping[str, Any]
"""How to undo something: `tool` and `arguments`; where it was not undone, also `why`. What nobody knows how to undo has
the number of the `call` instead of `arguments`, or of the `calls` some of which are not undone."""


@dataclass(frozen=True)
class Undoing:
    """The answer to a claim of the work of undoing a step.

    Attributes:
        claim: as of a step; its step's request, inputs and arguments are what the step itself had.
        entries: what the step remembered when it succeeded, newest last, perhaps nothing; None: it did not succeed, so
            what it did has to be learned from its calls.
    """

    claim: Claim
    entries: Sequence[Entry] | None = None


@dataclass(frozen=True)
class Undone:
    """What became of one step.

    Attributes:
        done: what was undone.
        left: what could not be undone, each with `why`.
    """

    done: Sequence[Entry] = field(default_factory=list[Entry])
    left: Sequence[Entry] = field(default_factory=list[Entry])


def not_undone(entries: Sequence[Entry] | None, calls: Sequence[Recorded], why: str) -> list[Entry]:
    """What a step remembered, or else its calls that may have had an effect, as things that nobody undoes."""
    if entries is not None:
        return [{**entry, "why": why} for entry in reversed(entries)]
    return [{"tool": call.tool, "call": call.number, "why": why} for call in calls if call.changed_something]


def unsaid(entries: Sequence[Entry], effects: Sequence[Recorded], more: str = "") -> list[Entry]:
    """The effects for which a step remembered nothing, as far as that can be told, as things that nobody undoes."""
    if not entries:
        return not_undone(None, effects, f"its specialist did not say how (on_rollback){more}")
    if len(entries) >= len(effects):
        return []
    tools, numbers = dict.fromkeys(call.tool for call in effects), [call.number for call in effects]
    why = f"these had effects, and its specialist said on_rollback for {len(entries)} of them{more}"
    return [{"tool": ", ".join(tools), "calls": numbers, "why": why}]


def work(step: str) -> str:
    """The name of the work of undoing a step."""
    return keys.UNDO + step


def is_work(step: str) -> bool:
    """Whether this is not a step but the work of undoing one."""
    return step.startswith(keys.UNDO)


class UndoStore:
    """What workers do to undo a step; they release it, give it back and keep its lease as they do with steps."""

    def __init__(self, scripts: Scripts, lease_s: float, retention_s: int) -> None:
        self._scripts, self._retention_s = scripts, retention_s
        self._lease_ms = round(lease_s * 1000)

    async def claim(self, job_id: str, undo: str) -> Undoing:
        """Take the right to undo a step."""
        row = await self._scripts.run("claim_undo", job_id, undo, self._lease_ms)
        answer, *words = row
        if answer != b"CLAIMED":
            return Undoing(Claim(answer.decode(), words[0].decode()))
        fence, attempt, number, total, request, arguments, specialist, inputs, missing, before, entries, tenant = words
        claim = Claim(
            "CLAIMED",
            fence=fence.decode(),
            attempt=int(attempt),
            number=int(number),
            total=int(total),
            request=decode(request),
            arguments=decode(arguments),
            specialist=specialist.decode(),
            inputs={inputs[i].decode(): decode(inputs[i + 1]) for i in range(0, len(inputs), 2)},
            missing=tuple(name.decode() for name in missing),
            before=before.decode(),
            tenant=tenant.decode(),
        )
        return Undoing(claim, decode(entries) if entries else None)

    async def commit(self, lease: Lease, undone: Undone) -> Committed:
        """Store what became of a step; only the holder can. The answer names the step to undo next."""
        words = (lease.job_id, lease.step, lease.fence, encode(undone), self._retention_s)
        answer, *rest = await self._scripts.run("commit_undo", *words)
        if answer != b"OK":
            return Committed(answer.decode(), rest[0].decode())
        return Committed("OK", ready={step.decode(): whose.decode() for step, whose in zip(*rest, strict=True)})
