"""Jobs of every kind on one stage, run side by side; the tests look at what was kept of them."""

import contextlib
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from orchestrator import Budget, Job, Orchestrator, SurefootError
from orchestrator.telemetry import names
from orchestrator.telemetry.tree import Node, Trace
from tests.support.stage import Stage, stage
from tests.support.waiting import wait_until
from tools.testing.model import ModelServer, Says

ITEM = {"item": "bed"}
FLOWS = "tests.traces.flows"


def servers(folder: Path) -> Path:
    """Where the tools are."""
    path = folder / "bank.json"
    bank = {"module": "tests.traces.bank", "surefoot": {"lookup": {"pay": "find_payment"}}}
    path.write_text(json.dumps({"mcpServers": {"desk": {"module": "tests.support.ledger"}, "bank": bank}}))
    return path


def trace_of(job: Job) -> Trace:
    trace = Trace.read(job.spans)
    assert trace is not None
    return trace


def attempts_of(job: Job) -> list[Node]:
    return [node for node in trace_of(job).nodes if node.name.startswith(names.INVOKE_AGENT)]


def unspanned(job: Job) -> set[str]:
    """The calls of its journal that have no span."""
    journal = {f"{job.id}.{call['step']}:{call['number']}" for call in job.calls}
    nodes = trace_of(job).nodes
    return journal - {
        str(node.attributes.get(names.TOOL_CALL_ID, node.attributes.get(names.DEDUP_KEY))) for node in nodes
    }


def complete(job: Job, attempts: int) -> None:
    """Wait until the spans of all its attempts are kept: they follow the job by a quarter of a second."""
    ended = f"{attempts} attempts of {job.record.fields['workflow']} are kept"
    wait_until(lambda: sum(not node.open for node in attempts_of(job)) == attempts, ended)


def ended(job: Job) -> None:
    with contextlib.suppress(SurefootError):
        job.result(60)


def _killed(here: Stage) -> Job:
    """Its first worker is killed while it holds the step, when its first call is kept."""
    job = here.app.submit(ITEM, workflow="traced-held")
    wait_until(lambda: any(b"execute_tool desk.book" in row for row in job.spans), "the first call is kept")
    here.kill(here.workers[0])
    here.open_gate()
    return job


def _all(here: Stage) -> dict[str, Job]:
    submit = here.app.submit
    jobs = {"kill and re-drive": _killed(here)}
    here.worker("--concurrency", "50")
    jobs["redelivery"] = submit(ITEM | {"seconds": 1.0}, workflow="slow")
    wait_until(lambda: jobs["redelivery"].steps[0].state == "running", "the step runs")
    here.app._desk.canvas.send_steps(jobs["redelivery"].id, {"slow": "slow"}, "")  # pyright: ignore[reportPrivateUsage]
    jobs |= {
        "success": submit(ITEM, workflow="journey"),
        "retry": submit(ITEM | {"times": 1}, workflow="flaky"),
        "pause and resume": submit(ITEM, workflow="asking"),
        "budget stop": submit(ITEM, workflow="traced-twice", budget=Budget(tool_calls=1)),
        "undo": submit(ITEM, workflow="traced-undone"),
        "look-up": submit(ITEM, workflow="traced-transfer"),
        "in doubt": submit(ITEM, workflow="traced-post"),
        "model": submit(ITEM, workflow="traced-ponder"),
        "timeout": submit(ITEM, workflow="traced-sleepy"),
        "rejected": submit(ITEM, workflow="traced-declined"),
        "invalid data": submit(ITEM, workflow="wrong"),
        "unhandled": submit(ITEM, workflow="broken"),
        "unavailable": submit(ITEM | {"times": 99}, workflow="flaky"),
    }
    for name in ("pause and resume", "in doubt"):
        wait_until(lambda job=jobs[name]: job.status == "waiting", f"{name} waits")
    jobs["pause and resume"].answer(date="2027-03-12")
    jobs["in doubt"].answer({jobs["in doubt"].questions[0].id: {"happened": True, "result": {"sent": "bed"}}})
    ended(jobs["budget stop"])
    jobs["budget stop"].resume(Budget(tool_calls=9))
    return jobs


ATTEMPTS = {
    "retry": 2,
    "kill and re-drive": 1,
    "pause and resume": 3,
    "budget stop": 4,
    "success": 5,
    "undo": 3,
    "in doubt": 3,
    "timeout": 2,
    "rejected": 2,
    "unhandled": 2,
    "unavailable": 2,
}
"""How many attempts of steps end, and undo; of all others one."""


@pytest.fixture(scope="module")
def jobs(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Job]]:
    folder = tmp_path_factory.mktemp("traces")
    with ModelServer(otherwise=Says("the blue room")) as model:
        patient: dict[str, Any] = {"lease_s": 4.0, "grace_s": 3.0, "attempts": 2}  # nothing is re-driven but what died
        more: dict[str, Any] = {"workflows": FLOWS, "model": f"{model.url}#scripted", **patient}
        with stage(folder, mcp_config=servers(folder), trace=True, **more) as here:
            here.app.close()
            here.app = Orchestrator(redis_url=here.server.url, workflows=(FLOWS,))
            here.worker("--concurrency", "50")
            played = _all(here)
            for name, job in played.items():
                ended(job)
                complete(job, ATTEMPTS.get(name, 1))
            yield played
