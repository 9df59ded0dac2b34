"""Jobs in the record: open, read, answer, cancel, resume. One method per script."""

from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

from orchestrator.budget import UNDO
from orchestrator.errors import InvalidRequest, JobNotFound
from orchestrator.plan import Plan
from orchestrator.state import keys
from orchestrator.state.listing import PAGE, Listing, at_most
from orchestrator.state.records import Event, JobRecord, Question, decode, encode, in_order
from orchestrator.state.scripts import Scripts
from orchestrator.state.spans import unpack
from orchestrator.status import JobStatus
from orchestrator.workflow import catalogue

MOST_LOOKED_AT = 20_000


def rows(
    plan: Plan, numbers: Mapping[str, int] | None = None, before: Mapping[str, Sequence[str]] | None = None
) -> str:
    """A plan's steps as the scripts take them; `before` names steps outside it that wait for some of them."""
    numbers = numbers or plan.numbers
    dependants: dict[str, list[str]] = {step.name: [] for step in plan.steps}
    for waiting, names in (before or {}).items():
        for name in names:
            dependants[name].append(waiting)
    for step in plan.steps:
        for dep in step.after:
            dependants.setdefault(dep, []).append(step.name)
    return encode(
        [
            {
                "n": step.name,
                "s": step.specialist,
                "q": catalogue.profile(step.specialist).queue,
                "d": step.after,
                "x": dependants[step.name],
                "o": int(catalogue.profile(step.specialist).optional if step.optional is None else step.optional),
                "a": encode(step.arguments),
                "no": numbers[step.name],
            }
            for step in plan.steps
        ]
    )


def _questions(questions: Iterable[Question]) -> str:
    return encode({question.id: question.text for question in questions})


def _not_taken(job_id: str, kind: bytes, name: str) -> str:
    """Why an answer does not count: `name` is the job's status, or the question."""
    look = f"`surefoot show {job_id}`"
    return {
        b"DEAD": f"job {job_id} takes no answers: it is {name}",
        b"UNKNOWN": f"job {job_id} does not ask {name!r}; {look} lists its questions",
        b"CONFLICT": f"{name!r} was answered before, with something else; the first answer stays: {look}",
    }[kind]


@dataclass(frozen=True)
class NewJob:
    """What `open` stores: a plan, or, while the request is incomplete, questions."""

    id: str
    workflow: str
    tenant: str
    request: Any
    ceilings: Mapping[str, int]
    seconds: float | None = None
    key: str | None = None
    traceparent: str = ""
    version: str = ""
    plan: Plan | None = None
    questions: Sequence[Question] = ()
    templates: Mapping[str, str] = field(default_factory=dict[str, str])
    at_ceiling: str = "fail"
    day: Mapping[str, int] = field(default_factory=dict[str, int])
    on_failure: str = "keep"
    undo_calls: int = 0


def _fields(job: NewJob) -> dict[str, str]:
    fields = {
        "workflow": job.workflow,
        "tenant": job.tenant,
        "request": encode(job.request),
        "trace": job.traceparent,
        "at_ceiling": job.at_ceiling,
        "version": job.version,
        "format": keys.FORMAT,
        f"max:{UNDO}": str(job.undo_calls),
    }
    if job.on_failure != "keep":
        fields["on_failure"] = job.on_failure
    if job.day:
        fields |= {"purse": keys.purse(job.tenant)} | {f"day:{kind}": str(top) for kind, top in job.day.items()}
    return fields


def _milliseconds(seconds: float | None) -> int:
    return -1 if seconds is None else round(seconds * 1000)


class JobStore:
    """Reads jobs and changes them."""

    def __init__(self, scripts: Scripts, retention_s: int) -> None:
        self._scripts, self._retention_s = scripts, retention_s
        self._command = scripts.client.command

    async def open(self, job: NewJob) -> str:
        """Store a job. Returns its id, or that of the job which this tenant's key already opened."""
        answer = await self._scripts.run(
            "open",
            job.id,
            encode(_fields(job)),
            encode(job.ceilings),
            _milliseconds(job.seconds),
            rows(job.plan) if job.plan else "[]",
            _questions(job.questions),
            "" if job.key is None else keys.submission(job.tenant, job.key),
            encode(job.templates),
        )
        return answer[1].decode() if answer[0] == b"EXISTS" else job.id

    async def fork(self, source: str, job: NewJob, kept: Plan, numbers: Mapping[str, int]) -> str:
        """Store a job in which the steps `kept` are finished, as they are in `source`; its plan is the rest.

        Returns its id, or that of the job which this tenant's key already opened.

        Raises:
            InvalidRequest: one of them has not succeeded there, or what it did was undone.
        """
        assert job.plan is not None
        waiting = {step.name: [name for name in step.after if name in kept.by_name] for step in job.plan.steps}
        answer = await self._scripts.run(
            "fork",
            source,
            job.id,
            encode(_fields(job) | {"forked_from": source}),
            encode(job.ceilings),
            _milliseconds(job.seconds),
            rows(kept, numbers, waiting),
            rows(job.plan, numbers),
            encode(job.templates),
            "" if job.key is None else keys.submission(job.tenant, job.key),
        )
        kind, step, *state = (word.decode() for word in answer)
        if kind == "DEAD":
            raise JobNotFound(f"no job {source}")
        if kind == "UNDONE":
            raise InvalidRequest(f"job {source} cannot be forked after {step!r}: what it did was undone")
        if kind == "UNFINISHED":
            raise InvalidRequest(f"job {source} cannot be forked after {step!r}: it is {state[0]}, not succeeded")
        return step if kind == "EXISTS" else job.id

    async def answer(
        self,
        job_id: str,
        answers: Mapping[str, Any],
        *,
        questions: Sequence[Question] = (),
        request: Any = None,
        plan: Plan | None = None,
        templates: Mapping[str, str] | None = None,
        ceilings: Mapping[str, Mapping[str, int]] | None = None,
        more: Mapping[str, int] | None = None,
        by: str = "",
        told: int | None = None,
    ) -> list[str] | None:
        """Store a person's answers, by question id. Returns the steps that go on.

        Answers that complete the request bring it with `plan` and `templates`, others the `questions` that are left;
        one about the budget the `ceilings` it raises, by question id; `more` are raised in any case. Those about the
        request are made from a record with `told` such answers; None: there are others by now, look again.

        Raises:
            InvalidRequest: there is no such question, it was answered otherwise before, or the job has ended.
        """
        kind, what = await self._scripts.run(
            "answer",
            job_id,
            encode({name: encode(in_order(value)) for name, value in answers.items()}),
            _questions(questions),
            "" if plan is None else encode(request),
            "[]" if plan is None else rows(plan),
            encode(templates or {}),
            self._retention_s,
            encode(ceilings or {}),
            encode(by),
            "" if told is None else told,
            encode(more or {}),
        )
        if kind not in {b"OK", b"MOVED"}:
            raise InvalidRequest(_not_taken(job_id, kind, what.decode()))
        return None if kind == b"MOVED" else [step.decode() for step in what]

    async def cancel(self, job_id: str) -> JobStatus:
        """End a job now. Returns the final status it has: cancelled, or what it had ended as before."""
        answer = await self._scripts.run("cancel", job_id, self._retention_s)
        if answer[0] == b"DEAD":
            raise JobNotFound(f"no job {job_id}")
        return JobStatus.CANCELLED if answer[0] == b"OK" else JobStatus(answer[1].decode())

    async def resume(self, job_id: str, ceilings: Mapping[str, int], seconds: float | None) -> list[str]:
        """Go on with a failed job. Returns the steps that are offered.

        Raises:
            InvalidRequest: the job did not fail, or what it had done was undone.
        """
        kind, what = await self._scripts.run("resume", job_id, encode(ceilings), _milliseconds(seconds))
        if what == b"undone":
            why = "it failed, and what it had done was undone, or is being undone"
            raise InvalidRequest(f"job {job_id} cannot be resumed: {why}; submit it again")
        if kind != b"OK":
            status = what.decode()
            more = ": a cancelled job is undone; submit it again, or fork it" if status == JobStatus.CANCELLED else ""
            raise InvalidRequest(f"only a failed job can be resumed; job {job_id} is {status}{more}")
        return [step.decode() for step in what]

    async def read(self, job_id: str) -> JobRecord:
        """The whole record, in one command.

        Raises:
            JobNotFound: there is none.
        """
        words = await self._command("HGETALL", keys.job(job_id))
        if not words:
            raise JobNotFound(f"no job {job_id}; finished jobs are kept for {self._retention_s / 86_400:g} days")
        texts = [word.decode() for word in words]
        return JobRecord(job_id, dict(zip(texts[::2], texts[1::2], strict=True)))

    async def status(self, job_id: str) -> JobStatus:
        """Only the status."""
        status = await self._command("HGET", keys.job(job_id), "status")
        if status is None:
            raise JobNotFound(f"no job {job_id}")
        return JobStatus(status.decode())

    async def find(self, statuses: Iterable[JobStatus], tenant: str | None, limit: int) -> list[JobRecord]:
        """Those of these statuses that changed last, at most `limit`; the newest 20,000 are looked through.

        Raises:
            InvalidRequest: `limit` is not a number from 1.
        """
        most = at_most(limit)
        listing, jobs = Listing(self._command, statuses), list[JobRecord]()
        for _ in range(0, MOST_LOOKED_AT, PAGE):
            page = await listing.page()
            if not page:
                break
            mine = map(bytes.decode, await self._scripts.run("whose", tenant, *page)) if tenant else page
            for job_id in mine:
                with suppress(JobNotFound):  # it expired between the commands
                    jobs.append(await self.read(job_id))
                if len(jobs) == most:
                    return jobs
        return jobs

    async def events(self, job_id: str, after: str = "0", block_s: float = 0.0) -> list[Event]:
        """Events behind `after`; with `block_s`, waits that long for the first."""
        stream = keys.events(job_id)
        if block_s:
            answer = await self._xread(block_s, stream, after)
        else:
            answer = await self._command("XREAD", "COUNT", 500, "STREAMS", stream, after)
        return [Event.read(row) for row in answer[0][1]] if answer else []

    async def wait(self, job_id: str, ends: str, block_s: float) -> None:
        """Wait until the job has come once more to wait for people, or to its end, than its record says (`ends`)."""
        await self._xread(block_s, keys.ends(job_id), f"{ends}-0")

    async def _xread(self, block_s: float, stream: str, after: str) -> Any:
        wait = ("COUNT", 500, "BLOCK", max(1, round(block_s * 1000)))
        return await self._scripts.client.blocking("XREAD", *wait, "STREAMS", stream, after)

    async def calls(self, job_id: str) -> list[dict[str, Any]]:
        """The journal: each call's step, number, tool, state and answer, in the order they are numbered."""
        words = await self._command("HGETALL", keys.calls(job_id))
        journal: dict[tuple[str, int], dict[str, Any]] = {}
        for name, value in zip(words[::2], words[1::2], strict=True):
            if name.startswith(b"@"):  # what a tool was: not a call
                continue
            step, number, what = name.decode().split(":")
            entry = journal.setdefault((step, int(number)), {"step": step, "number": int(number)})
            entry[what] = decode(value) if what == "out" else value.decode()
        return [journal[place] for place in sorted(journal)]

    async def spans(self, job_id: str) -> list[bytes]:
        """The job's trace: spans as JSON objects."""
        return unpack(await self._command("LRANGE", keys.spans(job_id), 0, -1))
