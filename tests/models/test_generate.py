"""A model call is journaled, budgeted and retried like a tool call; each way a model can fail has one meaning."""

import json
import time

import pytest

from orchestrator import Budget, BudgetExhausted, JobFailed
from orchestrator.telemetry import names
from orchestrator.telemetry.names import Kind, Outcome
from tests.models.conftest import Scripted, chat
from tests.support.ledger import effects
from tests.support.waiting import wait_until
from tools.testing.model import CutsOff, Refuses, Says, Talks, answers

pytestmark = pytest.mark.xdist_group("models")
OSLO = {"city": "Oslo", "nights": 2}


def test_an_answer_of_a_type_is_asked_for_once_and_paid_as_reported(play: Scripted) -> None:
    play.first.says(answers(**OSLO))
    job = play.submit("understand", budget=Budget(tokens=5_000, usd=1.0, tool_calls=0))
    assert job.result(30) == OSLO
    (asked,) = play.first.requests
    assert asked["model"] == "first"
    assert asked["max_tokens"] == 100
    assert [message["role"] for message in asked["messages"]] == ["system", "user"]
    assert asked["tools"][0]["function"]["parameters"]["required"] == ["city", "nights"]
    spend = job.spend
    assert (spend.input_tokens.spent, spend.output_tokens.spent, spend.tokens.spent) == (40, 10, 50)
    assert (spend.usd.spent, spend.tool_calls.spent) == (40 * 1 + 10 * 10, 0)
    assert {line.reserved for line in spend.lines.values()} == {0}


def test_a_retry_replays_the_answer_and_neither_asks_nor_pays_again(play: Scripted) -> None:
    play.first.says(Says("suite", input_tokens=30, output_tokens=3))
    job = play.submit("book")
    assert job.result(30) == {"booked": "suite"}
    assert job.steps[0].attempts == 2
    assert len(play.first.requests) == 1
    assert (job.spend.tokens.spent, job.spend.usd.spent) == (33, 60)


def test_the_same_request_of_another_job_is_paid_again_unless_a_cache_is_set(play: Scripted) -> None:
    play.first.says(answers(**OSLO), answers(city="Rome", nights=1))
    first, second = (play.submit("understand") for _ in range(2))
    assert sorted(job.result(30)["city"] for job in (first, second)) == ["Oslo", "Rome"]
    assert (first.spend.tokens.spent, second.spend.tokens.spent, len(play.first.requests)) == (50, 50, 2)


def test_a_worker_killed_after_the_answer_asks_no_model_again(play: Scripted) -> None:
    play.first.says(Says("suite"))
    job = play.submit("held")
    wait_until(lambda: job.spend.tool_calls.reserved == 1, "the tool is called after the model")
    play.stage.kill(play.stage.workers[-1])
    play.stage.worker()
    assert job.result(60)["booked"] == "suite"
    assert job.steps[0].attempts == 2
    assert (len(play.first.requests), len(play.second.requests)) == (1, 0)
    assert job.spend.tokens.spent == 50


def test_undoing_a_step_takes_the_models_answer_from_the_record(play: Scripted) -> None:
    play.first.says(Says("attic"))
    job = play.submit("unasked")
    wait_until(lambda: job.spend.tool_calls.reserved == 1, "the tool is called after the model")
    job.cancel()
    wait_until(lambda: "undo attic" in [item for _, item in effects(play.stage.ledger)], "it is undone")
    assert (len(play.first.requests), len(play.second.requests)) == (1, 0)


@pytest.mark.parametrize(
    "wrong",
    [
        answers(city="Oslo"),
        Says("I think it is Oslo."),
        Says(calls=[("answer", '{"city": ')]),
        Says(finish="length"),
        Says(calls=[("unheard_of", {})]),
    ],
)
def test_an_answer_that_does_not_fit_is_repaired_by_a_call_of_its_own(play: Scripted, wrong: Says) -> None:
    play.first.says(wrong, answers(**OSLO))
    job = play.submit("understand")
    assert job.result(30) == OSLO
    assert len(play.first.requests) == 2
    assert "does not fit the schema" in str(play.first.requests[1]["messages"][-1]["content"])
    assert job.spend.tokens.spent == 100


def test_repairs_are_bounded(play: Scripted) -> None:
    play.first.says(*[answers(city="Oslo", nights=0)] * 3)
    job = play.submit("understand", repairs=2)
    with pytest.raises(JobFailed, match="no valid City after 3 tries: nights: Input should be greater than or equal"):
        job.result(30)
    assert len(play.first.requests) == 3


def test_an_answer_said_as_text_is_taken_if_it_fits(play: Scripted) -> None:
    play.first.says(Says('Sure: {"city": "Oslo", "nights": 2}'))
    assert play.submit("understand").result(30) == OSLO


REFUSED = [*map(Refuses, (425, 429, 500, 503, 529))]
LOST = [*map(Refuses, (502, 504)), CutsOff(), Talks(), Talks('{"ok": true}')]
ANSWERS = {"thrifty": (Says("suite"), {"said": "suite"}), "agent": (answers(**OSLO), OSLO)}


@pytest.mark.parametrize("workflow", ANSWERS)
@pytest.mark.parametrize("fault", [Refuses(401), *REFUSED, *LOST], ids=repr)
def test_the_next_model_of_the_chain_is_asked_at_once(
    play: Scripted, workflow: str, fault: Refuses | CutsOff | Talks
) -> None:
    line, result = ANSWERS[workflow]
    play.first.says(fault)
    play.second.says(line)
    job = play.submit(workflow)
    assert job.result(30) == result
    assert (len(play.first.requests), len(play.second.requests), job.steps[0].attempts) == (1, 1, 1)
    assert (job.spend.tokens.spent == 50) is (fault not in LOST), "what was refused costs nothing"
    assert job.spend.tokens.reserved == 0
    (call,) = job.calls
    assert (call["tool"], call["state"], call["out"]["model"]) == ("model", "done", f"{play.second.url}#second")
    span = chat(job)
    (failed,) = [event for event in span["events"] if event["name"] == names.Happening.MODEL_FAILED]
    assert failed["attributes"]["model"] == f"{play.first.url}#first"
    assert span["attributes"][names.OUTCOME] == Outcome.SUCCEEDED


@pytest.mark.parametrize("workflow", ANSWERS)
@pytest.mark.parametrize("fault", [Refuses(429), Refuses(500), *LOST[1:]], ids=repr)
def test_where_no_model_answers_the_step_comes_back_and_record_and_trace_say_why(
    play: Scripted, workflow: str, fault: Refuses | CutsOff | Talks
) -> None:
    line, result = ANSWERS[workflow]
    play.first.says(fault, line)
    play.second.says(fault)
    job = play.submit(workflow)
    assert job.result(30) == result
    assert (len(play.first.requests), len(play.second.requests), job.steps[0].attempts) == (2, 1, 2)
    (call,) = job.calls
    assert (call["state"], call["sends"], call["out"]["model"]) == ("done", "3", f"{play.first.url}#first")
    assert (job.spend.tokens.spent == 50, job.spend.tokens.reserved) == (fault not in LOST, 0)
    first = chat(job, 0, of=2)
    lost = len([event for event in first["events"] if event["name"] == names.Happening.MODEL_FAILED])
    assert (lost, first["attributes"][names.OUTCOME]) == (2, Outcome.RETRY)
    assert first["attributes"][names.ERROR_TYPE] == Kind.UNAVAILABLE
    assert first["attributes"][names.STEP_NUMBER] == 1


def test_a_provider_that_keeps_failing_costs_nothing_and_is_given_up(play: Scripted) -> None:
    play.second.clear(otherwise=Refuses(503))
    job = play.submit("thrifty", budget=Budget(tokens=2_000))
    with pytest.raises(JobFailed, match=r"scripted 500.*scripted 503.* \(attempt (\d+) of \1\)"):
        job.result(60)
    assert len(play.first.requests) == len(play.second.requests) == job.steps[0].attempts
    assert (job.spend.tokens.spent, job.spend.usd.spent) == (0, 0)


def test_what_a_gateway_gave_up_on_may_have_been_paid_and_the_budget_bounds_it(play: Scripted) -> None:
    play.first.clear(otherwise=Refuses(504))
    play.second.clear(otherwise=Refuses(504))
    job = play.submit("thrifty", budget=Budget(tokens=2_000))
    with pytest.raises(BudgetExhausted):
        job.result(60)
    asked = len(play.first.requests) + len(play.second.requests)
    assert 1 <= asked <= 3, "a request is bounded by its reservation, and all of them by the budget"
    assert job.spend.tokens.spent <= 2_000


def test_retry_after_is_honoured_by_the_steps_own_retry(play: Scripted) -> None:
    play.first.says(Refuses(429, retry_after_s=1), Says("suite"))
    play.second.says(Refuses(429, retry_after_s=5))
    started = time.monotonic()
    job = play.submit("thrifty")
    assert job.result(30) == {"said": "suite"}
    assert 1.0 <= time.monotonic() - started < 5
    assert (job.steps[0].attempts, job.spend.tokens.spent) == (2, 50)


@pytest.mark.parametrize("status", [400, 401, 404])
def test_what_all_models_refuse_is_a_definite_no_that_a_specialist_may_catch(play: Scripted, status: int) -> None:
    play.first.says(Refuses(status))
    play.second.says(Refuses(status))
    job = play.submit("thrifty")
    assert f"scripted {status}" in job.result(30)["no"]
    assert (job.steps[0].attempts, job.spend.tokens.spent) == (1, 0)


@pytest.mark.parametrize("budget", [Budget(tokens=300), Budget(output_tokens=99), Budget(usd=0.001)])
def test_what_does_not_fit_is_not_sent(play: Scripted, budget: Budget) -> None:
    job = play.submit("thrifty", budget=budget)
    with pytest.raises(BudgetExhausted):
        job.result(30)
    assert play.first.requests == []
    assert job.spend.usd.spent == 0


def test_more_than_was_reserved_is_charged_and_recorded_and_stops_the_job(play: Scripted) -> None:
    play.first.says(Says("suite", output_tokens=5_000), Says("never asked"))
    job = play.submit("thrifty", budget=Budget(tokens=20_000))
    with pytest.raises(
        BudgetExhausted, match=r"overrun: call 1 cost 5000 output tokens, at most 100 could be expected"
    ):
        job.result(30)
    assert job.spend.tokens.spent == 5_040
    assert [event.data["kind"] for event in job.events() if event.type == "overrun"] == [
        "output_tokens",
        "tokens",
        "usd",
    ]
    job.resume(budget=Budget(tokens=30_000))
    assert job.result(30) == {"said": "suite"}
    assert len(play.first.requests) == 1


def test_prompt_answer_tokens_and_model_are_in_the_trace_without_secrets(play: Scripted) -> None:
    play.first.says(Refuses(500))
    play.second.says(Says("the key is sk-abcdefghijklmnop"))
    job = play.submit("thrifty", "password=hunter2hunter2 and Oslo")
    job.result(30)

    span = chat(job)
    told = span["attributes"]
    assert told[names.REQUEST_MODEL] == f"{play.first.url}#first"
    assert told[names.RESPONSE_MODEL] == f"{play.second.url}#second"
    assert (told[names.INPUT_TOKENS], told[names.OUTPUT_TOKENS], told[names.REPLAYED]) == (40, 10, False)
    (asked,), (said,) = json.loads(told[names.INPUT_MESSAGES]), json.loads(told[names.OUTPUT_MESSAGES])
    assert (asked["role"], asked["parts"][0]["type"]) == ("user", "text")
    assert "and Oslo" in asked["parts"][0]["content"]
    assert said == {
        "role": "assistant",
        "parts": [{"type": "text", "content": f"the key is {names.REDACTED_MARK}"}],
        "finish_reason": "stop",
    }
    assert (told[names.PROVIDER], told[names.FINISH_REASON]) == ("openai", ["stop"])
    assert names.Happening.MODEL_FAILED in [event["name"] for event in span["events"]]
    assert "hunter2" not in str(span)
    assert "sk-abc" not in str(span)
