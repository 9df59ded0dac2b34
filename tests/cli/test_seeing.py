"""What the command line shows of jobs: what is wrong on top with the command that helps, live, and without secrets."""

import json
import subprocess
import sys
from collections.abc import Iterator
from typing import Any

import pytest
from typer.testing import CliRunner

from orchestrator import Budget, InvalidRequest, JobFailed, Plan, Workflow
from orchestrator.blocking import Job
from orchestrator.cli import app, render
from orchestrator.cli.advice import diagnoses
from orchestrator.workflow import Profile, catalogue
from tests.support.flows import Order
from tests.support.stage import ROOT, Stage, stage
from tests.support.waiting import wait_until

pytestmark = pytest.mark.xdist_group("seeing")
SECRET = "sk-planted0123456789abcdefghijklmnop"
PASSWORD = "hunter2-planted"


@pytest.fixture(scope="module")
def played(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    folder = tmp_path_factory.mktemp("stage")
    with stage(folder, trace=True, server_options=("--appendonly", "yes")) as it:
        it.worker("--concurrency", "50", "--name", "seen")
        yield it


def surefoot(played: Stage, *words: str) -> str:
    """Run a command in this process, as long as it needs no terminal; all that it prints."""
    done = CliRunner().invoke(app, words, env=played.environment)
    assert done.exit_code == 0, f"{words}: {done.exit_code}\n{done.output}\n{done.exception}"
    return done.output


def failed(played: Stage, workflow: str, budget: Budget | None = None, item: str = "bed") -> Job:
    job = played.app.submit(Order(item=item), workflow=workflow, budget=budget)
    with pytest.raises(JobFailed):
        job.result(60)
    return job


def waiting(played: Stage) -> Job:
    job = played.app.submit(Order(item="bed"), workflow="asking")
    wait_until(lambda: job.status == "waiting", "it asks")
    return job


def test_that_a_tool_has_no_price_is_seen_in_a_job_whose_money_has_a_ceiling(played: Stage) -> None:
    told = "nobody said what"
    for budget, seen in ((None, 0), (Budget(usd=1), 1)):
        job = played.app.submit(Order(item="bed"), workflow="journey", budget=budget)
        job.result(60)
        wait_until(lambda job=job: any(b"invoke_agent finish" in row for row in job.spans), "its spans are there")
        spans = b"".join(job.spans)
        assert spans.count(b"surefoot.tool.unpriced") == 2 * seen  # three steps call both
        shown, watched = surefoot(played, "show", job.id), surefoot(played, "watch", job.id)
        assert (shown.count(told), watched.count(told)) == (seen, 2 * seen)
        assert ("(SUREFOOT_PRICES): desk.search, desk.book" in " ".join(shown.split())) is bool(seen)


def test_a_failed_job_s_trace_begins_with_step_kind_cause_and_command(played: Stage) -> None:
    job = failed(played, "broken")
    wait_until(lambda: any(b"invoke_agent broken" in row for row in job.spans), "its spans are there")
    lines = surefoot(played, "trace", job.id).splitlines()
    assert lines[0].startswith(f"job {job.id}  failed  broken  tenant default")
    assert lines[1] == "step 2 of 3 (broken) failed: unhandled"
    assert lines[2] == "  cause  RuntimeError: no bed"
    assert lines[3].startswith("  next   ")
    assert lines[3].endswith(f"surefoot resume {job.id}")
    assert any("invoke_agent broken (step 2 of 3, failed)" in line and "!" in line for line in lines)
    assert max(map(len, lines[4:])) <= 120
    shown = json.loads(surefoot(played, "show", job.id, "--json"))
    assert shown["wrong"][0]["place"] == "step 2 of 3 (broken)"
    assert all("span_id" in span for span in json.loads(surefoot(played, "trace", job.id, "--json")))


def test_the_command_that_is_advised_for_a_ceiling_helps(played: Stage) -> None:
    job = failed(played, "journey", Budget(tool_calls=2))
    (found,) = diagnoses(job.record)
    assert (found.kind, found.cause) == ("budget", "tool calls 2 of 2")
    words = found.remedies[0].partition("surefoot ")[2].split()
    assert words == ["resume", job.id, "--tool-calls", "4"]
    while job.status == "failed":  # each time twice as many
        words = diagnoses(job.record)[0].remedies[0].partition("surefoot ")[2].split()
        surefoot(played, *words)
        wait_until(lambda: job.status.final, "it ends")
    assert job.status == "succeeded"


def test_each_kind_of_failure_is_named(played: Stage) -> None:
    assert diagnoses(failed(played, "wrong").record)[0].kind == "invalid data"
    late = played.app.submit(Order(item="bed", seconds=30), workflow="slow", budget=Budget(seconds=0.3))
    wait_until(lambda: late.status == "failed", "its deadline passes")
    (found,) = diagnoses(late.record)
    assert (found.kind, found.remedies[0][-len("--seconds 300") :]) == ("timeout", "--seconds 300")


def test_a_job_that_asks_says_how_to_answer(played: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    job = waiting(played)
    told = surefoot(played, "show", job.id)
    assert "step 1 of 2 (asking) asks: input" in told
    command = f"surefoot answer {job.id} date=2027-03-12"
    assert command in told
    monkeypatch.setattr(render.console, "_width", 60)
    listed = surefoot(played, "jobs", "--status", "waiting")
    assert job.id in listed  # never cut, however narrow
    surefoot(played, *command.split()[1:])
    assert job.result(60) is not None
    assert diagnoses(job.record) == []


def test_watch_ends_where_a_job_waits_now_and_not_where_it_once_did(played: Stage) -> None:
    job = played.app.submit(Order(item="bed"), workflow="careful")
    wait_until(lambda: job.status == "waiting", "it asks for the stay")
    first = [json.loads(line) for line in surefoot(played, "watch", job.id, "--json").splitlines()]
    assert first[-1]["type"] == "waiting"
    job.answer(nights=3, rooms=1)
    wait_until(lambda: [one.kind for one in job.questions] == ["approval"], "it asks for approval")
    wait_until(lambda: job.status == "waiting", "it waits again")
    again = [json.loads(line) for line in surefoot(played, "watch", job.id, "--json").splitlines()]
    assert again[: len(first)] == first
    assert [event["type"] for event in again].count("waiting") == 2
    assert "book it?" in surefoot(played, "watch", job.id)
    job.cancel()


def test_in_a_narrow_terminal_place_and_command_are_whole(played: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    broken, asks = failed(played, "broken"), waiting(played)
    monkeypatch.setattr(render.console, "_width", 80)
    lines = surefoot(played, "jobs").splitlines()
    rows = {line[:32]: line[32:] for line in lines}
    assert rows[broken.id].startswith("  failed ")
    assert "step 2 of 3 (" in rows[broken.id]
    assert rows[asks.id].startswith("  waiting ")
    assert "  asks date" in rows[asks.id]
    assert max(map(len, lines)) <= 80
    assert f"\n  surefoot answer {asks.id} date=2027-03-12\n" in surefoot(played, "top", "--once")
    asks.cancel()


def test_watch_goes_on_after_redis_was_away(played: Stage) -> None:
    job = played.app.submit(Order(item="bed"), workflow="gated")
    wait_until(lambda: job.status == "running", "it runs")
    words = [sys.executable, "-m", "surefoot", "watch", job.id]
    log = played.folder / "watch.log"
    with log.open("wb") as out:
        watching = subprocess.Popen(words, env=played.environment, cwd=ROOT, stdout=out, stderr=out)
    wait_until(lambda: b"started" in log.read_bytes(), "it watches")
    played.server.kill()
    wait_until(lambda: b"still trying" in log.read_bytes(), "it says that Redis is away")
    played.server.start()
    played.open_gate()
    assert watching.wait(60) == 0
    told = log.read_text()
    assert told.count("opened") == told.count("started") == 1
    assert f"job {job.id}  succeeded" in told


def test_watch_on_a_terminal_draws_the_steps(played: Stage) -> None:
    job = failed(played, "broken")
    environment = played.environment | {"FORCE_COLOR": "1", "NO_COLOR": "1", "COLUMNS": "120"}
    words = [sys.executable, "-m", "surefoot", "watch", job.id]
    told = subprocess.run(
        words, env=environment, cwd=ROOT, capture_output=True, text=True, timeout=90, check=True
    ).stdout
    assert "step 2 of 3 (broken) failed: unhandled" in told
    assert "2 of 3  broken" in told


def test_the_workers_log_has_a_line_for_the_start_and_one_for_the_end_of_each_attempt(played: Stage) -> None:
    job = failed(played, "broken", item=f"{SECRET} password={PASSWORD}")

    def lines() -> list[dict[str, Any]]:
        texts = [text for text in played.log().decode().splitlines() if text.startswith("{")]
        return [line for line in map(json.loads, texts) if line.get("job") == job.id]

    def told(event: str) -> dict[str, dict[str, Any]]:
        return {line["step"]: line for line in lines() if line["event"] == event}

    wait_until(lambda: len(told("step ends")) == 2, "both steps have ended")
    assert set(told("step starts")) == set(told("step ends")) == {"begin", "broken"}
    begun, ended = told("step starts")["broken"], told("step ends")["broken"]
    assert (begun["attempt"], begun["number"], begun["of"], begun["level"]) == (1, 2, 3, "info")
    assert (ended["attempt"], ended["outcome"], ended["level"]) == (1, "failed", "warning")
    assert "step 2 of 3 (broken) failed: unhandled: RuntimeError" in ended["why"]
    assert ended["seconds"] >= 0
    assert told("step ends")["begin"]["outcome"] == "succeeded"
    assert {line["trace_id"] for line in lines()} == {job.id}
    assert any("RuntimeError" in line.get("exception", "") for line in lines())
    for secret in (SECRET, PASSWORD):
        assert secret not in played.log().decode()


def test_jobs_that_are_stuck_are_listed_with_step_cause_and_command(played: Stage) -> None:
    catalogue.profiles["lonely"] = Profile("lonely", queue="an-island")
    Workflow("stranded", request=Order, plan=lambda _: Plan.chain("begin", "lonely"))
    job = played.app.submit(Order(item="bed"), workflow="stranded", tenant="stuck")
    wait_until(lambda: job.steps[1].state == "ready", "its second step waits for a worker")
    wait_until(lambda: played.app.stuck(patience_s=0.2, tenant="stuck"), "it has stood still for a moment")
    lines = surefoot(played, "jobs", "--stuck", "--patience", "0.2", "--tenant", "stuck").splitlines()
    assert lines[0].startswith(f"job {job.id}  running")
    assert lines[1].startswith("step 2 of 2 (lonely) has stood still for")
    assert lines[2] == "  cause  no worker takes it"
    assert lines[3].endswith("surefoot worker --queues an-island")
    (one,) = json.loads(surefoot(played, "jobs", "--stuck", "--patience", "0.2", "--tenant", "stuck", "--json"))
    assert (one["step"], one["job"]["id"], one["for_s"] >= 0.2) == ("lonely", job.id, True)
    assert surefoot(played, "jobs", "--stuck", "--tenant", "stuck") == "no job has stood still for 60 s\n"
    away = {"SUREFOOT_BROKER_URL": f"amqp://me:{PASSWORD}@127.0.0.1:1/"}
    words = ["jobs", "--stuck", "--patience", "0.2", "--tenant", "stuck"]
    told = CliRunner().invoke(app, words, env=played.environment | away).output
    assert told.startswith("the broker does not answer: ")
    assert " at 127.0.0.1:1; start it, or correct SUREFOOT_BROKER_URL; no job is lost" in told
    assert PASSWORD not in told
    refused = CliRunner().invoke(app, ["jobs", "--stuck", "--status", "failed"], env=played.environment)
    assert isinstance(refused.exception, InvalidRequest)
    assert "leave --status away" in str(refused.exception)
    job.cancel()


@pytest.mark.parametrize(
    ("option", "said", "problem"),
    [
        ("--usd", "nan", "budget usd must be between 0 and 9007199254, not nan"),
        ("--usd", "1e30", "budget usd must be between 0 and 9007199254, not 1e+30"),
        ("--tokens", "-1", "budget tokens must be between 0 and"),
        ("--steps", f"{10**30}", "budget steps must be between 0 and"),
        ("--answer-bytes", "-1", "budget answer_bytes must be between 0 and"),
        ("--seconds", "inf", "budget seconds must be between 0 and"),
        ("--tool", "desk.book=-1", "say GLOB=CALLS"),
        ("--at-ceiling", "stop", "budget at_ceiling must be fail, ask or finish, not 'stop'"),
    ],
)
def test_a_nonsense_budget_is_refused_by_name_on_the_command_line_too(
    played: Stage, option: str, said: str, problem: str
) -> None:
    words = ["submit", "--workflow", "journey", option, said, '{"item": "bed"}']
    refused = CliRunner().invoke(app, words, env=played.environment)
    assert isinstance(refused.exception, InvalidRequest)
    assert problem in str(refused.exception)
    for command in ("resume", "fork"):
        after = ["--after", "begin"] if command == "fork" else []
        if option != "--at-ceiling":
            again = CliRunner().invoke(app, [command, "0" * 32, *after, option, said], env=played.environment)
            assert problem in str(again.exception), command
