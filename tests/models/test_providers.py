"""Each provider through its own library, at a server that speaks as it does and counts.

One request an attempt, its usage settled, tools called, answers of a type; malformed ones and those that are cut off.
"""

import json
from typing import Any

import pytest

from orchestrator import Budget
from orchestrator.settings import load
from orchestrator.telemetry import names
from tests.models.conftest import Scripted, chat
from tools.outcome import OutcomeUnknown, Unavailable
from tools.testing.model import CutsOff, Line, ModelServer, Refuses, Says, Talks, answers
from workers.models import Models
from workers.prompt import Prompt

pytestmark = pytest.mark.xdist_group("models-providers")
HELLO = Prompt([{"role": "user", "text": "hello"}])
PROVIDERS = ("anthropic", "google", "openai", "ollama")
SETTINGS = {"model": ",".join(f"{provider}:m" for provider in PROVIDERS), "model_calls": "allow"}


def environment(model: ModelServer) -> dict[str, str]:
    """Every provider is at the scripted server."""
    with_v1 = {f"{provider.upper()}_BASE_URL": model.url for provider in ("openai", "ollama")}
    bare = {name: model.url.removesuffix("/v1") for name in ("ANTHROPIC_BASE_URL", "GOOGLE_GEMINI_BASE_URL")}
    return {**with_v1, **bare, **{f"{provider.upper()}_API_KEY": "none" for provider in PROVIDERS}}


SUITE = Says("suite")
CUT_OFF = {"anthropic": "max_tokens", "google": "MAX_TOKENS", "openai": "length", "ollama": "length"}
"""How each provider says that its answer was cut off at the most tokens it might have."""


def spoken(provider: str, line: Says = SUITE) -> Talks:
    """What this provider says on the wire instead: the text or the one call of a tool, with its usage."""
    read, wrote, call = line.input_tokens, line.output_tokens, next(iter(line.calls), None)
    if provider == "anthropic":
        tool = call and {"type": "tool_use", "id": "toolu_1", "name": call[0], "input": call[1]}
        stop = line.finish or ("tool_use" if call else "end_turn")
        usage = {"input_tokens": read, "output_tokens": wrote}
        said = {"content": [tool or {"type": "text", "text": line.text}], "stop_reason": stop, "usage": usage}
        return Talks(json.dumps({"id": "1", "type": "message", "role": "assistant", "model": "m", **said}))
    if provider == "google":
        usage = {"promptTokenCount": read, "candidatesTokenCount": wrote, "totalTokenCount": read + wrote}
        part = {"functionCall": {"name": call[0], "args": call[1]}} if call else {"text": line.text}
        told = {"content": {"role": "model", "parts": [part]}, "finishReason": line.finish or "STOP"}
        return Talks(json.dumps({"candidates": [told], "usageMetadata": usage, "modelVersion": "m"}))
    usage = {"prompt_tokens": read, "completion_tokens": wrote, "total_tokens": read + wrote}
    function = call and {"name": call[0], "arguments": json.dumps(call[1])}
    asks = {"tool_calls": [{"id": "call_1", "type": "function", "function": function}]} if call else {}
    stop = line.finish or ("tool_calls" if call else "stop")
    choice = {"index": 0, "message": {"role": "assistant", "content": line.text, **asks}, "finish_reason": stop}
    head = {"id": "1", "object": "chat.completion", "created": 1, "model": "m"}
    return Talks(json.dumps({**head, "choices": [choice], "usage": usage}))


@pytest.mark.parametrize("name", [*PROVIDERS, "url"])
@pytest.mark.parametrize(
    ("status", "kind", "later_s"),
    [(429, Unavailable, 7.0), (500, Unavailable, 7.0), (503, Unavailable, 7.0), (504, OutcomeUnknown, None)],
)
async def test_no_library_asks_again_by_itself(
    model_server: ModelServer,
    monkeypatch: pytest.MonkeyPatch,
    name: str,
    status: int,
    kind: type[Exception],
    later_s: float | None,
) -> None:
    for variable, value in environment(model_server).items():
        monkeypatch.setenv(variable, value)
    model_server.otherwise = Refuses(status, retry_after_s=7)
    asked = Models(load(model=f"{model_server.url}#m" if name == "url" else f"{name}:m", model_calls="allow"))
    with pytest.raises(kind, match=str(status)) as failed:
        await asked.ask(asked.names[0], HELLO, 10.0)
    await asked.close()
    assert (len(model_server.requests), getattr(failed.value, "retry_after_s", None)) == (1, later_s)


@pytest.mark.parametrize("name", PROVIDERS)
@pytest.mark.parametrize("line", [Talks(), CutsOff()], ids=["malformed", "connection cut"])
async def test_an_answer_that_is_none_is_an_unknown_outcome(
    model_server: ModelServer, monkeypatch: pytest.MonkeyPatch, name: str, line: Line
) -> None:
    for variable, value in environment(model_server).items():
        monkeypatch.setenv(variable, value)
    model_server.otherwise = line
    asked = Models(load(model=f"{name}:m", model_calls="allow"))
    with pytest.raises(OutcomeUnknown):
        await asked.ask(asked.names[0], HELLO, 10.0)
    await asked.close()
    assert len(model_server.requests) == 1


@pytest.mark.parametrize("provider", PROVIDERS)
def test_each_calls_a_tool_repairs_an_answer_that_was_cut_off_and_gives_one_of_the_type(
    play: Scripted, provider: str
) -> None:
    before = [Refuses(401)] * PROVIDERS.index(provider)
    search, oslo = Says(calls=[("desk_search", {"what": "room"})]), {"city": "Oslo", "nights": 2}
    for line in (search, Says('{"city": "Os', finish=CUT_OFF[provider]), answers(**oslo)):
        play.first.says(*before, spoken(provider, line))
    job = play.submit("agent")
    assert job.result(30) == oslo
    asked = [json.dumps(body) for body in play.first.requests[len(before) :: len(before) + 1]]
    assert all("desk_search" in body and "nights" in body for body in asked), "the tools, and the type of the answer"
    assert [body.count("room-1") for body in asked] == [0, 1, 1], "what the tool answered"
    assert "does not fit" in asked[2]
    assert "does not fit" not in asked[1]
    spend = job.spend
    assert (spend.tool_calls.spent, spend.input_tokens.spent, spend.output_tokens.spent) == (1, 120, 30)
    finishes = [chat(job, number, of=3)["attributes"][names.FINISH_REASON] for number in range(3)]
    called = "stop" if provider == "google" else "tool_call"  # Google has no word of its own for it
    assert finishes == [[called], ["length"], [called]]


def test_a_chain_of_four_providers_costs_one_request_each_until_one_answers(play: Scripted) -> None:
    play.first.says(*map(Refuses, (429, 500, 503)), Refuses(529, retry_after_s=1), spoken("anthropic"))
    job = play.submit("thrifty", budget=Budget(tokens=3_000))
    assert job.result(30) == {"said": "suite"}
    assert (len(play.first.requests), job.steps[0].attempts) == (5, 2)
    spend = job.spend
    assert (spend.input_tokens.spent, spend.output_tokens.spent, spend.tokens.reserved) == (40, 10, 0)


@pytest.mark.parametrize("provider", PROVIDERS)
def test_what_a_provider_reports_is_settled_and_what_it_leaves_out_is_not_free(play: Scripted, provider: str) -> None:
    before = PROVIDERS.index(provider)
    play.first.says(*[Refuses(401)] * before, spoken(provider, Says("suite", input_tokens=70, output_tokens=7)))
    job = play.submit("thrifty")
    assert job.result(30) == {"said": "suite"}
    assert (job.spend.input_tokens.spent, job.spend.output_tokens.spent) == (70, 7)
    assert chat(job)["attributes"][names.RESPONSE_MODEL] == f"{provider}:m"

    play.first.says(*[Refuses(401)] * before, spoken(provider, Says("suite", input_tokens=0, output_tokens=0)))
    job = play.submit("thrifty", "and nothing is counted")
    assert job.result(30) == {"said": "suite"}
    spend: Any = job.spend
    assert (spend.output_tokens.spent, spend.input_tokens.spent > 500, spend.tokens.reserved) == (100, True, 0)
    assert names.Happening.UNCOUNTED in [event["name"] for event in chat(job)["events"]]
    assert job.calls[0]["out"]["output_tokens"] == 100
