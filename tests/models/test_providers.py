"""Each provider through its own library, at a server that counts: one request an attempt, and its usage settled."""

import json
from typing import Any

import pytest

from orchestrator import Budget
from orchestrator.settings import load
from orchestrator.telemetry import names
from tests.models.conftest import Scripted, chat
from tools.outcome import OutcomeUnknown, Unavailable
from tools.testing.model import ModelServer, Refuses, Talks
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


def spoken(provider: str, read: int = 40, wrote: int = 10) -> Talks:
    """ "suite", as this provider says it, with its usage."""
    if provider == "anthropic":
        usage = {"input_tokens": read, "output_tokens": wrote}
        said = {"content": [{"type": "text", "text": "suite"}], "stop_reason": "end_turn", "usage": usage}
        return Talks(json.dumps({"id": "1", "type": "message", "role": "assistant", "model": "m", **said}))
    if provider == "google":
        usage = {"promptTokenCount": read, "candidatesTokenCount": wrote, "totalTokenCount": read + wrote}
        told = {"content": {"role": "model", "parts": [{"text": "suite"}]}, "finishReason": "STOP"}
        return Talks(json.dumps({"candidates": [told], "usageMetadata": usage, "modelVersion": "m"}))
    usage = {"prompt_tokens": read, "completion_tokens": wrote, "total_tokens": read + wrote}
    choice = {"index": 0, "message": {"role": "assistant", "content": "suite"}, "finish_reason": "stop"}
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
    play.first.says(*[Refuses(401)] * before, spoken(provider, 70, 7))
    job = play.submit("thrifty")
    assert job.result(30) == {"said": "suite"}
    assert (job.spend.input_tokens.spent, job.spend.output_tokens.spent) == (70, 7)
    assert chat(job)["attributes"][names.RESPONSE_MODEL] == f"{provider}:m"

    play.first.says(*[Refuses(401)] * before, spoken(provider, 0, 0))
    job = play.submit("thrifty", "and nothing is counted")
    assert job.result(30) == {"said": "suite"}
    spend: Any = job.spend
    assert (spend.output_tokens.spent, spend.input_tokens.spent > 500, spend.tokens.reserved) == (100, True, 0)
    assert names.Happening.UNCOUNTED in [event["name"] for event in chat(job)["events"]]
    assert job.calls[0]["out"]["output_tokens"] == 100
