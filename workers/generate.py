"""Asks a model for an answer of a type: what does not fit is shown to it, and it is asked again, a few times."""

from collections.abc import Awaitable, Callable
from typing import Any

from pydantic import BaseModel, ValidationError

from tools.outcome import Rejected
from workers.model_calls import MODEL
from workers.prompt import ANSWER, Message, Prompt, Reply
from workers.verdict import problems

UNFINISHED = frozenset({"length", "content_filter", "error"})
"""Why an answer ended that is not whole."""
Ask = Callable[[Prompt], Awaitable[Reply]]


def opening(prompt: str, system: str) -> list[Message]:
    """The first messages."""
    first = [{"role": "system", "text": system}] if system else []
    return [*first, {"role": "user", "text": prompt}]


async def generate(ask: Ask, prompt: Prompt, output: type[BaseModel] | None, repairs: int) -> Any:
    """The answer: text, or a valid `output`.

    Raises:
        Rejected: no answer fits, after so many repairs.
    """
    for left in range(repairs, -1, -1):
        reply = await ask(prompt)
        if output is None:
            return reply.text
        try:
            return parsed(reply, output)
        except ValidationError as error:
            if not left:
                tries = f"{repairs + 1} tries" if repairs else "the one try"
                raise Rejected(MODEL, f"no valid {output.__name__} after {tries}: {problems(error)}") from error
            prompt = prompt.then(*repair(reply, problems(error)))
    raise AssertionError("the last repair returns or raises")


def fits(reply: Reply, output: type[BaseModel] | None) -> bool:
    """Whether an answer is whole, and what was asked for."""
    if reply.finish in UNFINISHED:
        return False
    if output is None:
        return bool(reply.text)
    try:
        parsed(reply, output)
    except ValidationError:
        return False
    return True


def parsed(reply: Reply, output: type[BaseModel]) -> BaseModel:
    """What a model answered as the type; small models say it as text instead of calling the tool.

    Raises:
        pydantic.ValidationError: it does not fit.
    """
    call = next((call for call in reply.calls if call.name == ANSWER), None)
    if call is None or isinstance(call.arguments, str):
        return output.model_validate_json(_json(call.arguments if call else reply.text))
    return output.model_validate(call.arguments)


def repair(reply: Reply, wrong: str) -> list[Message]:
    """What a model is told of an answer that does not fit."""
    said = f"This does not fit the schema: {wrong}. Answer again, with all fields."
    if not reply.calls or not reply.raw:  # a provider wants an answer only to a call that it is shown
        return [{"role": "model", "raw": reply.raw}, {"role": "user", "text": said}]
    told = [{"role": "tool", "id": call.id, "name": call.name, "text": said} for call in reply.calls]
    return [{"role": "model", "raw": reply.raw}, *told]


def _json(text: str) -> str:
    """The object in a text: a model may say more around it."""
    start, end = text.find("{"), text.rfind("}")
    return text[start : end + 1] if 0 <= start < end else text
