"""`surefoot bench patterns`: the same trip in each pattern, side by side: what it costs and whether it is the same."""

import json
import time
from dataclasses import asdict, dataclass
from statistics import median
from typing import Annotated, Any

import typer
from rich.table import Table

from orchestrator.app import Orchestrator
from orchestrator.budget import MICRO
from orchestrator.cli.demo import COMPLETE, PATIENCE_S, machine
from orchestrator.cli.jobs import PATTERNS
from orchestrator.cli.terminal import console
from orchestrator.errors import InvalidRequest
from orchestrator.settings import load


@dataclass(frozen=True)
class Cost:
    """What one pattern took; `equal`: its itinerary is the one of the plain specialists."""

    pattern: str
    steps: int
    tool_calls: int
    tokens: int
    usd: float
    seconds: float
    equal: bool


def bench(
    what: Annotated[str, typer.Argument(help="patterns")] = "patterns",
    jobs: Annotated[int, typer.Option(min=1, max=100, help="trips in each pattern; seconds are the median")] = 3,
    as_json: Annotated[bool, typer.Option("--json", help="for programs")] = False,
) -> None:
    """Plan the same trip in every pattern on embedded defaults, and compare results and costs."""
    if what != "patterns":
        raise InvalidRequest(f"surefoot bench: unknown word {what!r}; did you mean: surefoot bench patterns")
    with machine(load().home / "bench") as app:
        plain, *_ = _play(app, PATTERNS["specialists"])  # not counted: who comes first connects to the tool servers
        costs = [_cost(app, pattern, jobs, plain["itinerary"]) for pattern in PATTERNS]
    if as_json:
        print(json.dumps([asdict(cost) for cost in costs], indent=2))  # noqa: T201 - for programs
    else:
        console.print(_table(costs))


def _play(app: Orchestrator, ending: str) -> tuple[dict[str, Any], dict[str, int], float]:
    """One trip: its result, what it spent, and the seconds that it took."""
    started = time.monotonic()
    job = app.submit(COMPLETE, workflow=f"trip{ending}")
    result = job.result(PATIENCE_S)
    seconds = time.monotonic() - started
    return result, {kind: line.spent for kind, line in job.spend.lines.items()}, seconds


def _cost(app: Orchestrator, pattern: str, jobs: int, itinerary: Any) -> Cost:
    played = [_play(app, PATTERNS[pattern]) for _ in range(jobs)]
    spent = played[0][1]
    return Cost(
        pattern=pattern,
        steps=spent["steps"],
        tool_calls=spent["tool_calls"],
        tokens=spent["tokens"],
        usd=spent["usd"] / MICRO,
        seconds=round(median(seconds for *_, seconds in played), 3),
        equal=all(result["itinerary"] == itinerary for result, *_ in played),
    )


def _table(costs: list[Cost]) -> Table:
    table = Table("pattern", "steps", "tool calls", "tokens", "USD", "seconds", "itinerary", box=None)
    for cost in costs:
        figures = (cost.steps, cost.tool_calls, cost.tokens, f"{cost.usd:g}", f"{cost.seconds:.2f}")
        table.add_row(cost.pattern, *map(str, figures), "equal" if cost.equal else "differs")
    return table
