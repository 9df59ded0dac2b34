"""`python -m benchmarks.understanding`: how many of the requests on file the rules understand, field by field."""

import argparse
import json
from collections.abc import Iterable, Mapping
from datetime import date
from pathlib import Path
from typing import Any

from workers.trip.request import TripRequest
from workers.trip.understanding import understand

REQUESTS: list[dict[str, Any]] = json.loads(Path(__file__).parents[1].joinpath("tests/trip/requests.json").read_text())
TODAY = date(2026, 11, 23)
"""The day on which the requests were written: "next Friday" counts from it."""
MONEY = {"money_usd", "money_source"}
"""In other currencies than dollars these move with the exchange rates that the installed package knows."""


def fixed(fields: Mapping[str, Any]) -> dict[str, Any]:
    """What does not move."""
    moves = bool(fields.get("money_source"))
    return {name: value for name, value in fields.items() if not (moves and name in MONEY)}


def accuracy(requests: Iterable[Mapping[str, Any]]) -> dict[str, dict[str, int]]:
    """Of each field: right (also where it is left out and so asked), missing (asked although it was said), wrong."""
    counted = {name: {"right": 0, "missing": 0, "wrong": 0} for name in TripRequest.model_fields}
    for each in requests:
        said, expected = fixed(understand(each["text"], TODAY)), fixed(each["fields"])
        for name, count in counted.items():
            same = said.get(name) == expected.get(name)
            count["right" if same else "wrong" if name in said else "missing"] += 1
    return counted


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.understanding", description=__doc__)
    parser.add_argument("--json", action="store_true", help="for programs")
    counted = accuracy(REQUESTS)
    if parser.parse_args().json:
        print(json.dumps({"requests": len(REQUESTS), "fields": counted}))
        return
    print(f"{len(REQUESTS)} requests      right  missing    wrong")
    for name, count in counted.items():
        print(f"{name:16}" + "".join(f"{value:9}" for value in count.values()))


if __name__ == "__main__":
    main()
