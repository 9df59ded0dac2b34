"""Schemas come from outside: what they say is checked quickly, and what they may do is little."""

import time
from datetime import date
from pathlib import Path
from typing import Any

import pytest

from tools.schema import InvalidSchema, Schema

OFFER = {
    "type": "object",
    "properties": {"id": {"type": "string"}, "seats": {"type": "array", "items": {"type": "integer"}}},
    "required": ["id"],
    "additionalProperties": False,
}


@pytest.mark.parametrize(
    ("value", "said"),
    [
        ({"id": "x", "seats": [1]}, ""),
        ({"id": 1}, 'id: 1 is not of type "string"'),
        ({}, '"id" is a required property'),
        ({"id": "x", "seats": [1, "2"]}, 'seats.1: "2" is not of type "integer"'),
        ({"id": "x", "other": 1}, "Additional properties are not allowed ('other' was unexpected)"),
        ({"id": date(2027, 1, 1)}, "Unsupported type: 'date'"),
        ({1: 2}, "Dict key must be str or str enum. Got 'int'"),
    ],
)
def test_each_wrong_field_is_named(value: Any, said: str) -> None:
    assert Schema(OFFER).problems(value) == said


def test_long_values_and_many_problems_are_said_shortly() -> None:
    said = Schema(OFFER).problems({"id": "x", "seats": ["y" * 100_000] * 100})
    assert len(said) < 1_500
    assert 'is not of type "integer"' in said
    assert said.endswith("and 95 more")


@pytest.mark.parametrize(
    "schema",
    [
        None,
        [],
        "object",
        {"type": "nonsense"},
        {"$ref": "#/$defs/none"},
        {"$ref": "http://127.0.0.1:9/schema.json"},
        {"properties": {"a": {"$ref": Path(__file__).as_uri()}}},
        {"$schema": "http://nowhere.invalid/draft"},
        {"properties": {"a": {"pattern": "(("}}},
        {"description": "x" * 300_000},
    ],
)
def test_what_is_no_usable_schema_is_said(schema: Any) -> None:
    begun = time.monotonic()
    with pytest.raises(InvalidSchema):
        Schema(schema)
    assert time.monotonic() - begun < 1


def nested(depth: int) -> dict[str, Any]:
    schema: dict[str, Any] = {}
    for _ in range(depth):
        schema = {"properties": {"a": schema}}
    return schema


def test_a_schema_or_a_value_that_is_nested_too_deep_ends_nothing() -> None:
    for depth in (150, 500, 100_000):
        with pytest.raises(InvalidSchema):
            Schema(nested(depth))
    value: Any = 1
    for _ in range(100_000):
        value = [value]
    assert Schema(OFFER).problems({"id": value}) == "Recursion limit reached"


def test_a_schema_that_unfolds_exponentially_is_refused() -> None:
    definitions: dict[str, Any] = {f"d{n}": {"anyOf": [{"$ref": f"#/$defs/d{n + 1}"}] * 2} for n in range(40)}
    with pytest.raises(InvalidSchema, match="unfold to more than 100,000 parts"):
        Schema({"$defs": definitions | {"d40": {"type": "string"}}, "$ref": "#/$defs/d0"})


def test_a_schema_within_itself_is_fine() -> None:
    tree = {"$defs": {"node": {"properties": {side: {"$ref": "#/$defs/node"} for side in "lr"}, "type": "object"}}}
    schema = Schema({**tree, "$ref": "#/$defs/node"})
    assert schema.problems({"l": {"r": {"l": {}}}}) == ""
    assert schema.problems({"l": {"r": 1}}) == 'l.r: 1 is not of type "object"'
    assert Schema({"$ref": "#"}).problems(1) == ""


def test_a_pattern_made_to_take_for_ever_does_not() -> None:
    begun = time.monotonic()
    for pattern in ("^(a+)+$", r"^(a+)+\1$", "^(a|a)*$"):
        assert Schema({"pattern": pattern}).problems("a" * 40 + "!")
    assert time.monotonic() - begun < 2
