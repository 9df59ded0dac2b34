"""Steps in the record, as workers change them: claim, commit, release, park, renew. One method per script."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from orchestrator.errors import InvalidRequest
from orchestrator.plan import Plan, Step
from orchestrator.state.jobs import rows
from orchestrator.state.records import Claim, JobRecord, Question, encode
from orchestrator.state.scripts import Scripts


@dataclass(frozen=True)
class Committed:
    """The answer to a commit: OK with the steps that became ready and whose they are, else why not."""

    answer: str
    why: str = ""
    ready: Mapping[str, str] = field(default_factory=dict[str, str])


@dataclass(frozen=True)
class Ending:
    """How an attempt ended for good: what `commit` stores.

    Attributes:
        outcome: succeeded or failed.
        value: the output, or the error as a JSON object.
        message: one line for people.
        reason: why the whole job fails whether or not the step is optional; finish: the step is left out at a
            ceiling and the job does no new work; empty: as the step's profile says.
        growth: steps that the plan grows by, as `growth()` makes them.
        rollback: the calls that undo this step, newest last.
    """

    outcome: str
    value: Any
    message: str = ""
    reason: str = ""
    growth: str = ""
    rollback: Sequence[Mapping[str, Any]] = ()


@dataclass(frozen=True)
class Lease:
    """The right to run one step."""

    job_id: str
    step: str
    fence: str

    @property
    def name(self) -> str:
        """The task's id, `<job>.<step>`."""
        return f"{self.job_id}.{self.step}"


class StepStore:
    """What workers do to steps."""

    def __init__(self, scripts: Scripts, lease_s: float, retention_s: int) -> None:
        self._scripts, self._retention_s = scripts, retention_s
        self._lease_ms = round(lease_s * 1000)

    async def claim(self, job_id: str, step: str) -> Claim:
        """Take the right to run a step."""
        return Claim.read(await self._scripts.run("claim", job_id, step, self._lease_ms, self._retention_s))

    async def commit(self, lease: Lease, ending: Ending) -> Committed:
        """Store how a step ended; only its holder can."""
        answer = await self._scripts.run(
            "commit",
            lease.job_id,
            lease.step,
            lease.fence,
            ending.outcome,
            encode(ending.value),
            self._retention_s,
            ending.reason,
            ending.message,
            ending.growth,
            encode(ending.rollback) if ending.rollback else "",
        )
        if answer[0] == b"OK":
            return Committed(
                "OK",
                answer[1].decode(),
                {step.decode(): whose.decode() for step, whose in zip(*answer[2:], strict=True)},
            )
        return Committed(answer[0].decode(), answer[1].decode())

    async def release(self, lease: Lease, *, delay_s: float, grace_s: float, why: Mapping[str, Any]) -> str:
        """Give a step back, to be claimed again after `delay_s`. Answers OK, STALE or DEAD."""
        times = (round(delay_s * 1000), round(grace_s * 1000))
        answer = await self._scripts.run(
            "release", lease.job_id, lease.step, lease.fence, *times, encode(why), self._retention_s
        )
        return answer[0].decode()

    async def give_back(self, lease: Lease, grace_s: float) -> str:
        """Hand a step on because this worker stops; the attempt does not count. Answers OK, STALE or DEAD."""
        why = encode({"kind": "stopped", "message": "its worker stopped"})
        words = (lease.job_id, lease.step, lease.fence, round(grace_s * 1000), why, self._retention_s)
        return (await self._scripts.run("give_back", *words))[0].decode()

    async def refuse(self, job_id: str, step: str, why: str, patience_s: float) -> str:
        """Say that a step came to a worker that does not know its specialist.

        Others may take it (LEFT, NOTHING); when the first refusal is older than `patience_s` this fails the job, with
        `why` (FAILED), or the step is one to be undone and is to be given up (GIVE_UP).
        """
        words = (job_id, step, round(patience_s * 1000), why, encode({"kind": "unhandled", "message": why}))
        return (await self._scripts.run("refuse", *words, self._retention_s))[0].decode()

    async def park(self, lease: Lease, questions: Iterable[Question]) -> str:
        """Let a step wait for answers. Answers OK, ANSWERED (run it again now), STALE or DEAD."""
        asked = encode({question.id: question.text for question in questions})
        answer = await self._scripts.run("park", lease.job_id, lease.step, lease.fence, asked, self._retention_s)
        return answer[0].decode()

    async def renew(self, leases: Sequence[Lease]) -> list[Lease]:
        """Keep many leases. Returns those that are not ours any more."""
        words = [word for lease in leases for word in (lease.job_id, lease.step, lease.fence)]
        return [leases[place] for place in await self._scripts.run("renew", self._lease_ms, *words)]


def growth(job: JobRecord, grower: str, added: Sequence[tuple[Step, Sequence[str]]]) -> str:
    """The steps that `grower` adds to the plan, as the commit script takes them.

    Raises:
        InvalidRequest: the grown plan is not valid: a cycle, an unknown step, two of one name, more than 2,000.
    """
    old, before = job.plan(), dict[str, list[str]]()
    new = [Step(s.specialist, s.name, (grower, *s.after), s.arguments, s.optional) for s, _ in added]
    for step, (_, waits) in zip(new, added, strict=True):
        for waiting in waits:
            if waiting not in old.by_name:
                raise InvalidRequest(f"grow(before={waiting!r}): the plan has no such step")
            before.setdefault(waiting, []).append(step.name)
    merged = Plan([*(_waiting_also(step, before.get(step.name, ())) for step in old.steps), *new])
    after: dict[str, list[str]] = {}
    for step in new:
        for dep in step.after:
            if dep in old.by_name:
                after.setdefault(dep, []).append(step.name)
    return encode(
        {
            "rows": rows(Plan(new, known=old.by_name), merged.numbers, before),
            "before": before,
            "after": after,
            "numbers": {step.name: merged.numbers[step.name] for step in old.steps},
        }
    )


def _waiting_also(step: Step, added: Sequence[str]) -> Step:
    return Step(step.specialist, step.name, (*step.after, *added), step.arguments, step.optional)
