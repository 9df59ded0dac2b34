"""Whole jobs with real workers, one for each fault of each tool: every effect happens once."""

import json
from collections import Counter
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from orchestrator import Budget, Orchestrator
from tests.support.stage import stage
from tests.support.waiting import wait_until
from tools.testing import (
    Delay,
    DropAnswer,
    Duplicate,
    DuplicateAnswer,
    FaultServer,
    HalfOpen,
    Malformed,
    Oversized,
    Reset,
    Restart,
    ServerError,
    TooManyRequests,
    WrongSchema,
)
from tools.testing.faults import AnyFault

FAULTS: list[AnyFault] = [
    DropAnswer(),
    Delay(seconds=0.2),
    Delay(after_effect=True, seconds=60),
    DuplicateAnswer(),
    TooManyRequests(),
    ServerError(),
    ServerError(after_effect=True, status=502),
    ServerError(status=503, retry_after_s=1),
    Reset(),
    Reset(after_effect=True),
    HalfOpen(),
    HalfOpen(after_effect=True),
    Malformed(),
    WrongSchema(),
    WrongSchema(mcp=True),
    Oversized(),
]
A_NO_OF_A_SEARCH = (WrongSchema, Oversized)
PATIENT: dict[str, Any] = {"attempts": 100, "backoff_max_s": 1.0, "workflows": "tests.testing.flows"}
PLENTY = Budget(steps=1_000, tool_calls=1_000, seconds=600)


@contextmanager
def played(folder: Path, entry: dict[str, Any]) -> Generator[Orchestrator]:
    """An orchestrator and a worker whose only tool server is this."""
    (folder / "faults.json").write_text(json.dumps({"mcpServers": {"faults": entry}}))
    with stage(folder, mcp_config=folder / "faults.json", **PATIENT) as opened:
        opened.worker("--concurrency", "100")
        app = Orchestrator(redis_url=opened.server.url, workflows=("tests.testing.flows",), trace=False)
        yield app
        app.close()


def test_under_each_fault_of_each_tool_every_effect_happens_once(tmp_path: Path, fault_server: FaultServer) -> None:
    meets = [(fault, tool) for fault in FAULTS for tool in ("search", "book", "pay")]
    meets = [(fault, tool) for fault, tool in meets if tool != "search" or not isinstance(fault, A_NO_OF_A_SEARCH)]
    meets += [(Duplicate(), "search"), (Duplicate(), "book"), (Restart(), "book"), (Restart(after_effect=True), "pay")]
    items = [f"bed-{number}" for number in range(len(meets))]
    for item, (fault, tool) in zip(items, meets, strict=True):
        fault_server.fail(tool, fault, match={"item": item})
    with played(tmp_path, fault_server.entry(timeout_s=5, concurrency=100)) as app:
        jobs = [app.submit({"item": item}, workflow="errand", budget=PLENTY) for item in items]
        for item, job in zip(items, jobs, strict=True):
            assert job.result(100)["paid"] == item
    assert sorted(one.arguments["item"] for one in fault_server.effects("book")) == sorted(items)
    assert sorted(one.arguments["item"] for one in fault_server.effects("pay")) == sorted(items)
    met = Counter(one.fault for one in fault_server.attempts() if one.fault)
    assert met == Counter(type(fault).__name__ for fault, _ in meets)


def test_what_nobody_can_look_up_waits_for_a_person(tmp_path: Path, fault_server: FaultServer) -> None:
    fault_server.fail("send", DropAnswer())
    with played(tmp_path, fault_server.entry()) as app:
        job = app.submit({"item": "letter"}, workflow="letter")
        wait_until(lambda: job.status == "waiting", "the job waits")
        assert [question.kind for question in job.questions] == ["in_doubt"]
    assert len(fault_server.attempts("send")) == len(fault_server.effects("send")) == 1


def test_a_look_up_that_takes_keys_in_the_argument_of_the_servers_own_keys_finds_what_happened(
    tmp_path: Path, fault_server: FaultServer
) -> None:
    fault_server.fail("pay", DropAnswer())
    with played(tmp_path, fault_server.entry(timeout_s=2, key={"argument": "key"})) as app:
        job = app.submit({"item": "bed"}, workflow="errand", budget=PLENTY)
        assert job.result(60)["paid"] == "bed"
    assert len(fault_server.effects("pay")) == 1
