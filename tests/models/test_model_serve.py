"""The server of `surefoot model serve`, over real HTTP, around a model whose tokens a test writes."""

import asyncio
import json
import subprocess
import sys
import time
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Iterator, Mapping
from contextlib import asynccontextmanager
from typing import Any

import httpx2
import pytest

from orchestrator.settings import load
from tests.models.written import CONTEXT, Written
from tests.support.serving import served
from tests.support.stage import ROOT
from tools.model.server import application, told
from tools.outcome import Rejected, Unavailable
from workers.models import Models
from workers.prompt import Prompt

WAITING = 2
HELLO = [{"role": "user", "content": "hello"}]
CITY = {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}
TOOL = {"type": "function", "function": {"name": "answer", "description": "Say it.", "parameters": CITY}}
OTHER = {
    "type": "function",
    "function": {
        "name": "find",
        "parameters": {"properties": {"x": {"$ref": "#/$defs/X"}}, "$defs": {"X": {"type": "integer"}}},
    },
}


@pytest.fixture(scope="module")
def serving() -> Iterator[tuple[Written, str]]:
    engine = Written()
    with served(application(engine, WAITING)) as url:
        yield engine, url


@pytest.fixture
def model(serving: tuple[Written, str]) -> Written:
    engine, _ = serving
    engine.asked, engine.script, engine.wrote = [], ["Os", "", "lo"], []
    engine.gate.set()
    return engine


@pytest.fixture
async def client(serving: tuple[Written, str]) -> AsyncIterator[httpx2.AsyncClient]:
    async with httpx2.AsyncClient(base_url=serving[1], timeout=30) as asking:
        yield asking


async def ask(client: httpx2.AsyncClient, **more: Any) -> httpx2.Response:
    return await client.post("/v1/chat/completions", json={"model": "m", "messages": HELLO, **more})


async def test_an_answer_is_told_with_the_tokens_that_it_took(model: Written, client: httpx2.AsyncClient) -> None:
    said = (await ask(client, messages=[{"role": "user", "content": [{"type": "text", "text": "two words"}]}])).json()
    assert said["choices"][0]["message"] == {"role": "assistant", "content": "Oslo"}
    assert said["choices"][0]["finish_reason"] == "stop"
    assert said["usage"] == {"prompt_tokens": 2, "completion_tokens": 3, "total_tokens": 5}
    assert (model.asked[0].temperature, model.asked[0].schema, said["model"]) == (0.0, None, "m")


async def test_no_more_tokens_are_written_than_were_asked_for(model: Written, client: httpx2.AsyncClient) -> None:
    said = (await ask(client, max_completion_tokens=1)).json()
    assert said["choices"][0]["message"]["content"] == "Os"
    assert (said["choices"][0]["finish_reason"], said["usage"]["completion_tokens"]) == ("length", 1)
    assert model.wrote == ["Os"]


FORMATS: dict[str, tuple[dict[str, Any], Mapping[str, Any]]] = {
    "a schema": ({"response_format": {"type": "json_schema", "json_schema": {"name": "c", "schema": CITY}}}, CITY),
    "any object": ({"response_format": {"type": "json_object"}}, {"type": "object"}),
    "the one tool": ({"tools": [TOOL], "tool_choice": "required"}, CITY),
    "a named tool": ({"tools": [TOOL, OTHER], "tool_choice": TOOL | {"function": {"name": "answer"}}}, CITY),
    "text": ({"response_format": {"type": "text"}, "tools": [TOOL], "tool_choice": "none"}, {}),
}


@pytest.mark.parametrize("how", FORMATS)
async def test_the_form_of_an_answer_becomes_the_schema_that_it_is_held_to(
    model: Written, client: httpx2.AsyncClient, how: str
) -> None:
    body, schema = FORMATS[how]
    model.script = ['{"city": "Oslo"}']
    message = (await ask(client, **body)).json()["choices"][0]["message"]
    (asked,) = model.asked
    assert (asked.schema or {}) == schema
    assert (json.dumps(schema) in asked.messages[0]["content"]) is bool(schema), "the model reads it, too"
    if body.get("tool_choice", "none") == "none":
        assert message["content"] == '{"city": "Oslo"}'
    else:
        assert [call["function"] for call in message["tool_calls"]] == [
            {"name": "answer", "arguments": '{"city": "Oslo"}'}
        ]


async def test_of_several_tools_one_is_called_or_a_text_is_said(model: Written, client: httpx2.AsyncClient) -> None:
    model.script = ['{"name": "find", "arguments": {"x": 1}}']
    choice = (await ask(client, tools=[TOOL, OTHER])).json()["choices"][0]
    assert choice["message"]["tool_calls"][0]["function"] == {"name": "find", "arguments": '{"x": 1}'}
    assert choice["finish_reason"] == "tool_calls"
    schema: Any = model.asked[0].schema
    assert [list(way["properties"]) for way in schema["anyOf"]] == [
        ["text"],
        ["name", "arguments"],
        ["name", "arguments"],
    ]
    assert schema["anyOf"][2]["properties"]["arguments"]["properties"] == {"x": {"$ref": "#/$defs/find.X"}}
    assert schema["$defs"] == {"find.X": {"type": "integer"}}

    model.script = ['{"text": "hi"}']
    choice = (await ask(client, tools=[TOOL, OTHER])).json()["choices"][0]
    assert (choice["message"]["content"], choice["finish_reason"]) == ("hi", "stop")
    assert len((await ask(client, tools=[TOOL, OTHER], tool_choice="required")).json()["choices"]) == 1
    required: Any = model.asked[-1].schema
    assert len(required["anyOf"]) == 2


async def test_a_stream_tells_each_piece_and_the_tokens_where_they_are_asked_for(
    model: Written, client: httpx2.AsyncClient
) -> None:
    answer = await ask(client, stream=True, stream_options={"include_usage": True})
    assert answer.headers["content-type"] == "text/event-stream"
    *events, done = events_of(answer.text)
    assert done == "[DONE]"
    deltas = [event["choices"][0]["delta"] for event in events[:-1]]
    assert deltas == [{"role": "assistant", "content": ""}, {"content": "Os"}, {"content": "lo"}, {}]
    assert events[-2]["choices"][0]["finish_reason"] == "stop"
    assert (events[-1]["choices"], events[-1]["usage"]["total_tokens"]) == ([], 4)
    assert len({event["id"] for event in events}) == 1
    assert all("usage" not in event for event in events_of((await ask(client, stream=True)).text)[:-1])


async def test_a_streamed_call_of_a_tool_comes_whole(model: Written, client: httpx2.AsyncClient) -> None:
    model.script = ['{"city":', ' "Oslo"}']
    events = events_of((await ask(client, stream=True, tools=[TOOL], tool_choice="required")).text)
    assert events[1]["choices"][0]["delta"]["tool_calls"][0]["function"]["arguments"] == '{"city": "Oslo"}'
    assert events[2]["choices"][0]["finish_reason"] == "tool_calls"


def events_of(text: str) -> list[Any]:
    said = [line.removeprefix("data: ") for line in text.split("\n\n") if line]
    return [json.loads(line) if line != "[DONE]" else line for line in said]


async def test_who_finds_the_line_full_is_told_when_to_return(
    model: Written, client: httpx2.AsyncClient, serving: tuple[Written, str]
) -> None:
    model.gate.clear()
    asking = [asyncio.create_task(ask(client)) for _ in range(1 + WAITING)]
    await until(lambda: asked_at(client, 1 + WAITING), "all stand in line")
    full = await ask(client)
    assert (full.status_code, full.json()["error"]["code"]) == (429, "busy")
    assert int(full.headers["retry-after"]) >= 1

    door = Models(load(model=f"{serving[1]}/v1#written"))
    with pytest.raises(Unavailable) as later:
        await door.ask(door.names[0], Prompt([{"role": "user", "text": "hello"}], max_tokens=20), 10.0)
    assert (later.value.retry_after_s or 0) >= 1

    model.gate.set()
    assert [(await answer).status_code for answer in asking] == [200] * (1 + WAITING)
    await until(lambda: asked_at(client, 0), "nobody is left in line")
    reply = await door.ask(door.names[0], Prompt([{"role": "user", "text": "hello"}], CITY, max_tokens=20), 10.0)
    assert (reply.calls[0].name, reply.output_tokens, reply.finish) == ("answer", 3, "tool_call")
    await door.close()


@pytest.mark.parametrize("stream", [False, True])
async def test_nothing_more_is_written_for_a_client_that_has_left(
    model: Written, client: httpx2.AsyncClient, serving: tuple[Written, str], *, stream: bool
) -> None:
    model.script = ["word "] * CONTEXT
    model.gate.clear()
    async with leaving(serving[1], stream=stream):
        await until(lambda: asked_at(client, 1), "it is being answered")
    model.gate.set()
    await until(lambda: asked_at(client, 0), "its place is free")
    assert len(model.wrote) < CONTEXT - 1
    assert (await ask(client, max_tokens=2)).json()["usage"]["completion_tokens"] == 2


@asynccontextmanager
async def leaving(url: str, *, stream: bool) -> AsyncGenerator[None]:
    """A client that asks, and then is gone."""
    host, _, port = url.removeprefix("http://").partition(":")
    _, writer = await asyncio.open_connection(host, int(port))
    body = json.dumps({"messages": HELLO, "stream": stream})
    head = f"POST /v1/chat/completions HTTP/1.1\r\nhost: {host}\r\ncontent-length: {len(body)}\r\n\r\n"
    writer.write((head + body).encode())
    await writer.drain()
    yield
    writer.transport.abort()


async def asked_at(client: httpx2.AsyncClient, many: int) -> bool:
    return (await client.get("/health")).json()["asking"] == many


async def until(true: Callable[[], Any], what: str) -> None:
    ending = time.monotonic() + 30
    while not await true():
        assert time.monotonic() < ending, what
        await asyncio.sleep(0.01)


WRONG: dict[str, tuple[dict[str, Any], str]] = {
    "no messages": ({"messages": []}, "messages: List should have at least 1 item"),
    "an unknown role": ({"messages": [{"role": "boss", "content": "go"}]}, "messages.0.role"),
    "no token": ({"max_tokens": 0}, "max_tokens: Input should be greater than or equal to 1"),
    "several answers": ({"n": 2}, "n: Input should be 1"),
    "stop words": ({"stop": ["."]}, "stop: Input should be null"),
    "an unknown tool": ({"tools": [TOOL], "tool_choice": OTHER}, "tool_choice names 'find'"),
    "a tool of none": ({"tool_choice": "required"}, "there are no tools"),
    "a schema without a grammar": (
        {"response_format": {"type": "json_schema", "json_schema": {"schema": {"type": "riddle"}}}},
        "no grammar for this JSON schema: riddle",
    ),
    "a long prompt": (
        {"messages": [{"role": "user", "content": "word " * CONTEXT}]},
        "20000 tokens of the prompt and an answer do not fit into 20000",
    ),
    "a long answer": ({"max_tokens": CONTEXT}, "1 tokens of the prompt and 20000 of the answer do not fit into 20000"),
}


@pytest.mark.parametrize("how", WRONG)
async def test_what_cannot_be_answered_is_refused_with_the_reason(
    model: Written, client: httpx2.AsyncClient, how: str
) -> None:
    body, why = WRONG[how]
    answer = await ask(client, **body)
    assert answer.status_code == 400, answer.text
    assert why in answer.json()["error"]["message"]
    assert (answer.json()["error"]["code"] == "context_length_exceeded") is how.startswith("a long")
    assert model.wrote == []


async def test_a_body_that_is_no_json_is_refused(client: httpx2.AsyncClient) -> None:
    answer = await client.post("/v1/chat/completions", content=b"{")
    assert (answer.status_code, "Invalid JSON" in answer.json()["error"]["message"]) == (400, True)


async def test_a_model_that_fails_is_an_error_and_the_next_is_answered(
    model: Written, client: httpx2.AsyncClient
) -> None:
    model.script = ["Os", RuntimeError("out of memory")]
    whole = await ask(client)
    assert (whole.status_code, whole.json()["error"]["type"]) == (500, "server_error")
    streamed = events_of((await ask(client, stream=True)).text)
    assert streamed[-1]["error"]["type"] == "server_error", "and no [DONE]"
    model.script = ["Oslo"]
    assert (await ask(client)).json()["choices"][0]["message"]["content"] == "Oslo"


async def test_it_says_which_model_it_is_and_what_it_did(model: Written, client: httpx2.AsyncClient) -> None:
    assert [model["id"] for model in (await client.get("/v1/models")).json()["data"]] == ["written"]
    before = (await client.get("/health")).json()
    assert (before["status"], before["model"], before["context"], before["asking"]) == ("ok", "written", CONTEXT, 0)
    await ask(client)
    assert (await client.get("/health")).json()["answered"] == before["answered"] + 1


async def test_what_it_says_to_set_fits_into_its_context(
    model: Written, serving: tuple[Written, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(model, "context", 2_048)
    said = told(model, f"{serving[1]}/v1")
    assert said[0] == f"written at {serving[1]}/v1, 2048 tokens of context; Ctrl-C stops it"
    set_to = dict(line.strip().removeprefix("SUREFOOT_").lower().split("=") for line in said[1:])
    hello = Prompt([{"role": "user", "text": "hello"}])
    fits, greedy = Models(load(**set_to)), Models(load(model=set_to["model"]))
    assert (await fits.ask(fits.names[0], hello, 10.0)).text == "Oslo"
    with pytest.raises(Rejected, match=r"of the answer do not fit into 2048: .*SUREFOOT_MODEL_MAX_TOKENS"):
        await greedy.ask(greedy.names[0], hello, 10.0)
    await asyncio.gather(fits.close(), greedy.close())


def test_without_the_extra_or_its_file_the_command_says_what_to_do() -> None:
    words = [sys.executable, "-m", "tools.model", "--file", "nothing.gguf"]
    ran = subprocess.run(words, cwd=ROOT, capture_output=True, text=True, check=False)
    assert ran.returncode == 1
    (line,) = ran.stderr.splitlines()
    assert line.startswith("surefoot model serve: ")
