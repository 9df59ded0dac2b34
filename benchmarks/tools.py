"""The six calls of a job as in-process tools; mcp.json names this module."""

from typing import Any

from benchmarks import trip
from tools.effects import Effect
from tools.local import tool


@tool(effect=Effect.READ)
def search(what: str, destination: str) -> dict[str, Any]:
    """Offers of one kind."""
    return trip.search(what, destination)


@tool(effect=Effect.KEYED)
def book(job: str, what: str, offer: str, key: str) -> dict[str, Any]:
    """Book an offer, once a key."""
    return trip.book(job, what, offer, key)
