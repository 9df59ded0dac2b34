"""One chaos run: everything is started, jobs are submitted, processes are killed, and then it is counted."""

import json
import signal
import subprocess
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from benchmarks.chaos.audit import left_behind, violations, without_ttl
from benchmarks.chaos.driver import Driver, Kill, Target
from benchmarks.chaos.recovery import noted, recoveries
from benchmarks.chaos.story import Story
from orchestrator import Budget, Job
from orchestrator.settings import Settings
from orchestrator.state import keys
from orchestrator.state.client import SyncClient, without_loop
from orchestrator.status import JobStatus
from tests.support.stage import Stage, stage_on
from tools.testing import FaultServer, Recorded

AS_BY_DEFAULT = {name: Settings.model_fields[name].default for name in ("sweep_s", "grace_s", "backoff_s", "trace")}
ATTEMPTS, BACKOFF_MAX_S = 50, 5.0
"""More attempts, closer together, than by default: here a step may meet any number of kills."""
STUCK_S, QUIET_S, LOOK_S = 150.0, 90.0, 0.1
"""A run in which no job ends for so long is over; so long what is left behind may take to go."""


@dataclass(frozen=True)
class Conditions:
    """What is done to what.

    Attributes:
        jobs: how many, of five steps, every second one a chord.
        seed: of who is killed when.
        lease_s: `SUREFOOT_LEASE_S`.
        spread_s: jobs are submitted evenly over so many seconds; 0: as fast as `at_once` allows.
        at_once: most jobs that have not ended.
        work_s: how long a step goes on after its booking or payment.
        tool_s: the longest a tool call may take.
        workers: processes.
        pool: of the workers.
        broker: the state's own Redis, or a virtual host of the RabbitMQ on this machine; RabbitMQ itself is not killed.
        tool_servers: processes that serve the two tool servers: 1 or 2.
        appendfsync: Valkey's. A SIGKILL loses nothing that was answered; with everysec, only while the disk keeps up.
        every_s: between two kills, at least and at most.
        kills: most kills; 0: until all jobs have ended.
        only_workers: nothing else is killed, and no worker while no other one is up.
    """

    jobs: int = 2_000
    seed: int = 1
    lease_s: float = Settings.model_fields["lease_s"].default
    spread_s: float = 0.0
    at_once: int = 50
    work_s: float = 0.1
    tool_s: float = 10.0
    workers: int = 2
    pool: str = "asyncio"
    broker: str = "redis"
    tool_servers: int = 2
    appendfsync: Literal["everysec", "always"] = "everysec"
    every_s: tuple[float, float] = (1.0, 3.0)
    kills: int = 0
    only_workers: bool = False


@dataclass(frozen=True)
class Outcome:
    """All that was seen."""

    seconds: float
    kills: Sequence[Kill]
    stories: Sequence[Story]
    effects: Sequence[Recorded]
    attempts: Sequence[Recorded]
    recovery_s: Sequence[float]
    violations: Sequence[str]


def play(folder: Path, asked: Conditions, say: Callable[[str], None]) -> Outcome:
    """The whole run, in a folder that keeps logs and ledgers; `say` hears how it goes."""
    with ExitStack() as stack:
        servers = [stack.enter_context(FaultServer(folder / f"tools-{n}")) for n in range(asked.tool_servers)]
        played = stack.enter_context(_staged(folder, {"desk": servers[0], "bank": servers[-1]}, asked))
        client = SyncClient(played.server.url, patience_s=120)
        stack.callback(client.close)
        targets = [*_targets(played, asked), *(_tool_server(server) for server in servers)]
        if asked.only_workers:
            targets = [target for target in targets if target.kind == "worker"]
        began = time.monotonic()
        with Driver(targets, asked.seed, asked.every_s, asked.kills, spared=int(asked.only_workers)) as driver:
            town = _Town(played, client, asked, driver, say)
            jobs = town.submit()
            town.wait()
            seconds = time.monotonic() - began
        remains = _remains(client)
        stories = [Story.of(job, workflow, item) for job, workflow, item in jobs]
        effects = [one for server in servers for one in server.effects()]
        attempts = [one for server in servers for one in server.attempts() if one.key]
        wrong = [*violations(stories, effects, attempts), *remains, *without_ttl(client), *_ended(played)]
        if len(jobs) < asked.jobs:
            wrong.append(f"only {len(jobs):,} of {asked.jobs:,} jobs were submitted: none ended for {STUCK_S:.0f} s")
        took = recoveries(stories, driver.kills, noted(folder / "notes"))
        return Outcome(seconds, driver.kills, stories, effects, attempts, took, wrong)


def _staged(folder: Path, servers: dict[str, FaultServer], asked: Conditions) -> AbstractContextManager[Stage]:
    (folder / "notes").mkdir()
    config = folder / "servers.json"
    entries = {name: server.entry(timeout_s=asked.tool_s) for name, server in servers.items()}
    config.write_text(json.dumps({"mcpServers": entries}))
    return stage_on(
        asked.broker,
        folder,
        server_options=("--appendonly", "yes", "--appendfsync", asked.appendfsync),
        mcp_config=config,
        workflows="benchmarks.chaos.errands",
        lease_s=asked.lease_s,
        attempts=ATTEMPTS,
        backoff_max_s=BACKOFF_MAX_S,
        **AS_BY_DEFAULT,
    )


def _targets(played: Stage, asked: Conditions) -> Iterator[Target]:
    played.environment["CHAOS_NOTES"] = str(played.folder / "notes")
    options = ["--pool", asked.pool, *(["--concurrency", "8"] if asked.pool == "prefork" else [])]
    for _ in range(asked.workers):
        yield _process(played, "worker", lambda: played.worker(*options))
    yield _process(played, "sweeper", lambda: played.process("workers.sweeper", "sweeper"))

    def kill() -> int:
        played.server.kill()
        return played.server.process.pid

    yield Target("valkey", kill, played.server.start)


def _process(played: Stage, kind: str, begin: Callable[[], subprocess.Popen[bytes]]) -> Target:
    running = [begin()]

    def kill() -> int:
        played.kill(running[0])
        return running[0].pid

    def start() -> None:
        running[0] = begin()

    return Target(kind, kill, start)


def _tool_server(server: FaultServer) -> Target:
    def kill() -> int:
        server.kill()
        return 0

    return Target("tool server", kill, server.start)


class _Town:
    """Submits, and watches."""

    def __init__(
        self, played: Stage, client: SyncClient, asked: Conditions, driver: Driver, say: Callable[[str], None]
    ) -> None:
        self._played, self._client, self._asked, self._driver, self._say = played, client, asked, driver, say
        self._began = self._said = self._moved = time.monotonic()
        self._ended = self._submitted = 0

    def submit(self) -> list[tuple[Job, str, str]]:
        """All jobs with their workflows and items, no more at once than asked for."""
        asked, jobs = self._asked, list[tuple[Job, str, str]]()
        for number in range(asked.jobs):
            while number - self._ended >= asked.at_once or self._early(number):
                if self._stuck():
                    return jobs
            jobs.append(self._submit(number))
            self._submitted += 1
        return jobs

    def wait(self) -> None:
        """Until all have ended, or nothing moves any more."""
        while self._ended < self._submitted and not self._stuck():
            pass

    def _submit(self, number: int) -> tuple[Job, str, str]:
        workflow, item = ("chain", "chord")[number % 2], f"trip-{number}"
        budget = Budget(steps=5, tool_calls=3 * ATTEMPTS, seconds=3_600)
        request = {"item": item, "seconds": self._asked.work_s}
        return self._played.app.submit(request, workflow=workflow, budget=budget, key=item), workflow, item

    def _early(self, number: int) -> bool:
        return time.monotonic() - self._began < number * self._asked.spread_s / self._asked.jobs

    def _stuck(self) -> bool:
        """Look how far they are; whether none has ended for too long."""
        time.sleep(LOOK_S)
        now, before = time.monotonic(), self._ended
        final = [keys.jobs(status) for status in JobStatus if status.final]
        self._ended = sum(without_loop(self._client.command("ZCARD", name)) for name in final)
        if self._ended > before or self._ended == self._submitted:
            self._moved = now
        if now - self._said > 5:
            self._said = now
            done = f"{self._ended:5,} of {self._asked.jobs:,} jobs have ended"
            self._say(f"{now - self._began:5.0f} s  {done}, {len(self._driver.kills)} kills")
        return now - self._moved > STUCK_S


def _remains(client: SyncClient) -> list[str]:
    """What is still there when all is quiet, or should be."""
    end = time.monotonic() + QUIET_S
    while (left := left_behind(client)) and time.monotonic() < end:
        time.sleep(LOOK_S)
    return [f"left behind: {what}" for what in left]


def _ended(played: Stage) -> Iterator[str]:
    """Processes that ended by themselves: nobody may need a restart but who was killed."""
    for process in played.processes:
        if process.poll() not in {None, -signal.SIGKILL}:
            yield f"process {process.args} ended by itself with {process.returncode}"
