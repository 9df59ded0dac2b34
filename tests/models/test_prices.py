"""What a model costs of which nobody said a price: refused under a ceiling of money, never silently free."""

from types import SimpleNamespace
from typing import Any

import pytest

from orchestrator.models import ModelName
from orchestrator.prices import Prices
from orchestrator.telemetry.spans import NOTHING
from workers.model_calls import ModelCalls
from workers.verdict import Stop

MODEL = ModelName("openai", "gpt-5")


def calls(ceiling: int | None, **fields: str) -> ModelCalls:
    async def read(_: str) -> Any:
        return SimpleNamespace(spend=SimpleNamespace(usd=SimpleNamespace(ceiling=ceiling)), fields=fields)

    record, jobs, none = SimpleNamespace(job_id="1"), SimpleNamespace(read=read), SimpleNamespace()
    given: Any = (record, none, Prices(None), none, jobs)
    return ModelCalls(*given)


@pytest.mark.parametrize("asked", [calls(5), calls(0), calls(None, **{"day:usd": "7"})])
async def test_it_is_refused_where_money_has_a_ceiling(asked: ModelCalls) -> None:
    with pytest.raises(Stop) as stopped:
        await asked.cost(MODEL, 10, 10, NOTHING)
    assert "no price is known for the model openai:gpt-5" in str(stopped.value.verdict)


async def test_it_is_asked_where_money_has_none() -> None:
    cost = await calls(None).cost(MODEL, 10, 20, NOTHING)
    assert (cost.micro_usd, cost.input_tokens, cost.output_tokens, cost.tool_calls) == (0, 10, 20, 0)
