"""Ready-made deciders for routers: rules, and examples compared by an embedding."""

import inspect
import math
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any

from orchestrator.patterns.router import Label, Routing
from orchestrator.patterns.situation import Situation

Vectors = Sequence[Sequence[float]]
Embed = Callable[[Sequence[str]], Vectors | Awaitable[Vectors]]


def by_rules(rules: Mapping[str, Callable[[Any], bool]]) -> Callable[[Situation], Routing]:
    """Take every route whose rule says yes of the request."""

    def decide(situation: Situation) -> Routing:
        routes = [route for route, applies in rules.items() if applies(situation.request)]
        return Routing.to(*routes, why=f"rules: {', '.join(routes) or 'none applies'}")

    return decide


def by_embedding(
    embed: Embed, examples: Mapping[str, Sequence[str]], text: Callable[[Any], str]
) -> Callable[[Situation], Awaitable[Routing]]:
    """As sure of a route as the request is near to the nearest of its examples (cosine, 0 where it is negative).

    Args:
        embed: texts -> a vector each, plain or async; `wordllama()` needs no network.
        examples: route -> requests that need it.
        text: what of a request is compared.
    """
    listed = [(route, example) for route, each in examples.items() for example in each]
    known: Vectors = []

    async def decide(situation: Situation) -> Routing:
        nonlocal known
        known = known or await _vectors(embed, [example for _, example in listed])  # they stay what they are
        (asked,) = await _vectors(embed, [text(situation.request)])
        nearest: dict[str, tuple[float, str]] = {}
        for (route, example), vector in zip(listed, known, strict=True):
            nearest[route] = max(nearest.get(route, (0.0, "")), (_cosine(asked, vector), example))
        why = "; ".join(f"{route}: {example!r}" for route, (_, example) in nearest.items() if example)
        labels = [Label(route=route, confidence=near) for route, (near, _) in nearest.items()]
        return Routing(labels=labels, why=f"nearest examples: {why or 'none'}")

    return decide


async def _vectors(embed: Embed, texts: Sequence[str]) -> Vectors:
    made = embed(texts)
    return await made if inspect.isawaitable(made) else made


def _cosine(one: Sequence[float], other: Sequence[float]) -> float:
    length = math.hypot(*one) * math.hypot(*other)
    near = sum(a * b for a, b in zip(one, other, strict=True)) / length if length else 0.0
    return min(max(near, 0.0), 1.0)
