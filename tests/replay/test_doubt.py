"""A call in doubt: a person answers, and nothing that does not depend on it waits. And the document's example."""

import json
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from orchestrator import InvalidRequest, Job, Orchestrator
from orchestrator.telemetry import names
from tests.support.stage import ROOT, Stage, stage
from tests.support.waiting import wait_until
from tools.testing import DropAnswer, FaultServer

SUREFOOT = str(Path(sys.executable).with_name("surefoot"))


@pytest.fixture
def played(tmp_path: Path, fault_server: FaultServer) -> Iterator[Stage]:
    (tmp_path / "faults.json").write_text(f'{{"mcpServers": {{"faults": {json.dumps(fault_server.entry())}}}}}')
    with stage(tmp_path, mcp_config=tmp_path / "faults.json", workflows="tests.replay.flows", trace=True) as opened:
        opened.worker()
        yield opened


def in_doubt(played: Stage) -> Job:
    app = Orchestrator(redis_url=played.server.url, workflows=("tests.replay.flows",), trace=False)
    job = app.submit({"item": "letter"}, workflow="post")
    wait_until(lambda: job.status == "waiting", "the job waits")
    return job


def spans(job: Job, tool: str) -> list[dict[str, Any]]:
    found = [json.loads(text) for text in job.spans]
    return [span for span in found if span["name"] == f"execute_tool faults.{tool}"]


def answer(played: Stage, *words: str) -> subprocess.CompletedProcess[str]:
    command = [SUREFOOT, "answer", *words]
    return subprocess.run(command, env=played.environment, cwd=ROOT, capture_output=True, text=True, check=False)


def test_what_happened_is_taken_and_nothing_is_sent(played: Stage, fault_server: FaultServer) -> None:
    fault_server.fail("send", DropAnswer())
    job = in_doubt(played)
    assert {step.name: str(step.state) for step in job.steps} == {
        "post": "waiting", "note": "succeeded", "collect": "pending",
    }  # fmt: skip
    (question,) = job.questions
    assert question.details["tool"] == "faults.send"
    assert question.details["arguments"] == {"item": "letter"}
    assert question.details["key"] == f"{job.id}.post:1"
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\+00:00", question.details["sent"])

    wait_until(lambda: spans(job, "send"), "the span is there")
    (span,) = spans(job, "send")
    told = (names.EFFECT, names.OUTCOME, names.ERROR_TYPE)
    assert [span["attributes"][name] for name in told] == ["unsafe", "in doubt", "in doubt"]

    both = answer(played, job.id, "--happened", "1", "--did-not-happen")
    assert both.returncode != 0
    assert "either --happened" in both.stdout + both.stderr
    assert answer(played, job.id, "--happened", "{no json").returncode != 0
    with pytest.raises(InvalidRequest, match="result"):
        job.answer({question.id: {"happened": True}})
    done = answer(played, job.id, "--happened", '{"item": "by hand"}')
    assert done.returncode == 0, done.stderr
    assert job.result(60)["post"] == {"item": "by hand"}
    assert len(fault_server.attempts("send")) == 1
    assert job.spend.tool_calls.spent == 2
    none_left = answer(played, job.id, "--did-not-happen")
    assert "does not ask about a call in doubt" in none_left.stdout + none_left.stderr


def test_what_did_not_happen_is_sent_once_more_and_each_sending_is_a_question(
    played: Stage, fault_server: FaultServer
) -> None:
    fault_server.fail("send", DropAnswer(), times=2)
    job = in_doubt(played)
    job.answer({"post/call-1": {"happened": False}})
    wait_until(
        lambda: [question.id for question in job.questions] == ["post/call-1-2"], "the second one is asked about"
    )
    assert len(fault_server.attempts("send")) == 2
    job.answer({"post/call-1-2": {"happened": False}})
    assert job.result(60)["post"]["item"] == "letter"
    sent = fault_server.attempts("send")
    assert [one.key for one in sent] == 3 * [f"{job.id}.post:1"]
    assert job.spend.tool_calls.spent == 4


def test_the_example_of_the_document_books_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (code,) = re.findall(r"```python\n(.*?)```", (ROOT / "docs/replay.md").read_text(), re.DOTALL)
    (tmp_path / "stay_example.py").write_text(code)
    (tmp_path / "desk.json").write_text('{"mcpServers": {"desk": {"module": "stay_example"}}}')
    monkeypatch.syspath_prepend(str(tmp_path))
    with stage(tmp_path, mcp_config=tmp_path / "desk.json", workflows="stay_example") as played:
        played.environment["PYTHONPATH"] += f":{tmp_path}"
        played.worker()
        app = Orchestrator(redis_url=played.server.url, workflows=("stay_example",), trace=False)
        job = app.submit({"city": "Denver"}, workflow="stay")
        wait_until(lambda: job.status == "waiting", "it asks for the name")
        job.answer(name="Ada")
        assert job.result(60) == {"booked": "Denver-1", "times": 1, "name": "Ada"}
        assert job.spend.tool_calls.spent == 2
