"""What a tool may ask people, and what a hostile server may not."""

import asyncio
from pathlib import Path
from typing import Any

import pytest
from mcp.types import ElicitRequest, ElicitRequestFormParams, InputRequiredResult

from tests.tools_client.stage import ALL, Raw, answer, call, result
from tools.elicitation import LONGEST_MESSAGE, MOST_QUESTIONS, MOST_SCHEMA_BYTES, asked, responses
from tools.outcome import CutOff, NeedsInput, OutcomeUnknown, Rejected
from tools.way import Said, Way

CITY = {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}


def form(schema: Any = CITY, message: str = "Which?") -> dict[str, Any]:
    return {"method": "elicitation/create", "params": {"message": message, "requestedSchema": schema}}


def page(url: str, message: str = "Sign") -> dict[str, Any]:
    return {"method": "elicitation/create", "params": {"mode": "url", "message": message, "url": url}}


def field(part: Any, name: str = "x", defs: Any = None) -> dict[str, Any]:
    return form({"type": "object", "properties": {name: part}, "$defs": defs or {}})


async def ask(requests: dict[str, Any] | None, state: str | None = "s", **options: Any) -> NeedsInput:
    """What the client makes of a server that asks this."""

    async def reply(received: dict[str, Any], headers: Any, writer: asyncio.StreamWriter) -> None:
        said: dict[str, Any] = {"resultType": "input_required", "requestState": state}
        if requests is not None:
            said["inputRequests"] = requests
        await answer(writer, result(received, said))

    async with Raw(reply).serving(effects={"act": "keyed"}, **options) as tools:
        with pytest.raises(NeedsInput) as caught:
            await call(tools, "raw.act")
    return caught.value


async def understood(result: InputRequiredResult, most_bytes: int | None = None) -> Exception:
    """What is made of a result, whoever let it through, where a call may bring so much."""
    async with Raw(nobody).serving() as tools:
        way = Way("j.s:1", 1.0, most_bytes=most_bytes)
        return asked(await tools.find("raw.act", ALL), result, way, lambda said: said)


async def nobody(received: dict[str, Any], headers: Any, writer: asyncio.StreamWriter) -> None:
    """Nothing is called."""


async def test_forms_and_pages_are_passed_on_closed_and_without_what_steers_a_terminal() -> None:
    kinds = {
        "text": {"type": "string", "format": "date"},
        "number": {"type": "number"},
        "one": {"type": "string", "enum": ["a", "b"]},
        "some": {"type": "array", "items": {"anyOf": [{"const": "a", "title": "A"}]}},
    }
    schema = {"type": "object", "properties": kinds}
    told = await ask({"f": form(schema, "a\nb\x1b[31m\u202e\x07"), "p": page("https://x.example/?a=b")})
    assert told.request_state == "s"
    assert told.questions == [
        {"key": "f", "message": "a\nb\ufffd[31m\ufffd\ufffd", "schema": {**schema, "additionalProperties": False}},
        {"key": "p", "message": "Sign", "url": "https://x.example/?a=b"},
    ]


async def test_what_a_server_signs_in_with_is_in_no_question() -> None:
    secret = "Zq81hunter2"
    requests = {"f": form(CITY | {"title": secret}, f"use {secret}"), "p": page(f"https://x.example/?t={secret}")}
    told = await ask(requests, f"state {secret}", headers={"Authorization": f"Bearer {secret}"})
    assert told.questions == [
        {"key": "f", "message": "use [redacted]", "schema": told.questions[0]["schema"]},
        {"key": "p", "message": "Sign", "url": "https://x.example/?t=[redacted]"},
    ]
    assert told.questions[0]["schema"]["title"] == "[redacted]"
    assert told.request_state == f"state {secret}"  # for the server itself, as it came


async def test_a_state_alone_asks_nothing() -> None:
    told = await ask(None, "later")
    assert (told.questions, told.request_state) == ([], "later")


TANGLED = {f"d{i}": {"anyOf": [{"$ref": f"#/$defs/d{i + 1}"}] * 2} for i in range(30)} | {"d30": {"type": "string"}}


@pytest.mark.parametrize(
    ("requests", "why"),
    [
        (
            {"s": {"method": "sampling/createMessage", "params": {"messages": [], "maxTokens": 1}}},
            "sampling/createMess",
        ),
        ({"r": {"method": "roots/list"}}, "roots/list is not supported, only elicitation is"),
        ({str(i): form() for i in range(MOST_QUESTIONS + 1)}, "21 questions at once; at most 20"),
        ({"k" * 201: form()}, "the key of a question is longer than 200"),
        ({"f": form(message="x" * (LONGEST_MESSAGE + 1))}, "a message of 4,001 characters; at most 4,000"),
        ({"f": field({"type": "string", "description": "x" * MOST_SCHEMA_BYTES})}, "a schema of 32,.* at most 32,768"),
        ({"f": field({"type": "string"}, "a\x1bb")}, "a text in its schema .* has some that are no text"),
        ({"f": field({"type": "object", "properties": {}})}, "'x' is no text, number, yes or no, or list of texts"),
        ({"f": field({"type": ["string", "null"]})}, "'x' is no text"),
        ({"f": field({"type": "array", "items": {"type": "object"}})}, "'x' is no text"),
        ({"f": field({"type": "string", "pattern": "("})}, "its schema cannot be used"),
        ({"f": field({"type": "string", "$ref": "https://evil.example/s.json"})}, "out of the schema is not followed"),
        ({"f": field({"type": "string", "$ref": Path(__file__).as_uri()})}, "out of the schema is not followed"),
        ({"f": field({"type": "string", "$ref": "#/$defs/d0"}, defs=TANGLED)}, "unfold to more than"),
        ({"p": page("javascript:alert(1)")}, r"is no http\(s\) URL"),
        ({"p": page("https://x.example/ --by root")}, r"is no http\(s\) URL"),
        ({"p": page("https://x.example/\u202e")}, "a URL .* has some that are no text"),
        ({"p": page("https://" + "x" * 2_000)}, "a URL is longer than 2,000"),
    ],
)
async def test_what_cannot_be_asked_is_a_clear_no(requests: dict[str, Any], why: str) -> None:
    with pytest.raises(Rejected, match=rf"raw\.act: it asks for input, and nobody can be asked: .*{why}"):
        await ask(requests)


async def test_the_state_that_is_kept_is_no_larger_than_an_answer() -> None:
    told = await ask({"f": form()}, "x" * 1_048_576)
    assert len(told.request_state or "") == 1_048_576
    with pytest.raises(Rejected, match=r"its request state has 1,048,577 bytes; at most .* \(SUREFOOT_ANSWER_BYTES\)"):
        await ask({"f": form()}, "x" * 1_048_577)


@pytest.mark.parametrize("schema", [{"type": "string"}, {}, {"type": "object", "properties": True}])
async def test_a_form_that_is_no_object_is_no_question_whoever_lets_it_through(schema: dict[str, Any]) -> None:
    with pytest.raises(OutcomeUnknown, match="was executed, but its result is not valid MCP"):
        await ask({"f": form(schema)})
    params = ElicitRequestFormParams(message="Which?", requested_schema=schema)
    said = await understood(InputRequiredResult(input_requests={"f": ElicitRequest(params=params)}))
    assert isinstance(said, Rejected)
    assert "its schema" in str(said)


async def test_what_is_asked_counts_against_what_a_call_may_bring() -> None:
    said = InputRequiredResult(request_state="x" * 70)
    assert isinstance(await understood(said, 100), CutOff)
    assert isinstance(await understood(said, 200), NeedsInput)


def test_an_answer_that_mcp_cannot_carry_is_not_sent() -> None:
    with pytest.raises(Rejected, match=r"MCP cannot carry this answer: .*: not sent"):
        responses("t.x", Said({"k": {"x": {"y": 1}}}, None, "j.s:1"))
    said = responses("t.x", Said({"f": {"x": 1}, "a": True, "d": False, "c": None}, None, "j.s:1"))
    assert {key: one.model_dump(exclude_none=True)["action"] for key, one in said.items()} == {
        "f": "accept", "a": "accept", "d": "decline", "c": "cancel",
    }  # fmt: skip
