"""A stage with a worker, a scripted model, and a bank under several names, each with its own rules."""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pytest

from orchestrator import Job, Orchestrator
from tests.guards.bank import Bank
from tests.support.stage import Stage, stage
from tests.support.waiting import wait_until
from tools.testing.model import ModelServer

RULES: dict[str, dict[str, Any]] = {
    "bank": {"approve": {"wire": "copied", "restaurants": "always"}},
    "free": {},
    "pinned": {"pin": "all"},
    "noted": {"pin": "note"},
    "read": {},
}


@dataclass
class Guarded:
    """What a test plays on."""

    stage: Stage
    app: Orchestrator
    model: ModelServer
    bank: Bank

    def submit(self, workflow: str, text: str = "dinner in Oslo", *, budget: Any = None, **more: Any) -> Job:
        return self.app.submit({"text": text, **more}, workflow=workflow, budget=budget)

    def waiting(self, workflow: str, text: str = "dinner in Oslo", **more: Any) -> Job:
        """Submit, and come back when the job waits for a person."""
        job = self.submit(workflow, text, **more)
        wait_until(lambda: job.status == "waiting", f"it waits: {job.status}")
        return job


@pytest.fixture(scope="module")
def guarded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Guarded]:
    folder = tmp_path_factory.mktemp("guards")
    with ModelServer() as model, Bank() as bank:
        more: dict[str, Any] = {"model": f"{model.url}#m", "catalogue_ttl_s": 0.000001, "trace": True}
        with stage(folder, workflows="tests.guards.flows", **more) as played:
            effects = {"effects": {"restaurants": "read", "wire": "keyed"}, "protocol": "2026-07-28"}
            entries = {name: {"url": bank.url, "surefoot": effects | rules} for name, rules in RULES.items()}
            (folder / "mcp.json").write_text(json.dumps({"mcpServers": entries}))
            played.worker()
            app = Orchestrator(redis_url=played.server.url, workflows=("tests.guards.flows",))
            yield Guarded(played, app, model, bank)
            app.close()


@pytest.fixture
def play(guarded: Guarded) -> Guarded:
    guarded.model.clear()
    guarded.bank.reset()
    return guarded
