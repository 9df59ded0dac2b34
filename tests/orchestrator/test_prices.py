"""The price table: what a call and a token cost, and what happens to what nobody has named."""

import json
from pathlib import Path
from typing import Any

import pytest
from structlog.testing import capture_logs

from orchestrator.prices import Prices, UnknownPrice
from orchestrator.settings import InvalidSettings


def table(folder: Path, said: Any) -> Prices:
    path = folder / "prices.json"
    path.write_text(said if isinstance(said, str) else json.dumps(said))
    return Prices(path)


def test_the_first_name_or_glob_that_fits_counts(tmp_path: Path) -> None:
    models = {"openai:gpt-*": {"input": 0.25, "output": 2}, "*": {"input": 1, "output": 1}}
    prices = table(tmp_path, {"tools": {"maps.geocode": 0.005, "maps.*": 0}, "models": models})
    assert (prices.call("maps.geocode"), prices.call("maps.route")) == (5_000, 0)
    assert prices.tokens("openai:gpt-5", input_tokens=1_000_000, output_tokens=100_000) == 250_000 + 200_000
    assert prices.tokens("local", input_tokens=7, output_tokens=3) == 10


def test_parts_of_a_micro_dollar_are_rounded_up_and_whole_ones_are_not(tmp_path: Path) -> None:
    prices = table(tmp_path, {"models": {"m": {"input": 0.1, "output": 0.2}}, "tools": {"t.x": 1e-7, "t.y": 0.29}})
    assert prices.tokens("m", input_tokens=1, output_tokens=0) == 1
    assert prices.tokens("m", input_tokens=10, output_tokens=10) == 3
    assert (prices.call("t.x"), prices.call("t.y")) == (1, 290_000)


def test_without_a_file_an_unknown_tool_costs_nothing_and_an_unknown_model_is_refused() -> None:
    assert Prices(None).call("t.x") is None
    with pytest.raises(UnknownPrice, match="no price is known for the model m: name it under `models` in SUREFOOT_PR"):
        Prices(None).tokens("m", input_tokens=1, output_tokens=1)


def test_that_a_tool_counts_as_nothing_is_said_once_unless_somebody_has_said_so(tmp_path: Path) -> None:
    unpriced, free = table(tmp_path, {"tools": {"t.x": 0}}), table(tmp_path, {"unknown": {"tools": 0}})
    with capture_logs() as lines:
        for tool in ("t.x", "t.y", "t.y", "t.z"):
            assert (unpriced.call(tool) or 0, free.call(tool)) == (0, 0)
    assert [line["tool"] for line in lines] == ["t.y", "t.z"]
    assert {(line["event"], line["see"]) for line in lines} == {
        ("a tool without a price counts as nothing", "SUREFOOT_PRICES")
    }


def test_what_is_unknown_is_refused_or_counted_as_the_table_says(tmp_path: Path) -> None:
    strict = table(tmp_path, {"tools": {"t.x": 0}, "unknown": {"tools": "refuse"}})
    assert strict.call("t.x") == 0
    with pytest.raises(UnknownPrice, match=r"no price is known for the tool t\.y: name it under `tools`"):
        strict.call("t.y")
    counting = table(tmp_path, {"unknown": {"tools": 0.01, "models": {"input": 10, "output": 30}}})
    assert counting.call("t.y") == 10_000
    assert counting.tokens("m", input_tokens=2, output_tokens=1) == 50


@pytest.mark.parametrize(
    ("said", "named"),
    [
        ("{", "Invalid JSON"),
        ({"tools": {"t.x": -1}}, r"tools\.t\.x"),
        ({"tools": {"t.x": "0.1"}}, r"tools\.t\.x"),
        ('{"tools": {"t.x": NaN}}', "t.x"),
        ({"models": {"m": {"input": 1}}}, r"models\.m\.output"),
        ({"models": {"m": {"input": 1, "output": 1, "cached": 1}}}, r"models\.m\.cached"),
        ({"unknown": {"models": 0}}, r"unknown\.models"),
        ({"unknown": {"tools": "count"}}, r"unknown\.tools"),
        ({"prices": {}}, "prices"),
    ],
)
def test_nonsense_is_refused_with_its_place(tmp_path: Path, said: Any, named: str) -> None:
    with pytest.raises(InvalidSettings, match=f"SUREFOOT_PRICES=.*{named}"):
        table(tmp_path, said)


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(InvalidSettings, match=r"SUREFOOT_PRICES=.*none.json: No such file"):
        Prices(tmp_path / "none.json")
