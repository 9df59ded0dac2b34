"""What the steps of one process share: the stores, the tool servers, the leases, the telemetry."""

import asyncio
import logging
import math
import os
import time
from contextlib import suppress

import structlog

from orchestrator import connect
from orchestrator.canvas import Canvas, WireForms
from orchestrator.prices import Prices
from orchestrator.settings import Settings
from orchestrator.state.cache import ReplyCache
from orchestrator.state.calls import CallStore
from orchestrator.state.client import SyncClient
from orchestrator.state.jobs import JobStore
from orchestrator.state.pipe import PipeClient
from orchestrator.state.scripts import Scripts
from orchestrator.state.spans import SpanStore
from orchestrator.state.steps import StepStore
from orchestrator.state.undo import UndoStore, is_work
from orchestrator.telemetry import Telemetry, start, within
from tools.servers import ToolServers
from workers.greenlets import LoopBlocked, await_
from workers.leases import Leases
from workers.meter import Meter, metrics
from workers.models import Models
from workers.run import Ended, StepRun
from workers.toolbox import tool_config
from workers.undo import UndoRun

log, lines = structlog.get_logger(__name__), logging.getLogger(__name__)
GIVE_BACK_S = 3.0
"""How long a step's code may take to end at the process's end, before its step is given back over its head."""
CLOSE_S = 2.0
CACHE_PATIENCE_S = 1.0
"""How long a step waits for the cache of models' answers, of which it is no part, where Redis is away or loading."""


class Workshop:
    """Made once a process, when its first step arrives; belongs to the process's event loop."""

    def __init__(self, settings: Settings, canvas: Canvas) -> None:
        self.settings, self.canvas = settings, canvas
        url = connect.state_url(settings)
        message = WireForms(settings).message() if settings.outbox else ""
        # a step waits for Redis as long as it takes: its time limit, its lease and the worker's stop end that
        scripts = Scripts(PipeClient(url, math.inf), message)
        self.jobs = JobStore(scripts, settings.retention_s)
        self.steps = StepStore(scripts, settings.lease_s, settings.retention_s)
        self.undos = UndoStore(scripts, settings.lease_s, settings.retention_s)
        self.calls = CallStore(scripts)
        self.cache: ReplyCache | None = None
        if settings.model_cache_s:
            self.cache = ReplyCache(Scripts(PipeClient(url, CACHE_PATIENCE_S), message), settings.model_cache_s)
        keeper = SyncClient(url, settings.redis_patience_s)
        self.meter = Meter(metrics(settings))
        renewing = StepStore(Scripts(keeper, message), settings.lease_s, settings.retention_s)
        self.leases = Leases(keeper, renewing, settings.lease_s, self.meter.lease_lost)
        self.tools = ToolServers(
            tool_config(settings), catalogue_ttl_s=settings.catalogue_ttl_s, answer_bytes=settings.answer_bytes
        )
        self.prices = Prices(settings.prices)
        self.models = Models(settings)
        self.telemetry = telemetry(settings, url)

    async def run(self, job_id: str, step: str) -> Ended:
        """Run one attempt of one step, or of undoing one."""
        run = (UndoRun if is_work(step) else StepRun)(self, job_id, step)
        began, ended = time.monotonic(), Ended("nothing", "stopped")
        try:
            ended = await run.execute()
        finally:
            if self.meter.seen:
                with within(job_id, traced=self.telemetry.spans.traces(job_id)):
                    self.meter.attempt(run.claim, ended.how, began)
            if run.claim.answer == "CLAIMED":
                _say(run, ended, began)
        return ended

    def close(self) -> None:
        """Give back the steps that still run, close the connections to the tool servers, send the last spans."""
        left = self.leases.give_back(self.settings.grace_s, GIVE_BACK_S)
        if left:
            log.error("steps given back although their code still runs", steps=left[:10], count=len(left))
        else:
            self.leases.close()
            with suppress(LoopBlocked, TimeoutError):
                await_(self._leave())
        self.telemetry.stop()
        self.meter.stop()

    async def _leave(self) -> None:
        async with asyncio.timeout(CLOSE_S):
            await asyncio.gather(self.tools.close(), self.models.close())


def _say(run: StepRun, ended: Ended, began: float) -> None:
    """One line: an attempt has ended, how, after how long, and why if it has not succeeded."""
    level = logging.WARNING if ended.how == "failed" else logging.INFO
    if not lines.isEnabledFor(level):
        return
    claim, seconds = run.claim, round(time.monotonic() - began, 3)
    outcome = "cancelled" if ended.how == "nothing" else ended.how
    why = {} if ended.how == "succeeded" else {"why": ended.message}
    place = {"job": run.job_id, "step": run.step, "attempt": claim.attempt, "number": claim.number, "of": claim.total}
    log.log(level, "step ends", outcome=outcome, seconds=seconds, **place, **why)


_started: dict[int, Telemetry] = {}


def telemetry(settings: Settings, url: str) -> Telemetry:
    """Record spans in this worker process; a forked child starts anew."""
    if os.getpid() not in _started:
        _started[os.getpid()] = _start(settings, url)
    return _started[os.getpid()]


def _start(settings: Settings, url: str) -> Telemetry:
    sink = SpanStore(SyncClient(url, patience_s=2.0), settings.trace_retention_s) if settings.trace else None
    return start(settings, "surefoot-worker", sink, own_process=True)


class Workshops:
    """The workshop of this process; a forked child makes its own."""

    def __init__(self, settings: Settings, canvas: Canvas) -> None:
        self._settings, self._canvas = settings, canvas
        self._made: tuple[int, Workshop] | None = None

    def here(self) -> Workshop:
        """This process's workshop."""
        if self._made is None or self._made[0] != os.getpid():
            self._made = (os.getpid(), Workshop(self._settings, self._canvas))
        return self._made[1]

    def made(self) -> Workshop | None:
        """This process's workshop, if a step ever arrived."""
        return self._made[1] if self._made and self._made[0] == os.getpid() else None
