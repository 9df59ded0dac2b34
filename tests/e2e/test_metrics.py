"""What workers count while real jobs run: on their own page, and by OTLP from a prefork worker's children.

All that docs/telemetry.md promises is really there after a run, with these labels, and nothing else.
"""

import json
import os
import re
import signal
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any
from urllib.request import urlopen

import pytest
from typer.testing import CliRunner, Result

from orchestrator import Budget, BudgetExhausted, Job, JobFailed
from orchestrator.cli import app as cli
from orchestrator.telemetry import names
from orchestrator.telemetry.names import Metric
from orchestrator.telemetry.tree import Trace
from tests.support.stage import Stage, stage
from tests.support.waiting import wait_until
from tests.telemetry.collecting import COLLECTORS, Collector
from tests.telemetry.metrics_page import documented, prometheus, shown
from tests.tools_client.test_servers import free_port
from tools.testing.model import ModelServer, answers

pytestmark = pytest.mark.xdist_group("metrics")
CALM: dict[str, Any] = {"lease_s": 30, "grace_s": 30}
"""No step is re-driven: it would be counted twice, and its wait not at all."""


@dataclass
class Counting:
    """A stage whose worker and sweeper service each have a page."""

    stage: Stage
    model: ModelServer
    worker_port: int
    sweeper_port: int

    def page(self, port: int) -> str:
        with urlopen(f"http://127.0.0.1:{port}/metrics", timeout=5) as answer:
            return answer.read().decode()

    def counted(self, name: str, **labels: str) -> float:
        """The sum of a metric's lines, on both pages, that have these labels."""
        pages = self.page(self.worker_port) + self.page(self.sweeper_port)
        lines = [li for li in pages.splitlines() if re.match(rf"{name}(\{{| )", li)]
        return sum(float(li.split()[-1]) for li in lines if all(f'{key}="{one}"' in li for key, one in labels.items()))


@pytest.fixture(scope="module")
def counting(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Counting]:
    folder = tmp_path_factory.mktemp("stage")
    prices = folder / "prices.json"
    prices.write_text(
        json.dumps({"models": {"*": {"input": 1, "output": 10}}, "tools": {"desk.book": 0.01, "desk.[!b]*": 0}})
    )
    with ModelServer() as model:
        more: dict[str, Any] = {"model": f"{model.url}#first", "prices": prices, **CALM}
        more |= {"workflows": "tests.support.flows,tests.models.flows", "trace": True, "model_cache_s": 60}
        with stage(folder, server_options=("--maxmemory", "512mb"), **more) as here:
            one = Counting(here, model, free_port(), free_port())
            here.environment["SUREFOOT_METRICS_PORT"] = str(one.sweeper_port)
            here.process("workers.sweeper", "sweeper")
            here.environment["SUREFOOT_METRICS_PORT"] = str(one.worker_port)
            here.worker("--concurrency", "10")
            yield one


@pytest.fixture(scope="module")
def asked(counting: Counting) -> Job:
    """All kinds of things have happened, a job that asked a model among them."""
    app = counting.stage.app
    app.submit({"item": "bed", "times": 2}, workflow="flaky", tenant="acme", budget=Budget(steps=1)).result(60)
    refused = app.submit({"item": "bed"}, workflow="journey", budget=Budget(tool_calls=1), tenant="globex")
    with pytest.raises(BudgetExhausted):
        refused.result(60)
    counting.model.says(answers(city="Oslo", nights=2))
    job = app.submit({"text": "two nights in Oslo"}, workflow="understand", tenant="acme")
    job.result(60)
    app.submit({"text": "two nights in Oslo"}, workflow="understand", tenant="acme").result(60)  # from the cache
    return job


def test_a_workers_page_counts_attempts_calls_retries_replays_and_refusals(counting: Counting, asked: Job) -> None:
    counted, attempts = counting.counted, "surefoot_attempt_duration_seconds_count"
    calls = "surefoot_tool_duration_seconds_count"

    def attempted(how: str) -> float:
        return counted(attempts, gen_ai_agent_name="flaky", surefoot_outcome=how)

    wait_until(lambda: attempted("succeeded") == 1, "the last attempt is counted")
    assert attempted("retry") == 2
    assert counted("surefoot_queue_wait_seconds_count", gen_ai_agent_name="flaky") == 1, "retries do not wait"
    flaky = {"gen_ai_tool_name": "desk.flaky"}
    assert counted(calls, **flaky) == 3
    assert counted(calls, **flaky, surefoot_outcome="succeeded") == 1
    assert counted("surefoot_replays_total", gen_ai_tool_name="desk.book") == 2
    assert counted("surefoot_tool_usd_total", gen_ai_tool_name="desk.book", surefoot_tenant="acme") == 0.01
    for ceiling in ("tool_calls", "steps"):  # one call of one, and one step of one
        wait_until(
            lambda ceiling=ceiling: counted("surefoot_budget_warnings_total", surefoot_ceiling=ceiling) == 1,
            f"80 % of {ceiling} is said once",
        )
    refused = {"surefoot_ceiling": "tool_calls", "surefoot_tenant": "globex"}
    wait_until(lambda: counted("surefoot_budget_refusals_total", **refused) >= 1, "the refusal is counted")
    assert counted("surefoot_leases_lost_total") == 0


def test_a_models_tokens_and_money_are_counted_as_the_budget_has_them(counting: Counting, asked: Job) -> None:
    spend, whose = asked.spend, {"surefoot_tenant": "acme"}
    for kind, line in (("input", spend.input_tokens), ("output", spend.output_tokens)):
        assert counting.counted("surefoot_model_tokens_total", gen_ai_token_type=kind, **whose) == line.spent > 0
    assert counting.counted("surefoot_model_usd_total", **whose) * 1e6 == pytest.approx(spend.usd.spent)
    assert spend.usd.spent > 0


def test_all_that_the_docs_promise_is_there_with_its_labels_and_nothing_else(counting: Counting, asked: Job) -> None:
    def reached(workflow: str, status: str) -> float:
        labels = {"surefoot_job_status": status, "gen_ai_workflow_name": workflow}
        return counting.counted("surefoot_jobs_reached_total", **labels)

    wait_until(lambda: reached("understand", "succeeded") == 2, "the jobs are counted by their workflow")
    assert (reached("flaky", "succeeded"), reached("journey", "failed"), reached("journey", "succeeded")) == (1, 1, 0)
    assert {**shown(counting.page(counting.worker_port)), **shown(counting.page(counting.sweeper_port))} == documented()
    wait_until(
        lambda: counting.counted("surefoot_processes", surefoot_process_state="alive") == 2, "both say they are there"
    )
    assert counting.counted("surefoot_redis_memory_limit_bytes") == 512 * 2**20


@dataclass
class Sent:
    """What a prefork worker has sent of a job that succeeds and one that fails."""

    sampled: bool
    intake: Collector
    good: Job
    bad: Job
    tree: Trace | None
    told: list[Result]

    def spans(self, job: Job) -> list[Any]:
        return [span for _, span in self.intake.spans if span.trace_id.hex() == job.id]

    def names(self, job: Job) -> set[str]:
        return {span.name for span in self.spans(job)}


@pytest.fixture(scope="module", params=[("http", 1.0), ("grpc", 0.0)], ids=["http, all sampled", "grpc, none sampled"])
def sent(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sent]:
    """The worker has ended, so all has been sent."""
    protocol, share = request.param
    with (
        COLLECTORS[protocol]() as intake,
        stage(
            tmp_path_factory.mktemp("stage"), otlp_endpoint=intake.url, trace=True, trace_sample=share, **CALM
        ) as here,
    ):
        worker = here.worker("--pool", "prefork", "--concurrency", "1")
        good = here.app.submit({"item": "bed", "times": 0}, workflow="flaky")
        good.result(60)
        bad = here.app.submit({"item": "bed"}, workflow="broken")
        with pytest.raises(JobFailed):
            bad.result(60)
        os.kill(worker.pid, signal.SIGTERM)
        worker.wait(60)
        told = [CliRunner().invoke(cli, ["trace", job.id], env=here.environment) for job in (good, bad)]
        tree = Trace.read(bad.spans)
        here.app.close()
        yield Sent(share == 1.0, intake, good, bad, tree, told)


def test_a_prefork_workers_children_send_what_they_count_and_their_log_lines(sent: Sent) -> None:
    counted = {name: labels for name, labels in sent.intake.labels.items() if name.startswith("surefoot")}
    assert {Metric.ATTEMPT_DURATION, Metric.TOOL_DURATION, Metric.QUEUE_WAIT, Metric.SWEEPS, Metric.LOST} <= set(
        counted
    )
    promised = documented()
    for name, labels in counted.items():
        assert {label.replace(".", "_") for label in labels} <= promised[prometheus(Metric(name))], name
    assert names.AGENT in counted[Metric.ATTEMPT_DURATION]
    assert ((Metric.ATTEMPT_DURATION, sent.good.id) in sent.intake.exemplars) == sent.sampled
    said = {(line.body.string_value, line.trace_id.hex()) for _, _, line in sent.intake.lines}
    assert said >= {(what, job.id) for what in ("step starts", "step ends") for job in (sent.good, sent.bad)}


def test_of_a_failed_job_that_is_not_sampled_the_attempt_that_failed_is_sent_under_its_root(sent: Sent) -> None:
    if sent.sampled:
        assert {"invoke_workflow flaky", "invoke_agent flaky", "execute_tool desk.flaky"} <= sent.names(sent.good)
        whole = {"invoke_agent begin", "run/step.begin", "invoke_workflow broken", "invoke_agent broken"}
        assert sent.names(sent.bad) == {*whole, "run/step.broken"}
    else:
        assert sent.names(sent.good) == set()
        assert sent.names(sent.bad) == {"invoke_workflow broken", "invoke_agent broken"}
    spans = sent.spans(sent.bad)
    ids = {span.span_id for span in spans}
    assert [span.name for span in spans if span.parent_span_id not in ids] == ["invoke_workflow broken"]


def test_what_a_trace_lacks_is_said(sent: Sent) -> None:
    assert sent.tree is not None
    assert sent.tree.failing is not None
    assert sent.tree.failing.name == "invoke_agent broken"
    good, bad = sent.told
    assert bad.exit_code == 0
    assert "step 2 of 3 (broken) failed: unhandled" in bad.output
    if sent.sampled:
        assert not sent.tree.partial
        assert good.exit_code == 0
        assert "invoke_agent flaky" in good.output
        assert "not sampled" not in good.output + bad.output
    else:
        assert sent.tree.partial
        assert good.exit_code == 1
        assert "it is not sampled and nothing went wrong (SUREFOOT_TRACE_SAMPLE)" in str(good.exception)
        assert "not sampled: only attempts in which something went wrong" in bad.output
