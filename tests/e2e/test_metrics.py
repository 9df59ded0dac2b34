"""What workers count while real jobs run: on their own page, and by OTLP from a prefork worker's children."""

import os
import re
import signal
import threading
from collections.abc import Iterator
from typing import Any
from urllib.request import urlopen

import pytest

from orchestrator import Budget, BudgetExhausted
from orchestrator.telemetry.names import Metric
from tests.support.stage import stage
from tests.support.waiting import wait_until
from tests.telemetry.test_metrics import Intake
from tests.tools_client.test_servers import free_port

CALM: dict[str, Any] = {"lease_s": 30, "grace_s": 30}
"""No step is re-driven: it would be counted twice, and its wait not at all."""


@pytest.fixture
def intake() -> Iterator[Intake]:
    server = Intake()
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield server
    server.shutdown()
    server.server_close()


def counted(port: int, name: str, **labels: str) -> float:
    """The sum of a metric's lines that have these labels."""
    with urlopen(f"http://127.0.0.1:{port}/metrics", timeout=5) as answer:
        page = answer.read().decode()
    lines = [line for line in page.splitlines() if re.match(rf"{name}(\{{| )", line)]
    return sum(float(li.split()[-1]) for li in lines if all(f'{key}="{said}"' in li for key, said in labels.items()))


def test_a_workers_page_counts_attempts_calls_retries_replays_and_refusals(
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    port = free_port()
    with stage(tmp_path_factory.mktemp("stage"), metrics_port=port, **CALM) as here:
        here.worker("--concurrency", "10")
        here.app.submit({"item": "bed", "times": 2}, workflow="flaky", budget=Budget(steps=1)).result(60)
        attempts, calls = "surefoot_attempt_duration_seconds_count", "surefoot_tool_duration_seconds_count"

        def attempted(how: str) -> float:
            return counted(port, attempts, gen_ai_agent_name="flaky", surefoot_outcome=how)

        wait_until(lambda: attempted("succeeded") == 1, "the last attempt is counted")
        assert attempted("retry") == 2
        assert counted(port, "surefoot_queue_wait_seconds_count", gen_ai_agent_name="flaky") == 1, "retries do not wait"
        assert counted(port, calls, gen_ai_tool_name="desk.book", surefoot_outcome="succeeded") == 1
        assert counted(port, calls, gen_ai_tool_name="desk.flaky") == 3
        assert counted(port, calls, gen_ai_tool_name="desk.flaky", surefoot_outcome="succeeded") == 1
        assert counted(port, "surefoot_replays_total", gen_ai_tool_name="desk.book") == 2
        job = here.app.submit({"item": "bed"}, workflow="journey", budget=Budget(tool_calls=1))
        with pytest.raises(BudgetExhausted):
            job.result(60)
        for ceiling in ("tool_calls", "steps"):  # one call of one, and before one step of one
            assert counted(port, "surefoot_budget_warnings_total", surefoot_ceiling=ceiling) == 1
        wait_until(
            lambda: counted(port, "surefoot_budget_refusals_total", surefoot_ceiling="tool_calls") >= 1,
            "the refusal is counted",
        )
        assert counted(port, "surefoot_leases_lost_total") == 0


def test_a_prefork_workers_children_send_what_they_count(
    tmp_path_factory: pytest.TempPathFactory, intake: Intake
) -> None:
    endpoint = f"http://127.0.0.1:{intake.server_port}"
    with stage(tmp_path_factory.mktemp("stage"), otlp_endpoint=endpoint, **CALM) as here:
        worker = here.worker("--pool", "prefork", "--concurrency", "1")
        here.app.submit({"item": "bed", "times": 0}, workflow="flaky").result(60)
        os.kill(worker.pid, signal.SIGTERM)
        worker.wait(60)
    sent = {name for _, name in intake.got}
    assert {Metric.ATTEMPT_DURATION, Metric.TOOL_DURATION, Metric.QUEUE_WAIT} <= sent
