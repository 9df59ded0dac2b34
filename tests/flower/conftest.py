"""A fleet whose settings and servers all have secrets: Redis, a worker, Flower, a model, tool servers, a collector."""

import json
import os
import subprocess
import sys
import urllib.parse
import urllib.request
from base64 import b64encode
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from orchestrator import Orchestrator
from orchestrator.fleet import Flower
from tests.flower.plants import PLANTS, server
from tests.support.flows import Order
from tests.support.serving import served
from tests.support.stage import ROOT, Stage, stage
from tests.support.waiting import wait_until
from tests.telemetry.collecting import intake
from tools.testing.model import ModelServer, Says

FLOWS = ("tests.flower.plants", "tests.support.flows")


@dataclass
class Page:
    """Flower, as a browser asks it, and all that is beside it."""

    flower: Flower
    stage: Stage
    received: dict[str, bytes]
    model: ModelServer

    def get(self, path: str, **query: Any) -> str:
        words = b64encode(self.flower.credentials.encode()).decode()
        url = f"{self.flower.url}{path}?{urllib.parse.urlencode(query)}"
        asked = urllib.request.Request(url, headers={"Authorization": f"Basic {words}"})
        with urllib.request.urlopen(asked, timeout=20) as answer:
            return answer.read().decode()

    def found(self, search: str) -> list[dict[str, Any]]:
        """What the tasks page lists for a search."""
        order = {"draw": 1, "start": 0, "length": 100, "order[0][column]": 0, "columns[0][data]": "received"}
        return json.loads(self.get("/tasks/datatable", **order, **{"search[value]": search}))["data"]

    def task(self, task_id: str, state: str) -> dict[str, Any]:
        """One task, once it is in this state."""

        def there() -> bool:
            return any(one["uuid"] == task_id and one["state"] == state for one in self.found(task_id[:32]))

        wait_until(there, f"{task_id} is {state}")
        return next(one for one in self.found(task_id[:32]) if one["uuid"] == task_id)


def _servers(folder: Path, url: str) -> Path:
    path = folder / "planted.json"
    headers = {"Authorization": f"Bearer {PLANTS['header']}", "X-Api-Key": PLANTS["api key header"]}
    safe = {
        "command": sys.executable,
        "args": ["-m", "tests.flower.plants", f"--token={PLANTS['server argument']}"],
        "cwd": str(ROOT),
        "env": {"VAULT_PASSWORD": PLANTS["server env"]},
    }
    vault = {"url": url, "headers": headers}
    desk = {"module": "tests.support.ledger"}
    path.write_text(json.dumps({"mcpServers": {"desk": desk, "vault": vault, "safe": safe}}))
    return path


@contextmanager
def _flower(played: Stage) -> Generator[Flower]:
    """Flower before any worker, since it knows only what it heard."""
    flower = Flower.at("127.0.0.1", 0, {**os.environ, **played.environment})
    argv = flower.command.argv
    assert callable(argv)
    log = played.folder / "flower.log"
    with log.open("wb") as out:
        process = subprocess.Popen(argv(), env=dict(flower.command.env), cwd=ROOT, stdout=out, stderr=out)
    try:
        wait_until(lambda: b"Connected to" in log.read_bytes(), "Flower listens", 60)
        yield flower
    finally:
        process.kill()
        process.wait()


@pytest.fixture(scope="package")
def page(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Page]:
    folder = tmp_path_factory.mktemp("stage")
    received: dict[str, bytes] = {}
    login = ("--user", "planted", "on", f">{PLANTS['redis']}", "~*", "&*", "+@all")
    with (
        intake(lambda path, body: received.update({path: received.get(path, b"") + body})) as collected,
        ModelServer(otherwise=Says(f"password={PLANTS['answer of model']}")) as model,
        served(server().streamable_http_app()) as vault,
    ):
        told: dict[str, Any] = {
            "mcp_config": _servers(folder, f"{vault}/mcp"),
            "model": f"{model.url}#scripted",
            "log_format": "json",
        }
        told |= {
            "trace": True,
            "otlp_endpoint": collected.replace("://", f"://me:{PLANTS['otlp']}@"),
            "model_key": PLANTS["model key"],
            "events": True,
        }
        with stage(folder, server_options=login, workflows=",".join(FLOWS), attempts=2, **told) as played:
            locked = played.server.url.replace("://", f"://planted:{PLANTS['redis']}@")
            played.environment |= {
                "SUREFOOT_REDIS_URL": locked,
                "OTEL_METRIC_EXPORT_INTERVAL": "1000",
                "TEST_VAULT_TOKEN": PLANTS["own env"],
            }
            played.app.close()
            played.app = Orchestrator(redis_url=locked, workflows=FLOWS)
            with _flower(played) as flower:
                yield Page(flower, played, received, model)


@pytest.fixture(scope="package")
def cancelled(page: Page) -> str:
    """A job that was cancelled while its first step waited in the queue; then the worker starts."""
    job = page.stage.app.submit(Order(item="bed"), workflow="journey")
    job.cancel()
    page.stage.worker("--concurrency", "50", "--events")
    return job.id
