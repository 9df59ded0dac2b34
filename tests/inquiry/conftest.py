"""One stage with a worker and an inn that can be killed and started again, for all of these tests."""

import json
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from orchestrator import Job, Orchestrator
from orchestrator.status import JobStatus
from tests.support.stage import ROOT, Stage, stage
from tests.support.valkey import DURABLE
from tests.support.waiting import wait_until
from tests.tools_client.stage import free_port

FLOWS = "tests.inquiry.flows,tests.crash.boundaries"
KEYED = {"effects": {"reserve": "keyed", "bargain": "keyed", "pay": "unsafe", "queue": "read"}, "timeout_s": 5}


@dataclass
class House:
    """A stage, and the inn next to it."""

    stage: Stage
    app: Orchestrator
    port: int

    def open_inn(self) -> None:
        self.inn = self.stage.process("tests.inquiry.inn", "inn", str(self.port))
        wait_until(self._accepts, "the inn accepts connections")

    def submit(self, tool: str, workflow: str = "visit", **more: Any) -> Job:
        arguments = more.pop("arguments", {"item": "bed"})
        return self.app.submit({"tool": tool, "arguments": arguments}, workflow=workflow, **more)

    def worker(self) -> None:
        self.stage.worker("--concurrency", "50")

    def waits(self, job: Job, kind: str = "form", times: int = 1) -> Any:
        """The questions of a job that waits for these; the one, where there is one."""

        def asks() -> bool:
            return job.status is JobStatus.WAITING and [q.kind for q in job.questions].count(kind) == times

        wait_until(
            asks, f"the job asks {times} x {kind}: {job.status} {job.questions} {job.record.fields.get('error')}"
        )
        asked = [question for question in job.questions if question.kind == kind]
        return asked[0] if times == 1 else asked

    def lines(self, word: str, job: Job) -> list[list[str]]:
        """What the inn has noted of a job."""
        lines = map(str.split, self.log.read_text().splitlines())
        return [line[1:] for line in lines if line[0] == word and any(job.id in part for part in line)]

    @property
    def log(self) -> Path:
        return self.stage.folder / "inn.txt"

    def surefoot(self, *words: str, told: str = "") -> str:
        command = [str(Path(sys.executable).with_name("surefoot")), *words]
        done = subprocess.run(
            command, cwd=ROOT, env=self.stage.environment, input=told, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    def _accepts(self) -> bool:
        with suppress(OSError), socket.create_connection(("127.0.0.1", self.port), timeout=1):
            return True
        return False


@pytest.fixture(scope="package")
def house(tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    folder, port = tmp_path_factory.mktemp("house"), free_port()
    lookup = {"lookup": {"pay": "find_paid"}, "key": {"argument": "idempotency_key"}}
    inn: dict[str, Any] = {
        "url": f"http://127.0.0.1:{port}/mcp",
        "surefoot": {**KEYED, **lookup, "protocol": "2026-07-28"},
    }
    cellar: dict[str, Any] = {
        "command": sys.executable,
        "args": ["-m", "tests.inquiry.inn"],
        "cwd": str(ROOT),
        "surefoot": KEYED,
    }
    cellar["env"] = {"TEST_INN_LOG": str(folder / "inn.txt")}
    code = (ROOT / "docs/questions.md").read_text().partition("## Tools that ask")[2]
    (folder / "hotel.py").write_text(code.partition("```python\n")[2].partition("```")[0])
    hotel = {"command": sys.executable, "args": [str(folder / "hotel.py")], "env": {"HOTEL_STATE_KEY": "x" * 32}}
    config = folder / "inns.json"
    config.write_text(json.dumps({"mcpServers": {"inn": inn, "cellar": cellar, "hotel": hotel}}))
    with stage(folder, mcp_config=config, workflows=FLOWS, server_options=DURABLE, attempts=8, trace=True) as played:
        played.environment |= {"TEST_INN_LOG": str(folder / "inn.txt"), "TEST_ARMED": str(folder / "armed")}
        app = Orchestrator(redis_url=played.server.url, workflows=tuple(FLOWS.split(",")), trace=True)
        here = House(played, app, port)
        here.open_inn()
        here.worker()
        yield here
        app.close()
