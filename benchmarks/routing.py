"""Which parts of a trip a request needs: by rules, by embedding and by a model, on requests whose parts are known."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from benchmarks.asking import Asking
from orchestrator.patterns import Router, Routing, Situation, by_embedding, by_model, by_rules, wordllama
from orchestrator.patterns.pattern import Here
from orchestrator.patterns.situation import Decider
from tools.outcome import ToolFailure
from workers.trip.plan import LOOKERS, whole
from workers.trip.understanding import understand

PARTS: list[dict[str, Any]] = json.loads(Path(__file__).parents[1].joinpath("tests/trip/routes.json").read_text())
WHOLE, THRESHOLD = "whole", 0.35
SOME, ALL = "parts, exactly", "whole, exactly"
EXAMPLES = {
    "flights": [
        "flights",
        "a flight there and back",
        "when does the plane leave?",
        "fly on Monday",
        "cheap plane tickets",
        "a seat on an airline, nonstop",
    ],
    "weather": [
        "the weather",
        "is it going to rain or snow?",
        "how hot or cold is it?",
        "the forecast: sun, wind, temperature",
        "do we need warm clothes?",
    ],
    "hotels": [
        "hotels",
        "a hotel room for two nights",
        "somewhere to stay and sleep",
        "accommodation near the centre",
        "a bed in a hostel or an inn",
    ],
    "restaurants": [
        "restaurants",
        "where can we eat well?",
        "a table for dinner",
        "good food, lunch or breakfast",
        "Italian, Mexican or Japanese cuisine",
    ],
}
"""They name no place: what stands in all requests says nothing about their parts."""
RULES = by_rules({name: lambda text, name=name: name in understand(text).get("wanted", ()) for name in LOOKERS})
EMBEDDING = by_embedding(wordllama(), EXAMPLES, text=str)
MODEL = by_model(
    Routing,
    "The request is a traveller's. Name only the parts that it asks for. Where it asks for a trip as a whole, name "
    f"{WHOLE} and nothing else.",
)


async def parts(decide: Decider[Routing], text: str, asking: Asking | None = None) -> set[str]:
    """The routes that a router takes for a request; none where its decider's answer is no answer."""
    router = Router(
        {WHOLE: whole(), **{name: name for name in LOOKERS}}, decide=decide, fallback=WHOLE, threshold=THRESHOLD
    )
    try:
        decided = await router.decide(Here("router", ""), Situation(text, router.choices(), step=asking))
    except ToolFailure:
        return set()
    return set(decided.output.model_dump()["routes"])


async def accuracy(
    requests: Sequence[Mapping[str, Any]], decide: Decider[Routing], asking: Asking | None = None
) -> dict[str, dict[str, int]]:
    """Of each part: right (taken or left as it should be), missing, wrong; then, how many requests are wholly right."""
    counted = {name: {"right": 0, "missing": 0, "wrong": 0} for name in (*LOOKERS, SOME, ALL)}
    for each in requests:
        taken, needed = await parts(decide, each["text"], asking), set(each["wanted"]) or {WHOLE}
        for name in LOOKERS:
            same = (name in taken) == (name in needed)
            counted[name]["right" if same else "wrong" if name in taken else "missing"] += 1
        whole_request = counted[SOME if each["wanted"] else ALL]
        whole_request["right" if taken == needed else "missing" if taken < needed else "wrong"] += 1
    return counted
