"""What a process counts of its steps: how each call ended, money of what was sent, no user's text as a label."""

import asyncio
import time

import pytest

from orchestrator.settings import load
from orchestrator.state.calls import Cost
from orchestrator.state.records import Claim
from orchestrator.telemetry.metrics import Metrics, start
from tools.outcome import OutcomeUnknown, Rejected, Unavailable
from workers.meter import MOST_TENANTS, OTHERS, Meter

CLAIMED = Claim("CLAIMED", specialist="clock", waited_ms=250)


@pytest.fixture
def metrics() -> Metrics:
    return start(load(metrics_port=9_464), "surefoot-test")


@pytest.mark.parametrize(
    ("error", "outcome", "paid"),
    [
        (None, "succeeded", True),
        (Rejected("desk.book", "sold out"), "rejected", True),
        (OutcomeUnknown("desk.book", "silence"), "outcome unknown", True),
        (Unavailable("desk.book", "away"), "unavailable", False),
        (asyncio.CancelledError(), "cancelled", True),
    ],
)
def test_a_call_is_counted_by_its_end_and_paid_unless_it_did_not_happen(
    metrics: Metrics, error: BaseException | None, outcome: str, *, paid: bool
) -> None:
    def send() -> None:
        with Meter(metrics).sending("desk.book", Cost(micro_usd=1_500_000, undo_micro_usd=500_000), "acme"):
            if error is not None:
                raise error

    if error is None:
        send()
    else:
        with pytest.raises(type(error)):
            send()
    page = metrics.page().decode()
    labels = f'gen_ai_tool_name="desk.book",surefoot_outcome="{outcome}"'
    assert f"surefoot_tool_duration_seconds_count{{{labels}}} 1.0\n" in page
    assert ('surefoot_tool_usd_total{gen_ai_tool_name="desk.book",surefoot_tenant="acme"} 2.0\n' in page) == paid


def test_only_a_claimed_step_is_an_attempt_and_only_the_first_one_waited(metrics: Metrics) -> None:
    meter = Meter(metrics)
    meter.attempt(Claim("DONE"), "nothing", time.monotonic())
    assert b"surefoot_attempt" not in metrics.page()
    meter.attempt(CLAIMED, "succeeded", time.monotonic())
    meter.attempt(Claim("CLAIMED", specialist="clock"), "nothing", time.monotonic())
    page = metrics.page().decode()
    for outcome in ("succeeded", "cancelled"):
        labels = f'gen_ai_agent_name="clock",surefoot_outcome="{outcome}"'
        assert f"surefoot_attempt_duration_seconds_count{{{labels}}} 1.0\n" in page
    assert 'surefoot_queue_wait_seconds_sum{gen_ai_agent_name="clock"} 0.25\n' in page
    assert 'surefoot_queue_wait_seconds_count{gen_ai_agent_name="clock"} 1.0\n' in page


def test_a_users_glob_is_no_label(metrics: Metrics) -> None:
    meter = Meter(metrics)
    meter.refused("tools/desk.my_*", "acme")
    meter.refused("usd", "acme")
    meter.low("tools/desk.my_*")
    meter.low("answer_bytes")
    meter.lease_lost()
    page = metrics.page().decode()
    assert "my_" not in page
    assert 'surefoot_budget_refusals_total{surefoot_ceiling="tools",surefoot_tenant="acme"} 1.0\n' in page
    assert 'surefoot_budget_refusals_total{surefoot_ceiling="usd",surefoot_tenant="acme"} 1.0\n' in page
    assert 'surefoot_budget_warnings_total{surefoot_ceiling="tools"} 1.0\n' in page
    assert 'surefoot_budget_warnings_total{surefoot_ceiling="answer_bytes"} 1.0\n' in page
    assert "surefoot_leases_lost_total 1.0\n" in page


def test_tokens_and_money_are_counted_by_model_and_tenant(metrics: Metrics) -> None:
    meter = Meter(metrics)
    used = Cost(tool_calls=0, input_tokens=40, output_tokens=10, micro_usd=250_000)
    with meter.asking("openai:gpt"):
        pass
    meter.charged("openai:gpt", used, "acme")
    meter.charged("openai:gpt", used, "acme")
    meter.cached("openai:gpt")
    page = metrics.page().decode()
    both = 'gen_ai_request_model="openai:gpt",{}surefoot_tenant="acme"'
    for kind, tokens in (("input", 80.0), ("output", 20.0)):
        labels = both.format(f'gen_ai_token_type="{kind}",')
        assert f"surefoot_model_tokens_total{{{labels}}} {tokens}\n" in page
    assert f"surefoot_model_usd_total{{{both.format('')}}} 0.5\n" in page
    assert 'surefoot_model_cached_total{gen_ai_request_model="openai:gpt"} 1.0\n' in page
    labels = 'gen_ai_request_model="openai:gpt",surefoot_outcome="succeeded"'
    assert f"surefoot_model_duration_seconds_count{{{labels}}} 1.0\n" in page


def test_however_many_tenants_there_are_fifty_have_a_label(metrics: Metrics) -> None:
    meter = Meter(metrics)
    for i in range(200):
        meter.refused("usd", f"tenant-{i}")
        meter.refused("usd", "tenant-0")
    lines = [
        line for line in metrics.page().decode().splitlines() if line.startswith("surefoot_budget_refusals_total{")
    ]
    assert len(lines) == MOST_TENANTS + 1
    assert f'surefoot_budget_refusals_total{{surefoot_ceiling="usd",surefoot_tenant="{OTHERS}"}} 150.0' in lines
    assert sum(float(line.split()[-1]) for line in lines) == 400


def test_a_label_is_no_way_out_for_a_secret(metrics: Metrics) -> None:
    secret = "sk-planted0123456789abcdefghijklmnop"
    meter = Meter(metrics)
    meter.refused("usd", secret)
    meter.charged(f"http://me:{secret}@models.example/v1#m", Cost(input_tokens=1), secret)
    assert secret not in metrics.page().decode()
