"""A stage with a worker whose models are scripted."""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pytest
from pydantic_core import from_json

from orchestrator import Job, Orchestrator
from orchestrator.telemetry import names
from tests.support.stage import Stage, stage
from tests.support.waiting import wait_until
from tools.testing.model import ModelServer

PRICES = {"models": {"*#first": {"input": 1, "output": 10}, "*#second": {"input": 2, "output": 20}}}


@dataclass
class Scripted:
    """What a test of models plays on: `first` is asked, then `second`."""

    stage: Stage
    app: Orchestrator
    first: ModelServer
    second: ModelServer

    def submit(
        self,
        workflow: str,
        text: str = "two nights in Oslo",
        *,
        budget: Any = None,
        tenant: str = "default",
        **more: Any,
    ) -> Job:
        return self.app.submit({"text": text, **more}, workflow=workflow, budget=budget, tenant=tenant)


def chat(job: Job, number: int = -1, *, of: int = 1) -> dict[str, Any]:
    """The span of one of the job's model calls, when so many have ended."""

    def ended() -> list[dict[str, Any]]:
        spans = [span for text in job.spans if (span := from_json(text))["name"].startswith(names.CHAT)]
        known = [span for span in spans if names.OUTCOME in span["attributes"]]
        return sorted(known, key=lambda span: span["start_ns"])

    wait_until(lambda: len(ended()) >= of, "the spans have arrived")
    return ended()[number]


@pytest.fixture(scope="module")
def scripted_models(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Scripted]:
    """A module says in `SETTINGS` what is otherwise for it, and in `environment`, of the first model."""
    folder = tmp_path_factory.mktemp("models")
    prices = folder / "prices.json"
    prices.write_text(json.dumps(PRICES))
    with ModelServer() as first, ModelServer() as second:
        model = f"{first.url}#first,{second.url}#second"
        more: dict[str, Any] = {"model": model, "prices": prices, "model_timeout_s": 60.0, "trace": True}
        more |= getattr(request.module, "SETTINGS", {})
        with stage(folder, workflows="tests.models.flows", **more) as played:
            if environment := getattr(request.module, "environment", None):
                played.environment |= environment(first)
            played.worker()
            app = Orchestrator(redis_url=played.server.url, workflows=("tests.models.flows",))
            yield Scripted(played, app, first, second)
            app.close()


@pytest.fixture
def play(scripted_models: Scripted) -> Scripted:
    scripted_models.first.clear()
    scripted_models.second.clear()
    return scripted_models
