"""How a workflow of one's own is tested against faults: see docs/testing.md."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from orchestrator import Orchestrator
from orchestrator.embedded import EmbeddedServer
from tools.testing import DropAnswer, FaultServer, Malformed, Mix, Reset, TooManyRequests


@pytest.fixture
def app(tmp_path: Path, fault_server: FaultServer) -> Iterator[Orchestrator]:
    """Surefoot with one worker; its tool server `shop` is the fault server."""
    config = tmp_path / "mcp.json"
    config.write_text(json.dumps({"mcpServers": {"shop": fault_server.entry(timeout_s=2)}}))
    with EmbeddedServer(tmp_path / "home") as server:
        settings = {
            "SUREFOOT_REDIS_URL": server.redis_url,
            "SUREFOOT_WORKFLOWS": "examples.shop",
            "SUREFOOT_MCP_CONFIG": str(config),
            "SUREFOOT_ATTEMPTS": "20",
            "SUREFOOT_BACKOFF_MAX_S": "1",
        }
        worker = subprocess.Popen([sys.executable, "-m", "workers"], env=os.environ | settings)
        try:
            yield Orchestrator(redis_url=server.redis_url, workflows=("examples.shop",))
        finally:
            worker.kill()
            worker.wait()


def test_each_item_is_booked_and_paid_once_whatever_goes_wrong(app: Orchestrator, fault_server: FaultServer) -> None:
    faults = [DropAnswer(), Malformed(), Reset(after_effect=True), TooManyRequests(retry_after_s=1)]
    for fault in faults:
        for tool in ("book", "pay"):
            fault_server.fail(tool, fault, match={"item": str(fault)})

    jobs = {str(fault): app.submit({"item": str(fault)}, workflow="shop") for fault in faults}
    for item, job in jobs.items():
        assert job.result(timeout=90) == {"booked": item, "paid": item}
    assert len(fault_server.effects("book")) == len(fault_server.effects("pay")) == len(faults)
    assert fault_server.doubled() == []


def test_chaos(app: Orchestrator, fault_server: FaultServer) -> None:
    fault_server.fail("*", Mix(seed=7, reset=0.1, drop_answer=0.1, delay=0.2, server_error=0.1), times=None)
    jobs = [app.submit({"item": f"room {number}"}, workflow="shop") for number in range(10)]
    for number, job in enumerate(jobs):
        assert job.result(timeout=90)["paid"] == f"room {number}"
    assert len(fault_server.effects()) == 2 * len(jobs)
    assert fault_server.doubled() == []
