"""`python -m benchmarks.understanding`: what of the requests on file is understood, by rules, embedding and model.

Field by field on 100 requests, and which parts each of 148 needs. The model is that of SUREFOOT_MODEL; without one
it is left out.
"""

import argparse
import asyncio
import contextlib
import json
import sys
from collections.abc import Awaitable, Callable, Mapping, Sequence
from datetime import date
from functools import partial
from pathlib import Path
from typing import Any

from pydantic import BaseModel, Field

from benchmarks import routing
from benchmarks.asking import Asking
from orchestrator.settings import load
from tools.outcome import ToolFailure
from workers.trip.request import TripRequest
from workers.trip.understanding import gazetteer, understand

FOLDER = Path(__file__).parents[1] / "tests/trip"
REQUESTS: list[dict[str, Any]] = json.loads(FOLDER.joinpath("requests.json").read_text())
TAUGHT: list[dict[str, Any]] = json.loads(FOLDER.joinpath("taught.json").read_text())
"""Written later, to attack the rules: each was understood wrongly and changed them, so they count in no accuracy."""
ROUTED = [*routing.PARTS, *({"text": r["text"], "wanted": r["fields"].get("wanted", [])} for r in REQUESTS)]
"""With the parts that each needs; none: the whole trip."""
TODAY = date(2026, 11, 23)
"""The day on which the requests were written: "next Friday" counts from it."""
MONEY = {"money_usd", "money_source"}
"""In other currencies than dollars these move with the exchange rates that the installed package knows."""
Counted = dict[str, dict[str, int]]
Understanding = Callable[[str], Awaitable[Mapping[str, Any]]]


class Said(BaseModel):
    """What a model reads in a request."""

    origin: str = Field("", description="the city or airport where the trip starts; empty if it is not said")
    destination: str = Field("", description="the city or airport where it goes; empty if it is not said")
    start_date: str = Field("", description="the first day, YYYY-MM-DD; empty if it is not said")
    nights: int = Field(0, description="how many nights; 0 if it is not said")
    travellers: int = Field(0, description="how many people; 0 if it is not said")
    money_usd: float = Field(0, description="the money for the trip; 0 if it is not said")
    interests: list[str] = Field(default_factory=list[str], description="what the trip is for", max_length=4)


def fixed(fields: Mapping[str, Any]) -> dict[str, Any]:
    """What does not move."""
    moves = bool(fields.get("money_source"))
    return {name: value for name, value in fields.items() if not (moves and name in MONEY)}


def plainly(fields: Mapping[str, Any]) -> dict[str, Any]:
    """Without the words that nothing was made of, which no model tells."""
    said: Any = fields.get("interests")
    interests = said["read"] or None if isinstance(said, dict) else said
    return {**fields, "interests": interests}


def tally(requests: Sequence[Mapping[str, Any]], said: Sequence[Mapping[str, Any]]) -> Counted:
    """Of each field: right (also where it is left out and so asked), missing (asked although it was said), wrong."""
    counted = {name: {"right": 0, "missing": 0, "wrong": 0} for name in TripRequest.model_fields}
    for each, fields in zip(requests, said, strict=True):
        got, expected = fixed(fields), fixed(each["fields"])
        for name, count in counted.items():
            same = got.get(name) == expected.get(name)
            count["right" if same else "wrong" if name in got else "missing"] += 1
    return counted


def accuracy(requests: Sequence[Mapping[str, Any]]) -> Counted:
    """How the rules do."""
    return tally(requests, [understand(each["text"], TODAY) for each in requests])


async def read(asking: Asking, text: str) -> dict[str, Any]:
    """What a model reads in a request, as the fields of a trip; nothing where its answer is none."""
    prompt = f"Today is {TODAY:%A}, {TODAY}. What does this traveller say?\n<request>{text}</request>"
    try:
        said = await asking.generate(prompt, output=Said)
    except ToolFailure:
        return {}
    fields = {name: value for name, value in said.model_dump().items() if value}
    for name in {"origin", "destination"} & set(fields):
        with contextlib.suppress(ValueError):  # a place that there is not stays as it was said, and is wrong
            fields[name] = gazetteer.resolve(fields[name])
    return fields


async def measure(every: int, tell: Callable[[str], None]) -> dict[str, Any]:
    """Fields and routes of every n-th request, by each way; told as soon as they are known: models are slow."""
    settings, requests, routed = load(), REQUESTS[::every], ROUTED[::every]
    asking = Asking(settings) if settings.models else None
    fields = {"rules": accuracy(requests)}
    if asking:
        plain = [{"fields": plainly(each["fields"])} for each in requests]
        fields["model"] = tally(plain, [await read(asking, each["text"]) for each in requests])
    tell(table(f"{len(requests)} requests", fields) + "\n")
    routes = {
        "rules": await routing.accuracy(routed, routing.RULES),
        "embedding": await routing.accuracy(routed, routing.EMBEDDING),
    }
    if asking:
        routes["model"] = await routing.accuracy(routed, routing.MODEL, asking)
    tell(table(f"{len(routed)} requests", routes))
    told: dict[str, Any] = {"requests": len(requests), "fields": fields, "routed": len(routed), "routes": routes}
    if asking:
        told["model"] = {"name": str(settings.models[0]), "calls": asking.calls}
        told["model"] |= {"input_tokens": asking.input_tokens, "output_tokens": asking.output_tokens}
        tell("\nmodel: " + ", ".join(f"{name} {value}" for name, value in told["model"].items()))
        await asking.close()
    return told


def table(title: str, ways: Mapping[str, Counted]) -> str:
    """A line a field; of each way right, missing and wrong."""
    lines = [f"{title:16}" + "".join(f"{way:>10} right missing wrong" for way in ways)]
    for name in next(iter(ways.values())):
        figures = (counted[name] for counted in ways.values())
        lines.append(f"{name:16}" + "".join(f"{f['right']:16}{f['missing']:8}{f['wrong']:6}" for f in figures))
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.understanding", description=__doc__)
    parser.add_argument("--json", action="store_true", help="for programs")
    parser.add_argument("--every", type=int, default=1, metavar="N", help="only every n-th request: models are slow")
    options = parser.parse_args()
    told = asyncio.run(measure(options.every, (lambda _: None) if options.json else partial(print, flush=True)))
    if options.json:
        json.dump(told, sys.stdout)


if __name__ == "__main__":
    main()
