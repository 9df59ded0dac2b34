"""One job as the audit reads it: its record, journal, events and trace, each read once, after the run."""

from dataclasses import dataclass
from functools import cached_property
from typing import Any

from orchestrator import Job
from orchestrator.state.records import Event, JobRecord
from orchestrator.telemetry import names
from orchestrator.telemetry.tree import Trace

ENDS = {"succeeded", "failed", "retrying", "question"}
"""Events by which an attempt lets go of its step."""


@dataclass(frozen=True)
class Lost:
    """An attempt that never ended: its worker was killed. Times in seconds since 1970, by the record's clock."""

    step: str
    attempt: int
    claimed: float
    again: float


@dataclass(frozen=True)
class Story:
    """What became of one job."""

    workflow: str
    item: str
    record: JobRecord
    calls: list[dict[str, Any]]
    events: list[Event]
    replays: int

    @classmethod
    def of(cls, job: Job, workflow: str, item: str) -> "Story":
        """Read it; a job that has not ended has the events until now."""
        record = job.record
        events = list(job.events()) if record.status.final else []
        return cls(workflow, item, record, job.calls, events, _replays(job.spans))

    @property
    def id(self) -> str:
        return self.record.id

    def count(self, kind: str) -> int:
        """How many events of a kind there are."""
        return sum(event.type == kind for event in self.events)

    @property
    def refunded(self) -> int:
        """Calls that were certainly not executed, and so cost nothing."""
        return sum(event.type == "call" and event.data["outcome"] == "unsent" for event in self.events)

    @cached_property
    def lost(self) -> list[Lost]:
        """Attempts that were followed by another one although they had not let go."""
        held: dict[str, Event] = {}
        found: list[Lost] = []
        for event in self.events:
            if event.type == "started":
                if event.step in held:
                    before = held[event.step]
                    found.append(Lost(event.step, int(before.data), before.at, event.at))
                held[event.step] = event
            elif event.type in ENDS:
                held.pop(event.step, None)
        return found

    @cached_property
    def longest_wait(self) -> float:
        """The longest that a step which could go on was not claimed by anybody, seconds."""
        first: dict[tuple[str, str], float] = {}
        for event in self.events:
            first.setdefault((event.type, event.step), event.at)
        opened = self.events[0].at if self.events else 0.0
        waits = [0.0]
        for step in self.record.steps():
            freed = max((first.get(("succeeded", name), opened) for name in step.after), default=opened)
            waits.append(first.get(("started", step.name), freed) - freed)
        return max(waits)


def _replays(spans: list[bytes]) -> int:
    trace = Trace.read(spans)
    return sum(bool(node.attributes.get(names.REPLAYED)) for node in trace.nodes) if trace else 0
