"""What a tool asks people before it goes on (MCP elicitation): read from its answer, bounded, and answered.

A server may be hostile: what it asks is kept and shown to people, so it may not be large, not write to a terminal
anything but text, and its schema may describe a flat form and nothing else.
"""

import json
import unicodedata
from collections.abc import Callable, Iterator, Mapping
from typing import Any, cast

from mcp.types import (
    ElicitRequest,
    ElicitRequestFormParams,
    ElicitRequestURLParams,
    ElicitResult,
    InputRequests,
    InputRequiredResult,
    InputResponses,
)
from pydantic import ValidationError
from pydantic_core import to_json

from tools.outcome import CutOff, NeedsInput, Rejected
from tools.schema import InvalidSchema, Schema
from tools.tool import Tool
from tools.way import Said, Way

MOST_QUESTIONS = 20
LONGEST_MESSAGE, LONGEST_URL, LONGEST_KEY = 4_000, 2_000, 200
MOST_SCHEMA_BYTES = 32_768
PRIMITIVE = frozenset({"string", "number", "integer", "boolean"})
LAYOUT = "\n\t\u200c\u200d"
"""Control characters that a text may have: lines, and what joins letters."""


class _Unusable(Exception):
    """What it asks cannot be asked; the message says what."""


def asked(
    tool: Tool, result: InputRequiredResult, way: Way, hide: Callable[[Any], Any]
) -> NeedsInput | Rejected | CutOff:
    """What the tool asks; or why nobody can be asked that, or that it is more than this call may bring.

    `hide`: takes out what its server was given to sign in with.
    """
    try:
        _check_state(result.request_state or "", tool.most_bytes)
        questions = hide(_questions(result.input_requests or {}))
    except _Unusable as error:
        return Rejected(tool.name, f"it asks for input, and nobody can be asked: {error}")
    needs = NeedsInput(tool.name, questions, result.request_state)
    if way.most_bytes is not None and len(to_json(needs.kept)) > way.most_bytes:
        return CutOff(tool.name, way.most_bytes)
    return needs


def responses(tool: str, said: Said) -> InputResponses:
    """What people answered, as MCP carries it.

    Raises:
        Rejected: MCP cannot carry it.
    """
    try:
        return {key: _response(answer) for key, answer in said.answers.items()}
    except ValidationError as error:
        raise Rejected(tool, f"MCP cannot carry this answer: {error.errors()[0]['msg']}: not sent") from error


def _response(answer: Mapping[str, Any] | bool | None) -> ElicitResult:
    if isinstance(answer, Mapping):
        return ElicitResult(action="accept", content=dict(answer))
    return ElicitResult(action="cancel" if answer is None else "accept" if answer else "decline")


def _check_state(state: str, most_bytes: int) -> None:
    try:
        size = len(state.encode())
    except UnicodeEncodeError as error:
        raise _Unusable("its request state is no text") from error
    if size > most_bytes:
        raise _Unusable(f"its request state has {size:,} bytes; at most {most_bytes:,} (SUREFOOT_ANSWER_BYTES)")


def _questions(requests: InputRequests) -> list[dict[str, Any]]:
    if len(requests) > MOST_QUESTIONS:
        raise _Unusable(f"{len(requests):,} questions at once; at most {MOST_QUESTIONS}")
    return [_question(key, request) for key, request in requests.items()]


def _question(key: str, request: Any) -> dict[str, Any]:
    if not isinstance(request, ElicitRequest):
        raise _Unusable(f"{request.method} is not supported, only elicitation is")
    _check_text("the key of a question", key, LONGEST_KEY)
    params = request.params
    question = {"key": key, "message": _clean(params.message)}
    if isinstance(params, ElicitRequestURLParams):
        return {**question, "url": _url(params)}
    return {**question, "schema": _form(params)}


def _clean(message: str) -> str:
    """The text without what would steer a terminal, or change the direction of reading."""
    if len(message) > LONGEST_MESSAGE:
        raise _Unusable(f"a message of {len(message):,} characters; at most {LONGEST_MESSAGE:,}")
    return "".join("\ufffd" if _steers(character) else character for character in message)


def _steers(character: str) -> bool:
    return unicodedata.category(character) in {"Cc", "Cf", "Cs"} and character not in LAYOUT


def _check_text(what: str, text: str, longest: int) -> None:
    if len(text) > longest or any(map(_steers, text)):
        raise _Unusable(f"{what} is longer than {longest:,} characters, or has some that are no text")


def _url(params: ElicitRequestURLParams) -> str:
    _check_text("a URL", params.url, LONGEST_URL)
    if not params.url.startswith(("https://", "http://")) or any(map(str.isspace, params.url)):
        raise _Unusable(f"{params.url[:100]!r} is no http(s) URL")
    return params.url


def _form(params: ElicitRequestFormParams) -> dict[str, Any]:
    """The schema of a form, closed: what it does not name would be lost."""
    schema = params.requested_schema
    try:
        size = len(json.dumps(schema))
        if size > MOST_SCHEMA_BYTES:
            raise _Unusable(f"a schema of {size:,} bytes; at most {MOST_SCHEMA_BYTES:,}")
        Schema(schema)
    except (InvalidSchema, RecursionError) as error:
        raise _Unusable(f"its schema cannot be used: {error}") from error
    fields: Any = schema.get("properties", {})
    if schema.get("type") != "object" or not isinstance(fields, dict):
        raise _Unusable("its schema is not that of an object with properties")
    for name, field in cast("dict[str, Any]", fields).items():
        if not _is_flat(field):
            raise _Unusable(f"{name[:100]!r} is no text, number, yes or no, or list of texts")
    for text in _texts(schema):
        _check_text("a text in its schema", text, MOST_SCHEMA_BYTES)
    return {**schema, "additionalProperties": False}


def _is_flat(field: Any) -> bool:
    if not isinstance(field, dict):
        return False
    part = cast("dict[str, Any]", field)
    if part.get("type") != "array":
        return str(part.get("type")) in PRIMITIVE
    items: Any = part.get("items")
    return isinstance(items, dict) and cast("dict[str, Any]", items).get("type", "string") == "string"


def _texts(value: Any) -> Iterator[str]:
    """All texts within, names too."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, Mapping):
        for name, inner in cast("Mapping[str, Any]", value).items():
            yield name
            yield from _texts(inner)
    elif isinstance(value, list):
        for inner in cast("list[Any]", value):
            yield from _texts(inner)
