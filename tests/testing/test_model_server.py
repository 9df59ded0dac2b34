"""The scripted model as a program of one's own asks it: whole or as a stream, by OpenAI's own client."""

from typing import Any

import pytest
from openai import APIConnectionError, APIStatusError, OpenAI

from tools.testing.model import CutsOff, ModelServer, Refuses, Says, Talks, answers

ASKED: dict[str, Any] = {"model": "any", "messages": [{"role": "user", "content": "hello"}]}


@pytest.fixture
def client(model_server: ModelServer) -> OpenAI:
    return OpenAI(base_url=model_server.url, api_key="none", max_retries=0)


def test_a_stream_comes_in_pieces_and_ends_with_its_tokens(model_server: ModelServer, client: OpenAI) -> None:
    model_server.says(Says("two nights  in Oslo", input_tokens=7, output_tokens=4))
    *pieces, last = client.chat.completions.create(**ASKED, stream=True, stream_options={"include_usage": True})
    said = [piece.choices[0].delta.content for piece in pieces]
    assert said == ["", "two", " nights", "  in", " Oslo", None]
    assert pieces[-1].choices[0].finish_reason == "stop"
    assert last.usage is not None
    assert (last.choices, last.usage.total_tokens) == ([], 11)


def test_a_streamed_answer_of_a_type_is_a_call(model_server: ModelServer, client: OpenAI) -> None:
    model_server.says(answers(city="Oslo"))
    pieces = list(client.chat.completions.create(**ASKED, stream=True))
    called = [call.function for call in pieces[1].choices[0].delta.tool_calls or ()]
    assert [(each.name, each.arguments) for each in called if each] == [("answer", '{"city": "Oslo"}')]
    assert (pieces[-1].choices[0].finish_reason, pieces[-1].usage) == ("tool_calls", None)


def test_a_stream_can_be_cut_off_refused_or_nonsense(model_server: ModelServer, client: OpenAI) -> None:
    model_server.says(CutsOff(), Refuses(429), Talks("data: {broken\n\n"))
    stream = client.chat.completions.create(**ASKED, stream=True)
    assert next(iter(stream)).choices[0].delta.content == "I am"
    with pytest.raises(APIConnectionError):
        list(stream)
    with pytest.raises(APIStatusError, match="scripted 429"):
        client.chat.completions.create(**ASKED, stream=True)
    with pytest.raises(ValueError, match="property name"):
        list(client.chat.completions.create(**ASKED, stream=True))
