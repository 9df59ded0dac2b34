"""The front door: submit jobs and find them again."""

import asyncio
import functools
import math
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any

from pydantic import BaseModel

from orchestrator import connect, intake
from orchestrator.application import application
from orchestrator.blocking import Job
from orchestrator.budget import Budget
from orchestrator.canvas import Canvas, WireForms
from orchestrator.errors import InvalidRequest
from orchestrator.fork import fork
from orchestrator.intake import Intake
from orchestrator.job import AsyncJob
from orchestrator.plan import Plan
from orchestrator.settings import Settings, load
from orchestrator.state.client import Client, SyncClient, without_loop
from orchestrator.state.jobs import JobStore, NewJob
from orchestrator.state.pipe import PipeClient
from orchestrator.state.records import JobRecord, decode
from orchestrator.state.scripts import Scripts
from orchestrator.state.spans import SpanStore
from orchestrator.state.standstill import PATIENCE_S, Standstill, StandstillStore
from orchestrator.status import JobStatus
from orchestrator.telemetry import Telemetry, start, traceparent
from orchestrator.telemetry.names import Happening, Stage
from orchestrator.tenants import Tenants
from orchestrator.workflow import Workflow, catalogue

Request = str | Mapping[str, Any] | BaseModel
Aside = Callable[..., Awaitable[object]]


class Desk:
    """What both front doors share: settings, stores, the canvas, and how a request becomes a job."""

    def __init__(self, settings: Settings, client: Client, telemetry: Telemetry, aside: Aside) -> None:
        """`aside` runs what blocks: sending to RabbitMQ waits until the message is confirmed."""
        self.settings, self.telemetry, self._aside = settings, telemetry, aside
        self.canvas, self._wires = Canvas(application(settings)), WireForms(settings)
        message = self._wires.message() if settings.outbox else ""
        self.jobs = JobStore(Scripts(client, message), settings.retention_s)
        self._standstills = StandstillStore(client, self.jobs)
        self.tenants = Tenants(settings.tenants)
        catalogue.load(settings.workflows)

    def templates(self, plan: Plan | None) -> dict[str, str]:
        """The canvas's first messages, where the scripts enqueue."""
        return self._wires.first_messages(plan) if plan and self.settings.outbox else {}

    async def send(self, job_id: str, plan: Plan | None) -> None:
        """Enqueue a new job's canvas, where the scripts do not."""
        if plan and not self.settings.outbox:
            await self._aside(self.canvas.send, job_id, plan, traceparent(job_id))

    async def send_offered(self, job_id: str, steps: Sequence[str]) -> None:
        """Enqueue steps that were offered anew, where the scripts do not."""
        if steps and not self.settings.outbox:
            record = await self.jobs.read(job_id)
            specialists = {name: record.step(name).specialist for name in steps}
            await self.send_steps(job_id, specialists)

    async def send_steps(self, job_id: str, steps: Mapping[str, str]) -> None:
        """Enqueue steps, or the work of undoing them (name -> specialist)."""
        await self._aside(self.canvas.send_steps, job_id, steps, traceparent(job_id))

    async def submit(
        self, request: Request, workflow: str, budget: Budget | Mapping[str, Any] | None, tenant: str, key: str | None
    ) -> AsyncJob:
        """Store a job and enqueue its plan; the same tenant and key is the same job."""
        intake.check_name("tenant", tenant)
        intake.check_name("key", key, or_none=True)
        flow = catalogue.workflow(workflow)
        ceilings = self.tenants.of(tenant).allow(Budget.of(budget), flow.budget)
        job_id = self.telemetry.spans.new_job()
        with self.telemetry.spans.open_job(job_id, workflow, tenant=tenant) as span:
            taken = intake.take(flow, request, self.settings.request_bytes)
            plan = intake.plan(flow, taken.model) if taken.model else None
            span.event(Happening.VALIDATED, questions=len(taken.questions), steps=len(plan.steps) if plan else 0)
            opened = await self.jobs.open(self._new(job_id, flow, taken, plan, ceilings, tenant, key))
            if opened == job_id:
                await self.send(job_id, plan)
            else:
                span.discard()  # this key was submitted before
        return AsyncJob(self, opened)

    async def fork(
        self,
        source: JobRecord,
        after: str | Sequence[str],
        changes: Mapping[str, Any],
        budget: Budget | Mapping[str, Any] | None,
        key: str | None,
    ) -> AsyncJob:
        """Store a job that goes on behind finished steps of another one, and enqueue its plan; once a key."""
        intake.check_name("key", key, or_none=True)
        if not isinstance(changes, Mapping):  # pyright: ignore[reportUnnecessaryIsInstance]
            raise InvalidRequest(f"request must be a dict of the fields that are to be others, not {changes!r:.40}")
        flow, tenant = catalogue.workflow(source.fields["workflow"]), source.fields["tenant"]
        ceilings = self.tenants.of(tenant).allow(Budget.of(budget), flow.budget)
        request = {**decode(source.fields["request"]), **changes}
        taken = intake.take(flow, request, self.settings.request_bytes)
        if taken.model is None:
            raise InvalidRequest("; ".join(f"{asked.field}: {asked.prompt}" for asked in taken.questions))
        made = fork(source, intake.plan(flow, taken.model), after)
        spans = self.telemetry.spans
        job_id = spans.new_job()
        with (
            spans.stage(Stage.FORK, source.id, link=job_id) as forking,
            spans.open_job(job_id, flow.name, tenant=tenant, link=source.id) as span,
        ):
            new = self._new(job_id, flow, taken, made.rest, ceilings, tenant, key)
            opened = await self.jobs.fork(source.id, new, made.kept, made.whole.numbers)
            if opened == job_id:
                await self.send(job_id, made.rest)
            else:
                forking.discard()  # this key was submitted before
                span.discard()
        return AsyncJob(self, opened)

    def _new(
        self,
        job_id: str,
        flow: Workflow,
        taken: Intake,
        plan: Plan | None,
        budget: Budget,
        tenant: str,
        key: str | None,
    ) -> NewJob:
        return NewJob(
            id=job_id,
            workflow=flow.name,
            tenant=tenant,
            request=taken.fields,
            ceilings=budget.ceilings(),
            seconds=budget.seconds,
            key=key,
            traceparent=traceparent(job_id),
            version=self.settings.version,
            plan=plan,
            questions=taken.questions,
            templates=self.templates(plan),
            at_ceiling=budget.at_ceiling or "fail",
            day=self.tenants.of(tenant).day,
            on_failure=flow.on_failure,
            undo_calls=self.settings.undo_calls,
        )

    async def find(self, job_id: str) -> AsyncJob:
        """A job by its id."""
        intake.check_name("job", job_id)
        await self.jobs.status(job_id)
        return AsyncJob(self, job_id)

    async def search(self, status: str | None, tenant: str | None, limit: int) -> list[AsyncJob]:
        """The newest jobs."""
        intake.check_name("tenant", tenant, or_none=True)
        try:
            statuses = list(JobStatus) if status is None else [JobStatus(status)]
        except ValueError:
            raise InvalidRequest(f"unknown status {status!r}; one of {', '.join(JobStatus)}") from None
        return [AsyncJob(self, job.id) for job in await self.jobs.find(statuses, tenant, limit)]

    async def stuck(self, patience_s: float, tenant: str | None, limit: int) -> list[Standstill]:
        """What stands still."""
        intake.check_name("tenant", tenant, or_none=True)
        if not isinstance(patience_s, int | float) or not 0 <= patience_s < math.inf:  # pyright: ignore[reportUnnecessaryIsInstance]
            raise InvalidRequest(f"patience_s must be a number of seconds from 0, not {patience_s!r}")
        return await self._standstills.find(patience_s, tenant, limit)


async def _at_once(call: Callable[..., None], *args: Any) -> None:
    call(*args)


class AsyncOrchestrator:
    """The front door for programs on an event loop: the same methods as `Orchestrator`, awaited."""

    def __init__(self, *, redis_url: str | None = None, broker_url: str | None = None, **settings: Any) -> None:
        """Settings come from the environment (SUREFOOT_*); arguments say otherwise.

        Raises:
            InvalidSettings: a setting is wrong.
            StoreUnavailable: no Redis is configured and no embedded server runs.
        """
        loaded = load(redis_url=redis_url, broker_url=broker_url, **settings)
        url = connect.state_url(loaded)
        sink = SpanStore(SyncClient(url, loaded.redis_patience_s), loaded.trace_retention_s) if loaded.trace else None
        client = PipeClient(url, loaded.redis_patience_s)
        telemetry = start(loaded, "surefoot-orchestrator", sink)
        self._client, self._desk = client, Desk(loaded, client, telemetry, asyncio.to_thread)

    async def submit(
        self,
        request: Request,
        *,
        workflow: str = "trip",
        budget: Budget | Mapping[str, Any] | None = None,
        tenant: str = "default",
        key: str | None = None,
    ) -> AsyncJob:
        """As `Orchestrator.submit`."""
        return await self._desk.submit(request, workflow, budget, tenant, key)

    async def job(self, job_id: str) -> AsyncJob:
        """As `Orchestrator.job`."""
        return await self._desk.find(job_id)

    async def jobs(self, *, status: str | None = None, tenant: str | None = None, limit: int = 50) -> list[AsyncJob]:
        """As `Orchestrator.jobs`."""
        return await self._desk.search(status, tenant, limit)

    async def stuck(
        self, *, patience_s: float = PATIENCE_S, tenant: str | None = None, limit: int = 50
    ) -> list[Standstill]:
        """As `Orchestrator.stuck`."""
        return await self._desk.stuck(patience_s, tenant, limit)

    async def close(self) -> None:
        """Send the last spans and close the connection."""
        self._desk.telemetry.stop()
        await self._client.close()


class Orchestrator:
    """The front door: `Orchestrator().submit(...)`. Safe to share between threads."""

    def __init__(self, *, redis_url: str | None = None, broker_url: str | None = None, **settings: Any) -> None:
        """Settings come from the environment (SUREFOOT_*); arguments say otherwise.

        Raises:
            InvalidSettings: a setting is wrong.
            StoreUnavailable: no Redis is configured and no embedded server runs.
        """
        loaded = load(redis_url=redis_url, broker_url=broker_url, **settings)
        client = SyncClient(connect.state_url(loaded), loaded.redis_patience_s)
        sink = SpanStore(client, loaded.trace_retention_s) if loaded.trace else None
        telemetry = start(loaded, "surefoot-orchestrator", sink)
        self._client, self._desk = client, Desk(loaded, client, telemetry, _at_once)

    def submit(
        self,
        request: Request,
        *,
        workflow: str = "trip",
        budget: Budget | Mapping[str, Any] | None = None,
        tenant: str = "default",
        key: str | None = None,
    ) -> Job:
        """Take a job: when this returns it is stored and enqueued, or waits with questions, and cannot be lost.

        Args:
            request: free text, a dict, or the workflow's request model.
            workflow: the name of a workflow of SUREFOOT_WORKFLOWS.
            budget: the job's ceilings; what it leaves open is as the workflow says.
            tenant: whose job it is.
            key: names this submission; the same tenant and key is the same job, never a second one.

        Raises:
            InvalidRequest: the request, workflow, plan or budget is not valid; nothing was enqueued.
            StoreUnavailable: Redis does not answer; submit again, with a key to be safe from a second job.
            Overloaded: Redis is full.
        """
        return Job(without_loop(self._desk.submit(request, workflow, budget, tenant, key)))

    def job(self, job_id: str) -> Job:
        """The job of this id.

        Raises:
            JobNotFound: there is none.
        """
        return Job(without_loop(self._desk.find(job_id)))

    def jobs(self, *, status: str | None = None, tenant: str | None = None, limit: int = 50) -> list[Job]:
        """The jobs of a status and tenant, those that changed last first; the newest 20,000 are looked through."""
        return [Job(job) for job in without_loop(self._desk.search(status, tenant, limit))]

    def stuck(self, *, patience_s: float = PATIENCE_S, tenant: str | None = None, limit: int = 50) -> list[Standstill]:
        """The jobs that should move and of which a step has stood still for so long, the longest first.

        Each says at which step, why, and what helps. Of the open jobs the 1,000 that changed longest ago are looked at.
        """
        return without_loop(self._desk.stuck(patience_s, tenant, limit))

    @functools.cached_property
    def settings(self) -> Settings:
        """The settings in force."""
        return self._desk.settings

    def close(self) -> None:
        """Send the last spans and close the connections."""
        self._desk.telemetry.stop()
        self._client.close()
