"""`surefoot top`: the fleet live: who works, what waits, what it costs, and who is asked."""

import json
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Annotated, Any

import typer
from rich.console import Group, RenderableType
from rich.live import Live
from rich.table import Column, Table
from rich.text import Text

from orchestrator.cli.overview import Overview
from orchestrator.cli.render import coloured
from orchestrator.cli.terminal import console
from orchestrator.errors import StoreRefused, StoreUnavailable
from orchestrator.settings import load
from orchestrator.telemetry.plain import short
from orchestrator.telemetry.redaction import redact_text
from orchestrator.telemetry.timeline import duration

ROWS, WIDEST = 12, 200
"""So many lines of each kind on a terminal, and so many characters of a cell; `--json` has them all."""


def top(
    once: Annotated[bool, typer.Option("--once", help="look once and end")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="for programs: one look, all of it")] = False,
    every: Annotated[float, typer.Option(min=0.2, max=60, help="seconds between two looks")] = 2.0,
) -> None:
    """The fleet live: workers, queues, tenants, running steps, spend a minute, and what waits for people."""
    overview = Overview(load())
    if as_json:
        print(json.dumps(overview.look(), indent=2))  # noqa: T201 - for programs
        return
    if once or not console.is_terminal:
        console.print(picture(overview.look()))
        return
    with Live(picture(overview.look()), console=console, screen=True, auto_refresh=False) as live:
        while True:
            time.sleep(every)
            live.update(_next(overview, live.renderable), refresh=True)


def _next(overview: Overview, last: RenderableType) -> RenderableType:
    """The next look; while Redis is away the last one, which says so."""
    try:
        return picture(overview.look())
    except StoreRefused:
        raise
    except StoreUnavailable as error:
        old = last.renderables[-1] if isinstance(last, Group) and isinstance(last, _Stale) else last
        return _Stale(Text(f"as of the last answer of Redis: {error}", "bold yellow"), old)


class _Stale(Group):
    """A picture that is not renewed."""


def picture(seen: dict[str, Any]) -> RenderableType:
    """All of it as tables, what needs a person first."""
    parts = [_first(seen), *_people(seen), _workers(seen), _queues(seen), _tenants(seen), _running(seen), _swept(seen)]
    return Group(*(line for part in parts if part is not None for line in (part, Text(""))))


def _first(seen: dict[str, Any]) -> Text:
    line = Text.assemble(("surefoot top", "bold"), f"  {datetime.fromtimestamp(seen['at_ms'] / 1000, UTC):%F %T} UTC ")
    for status, count in seen["jobs"].items():
        line.append(f"  {count:,} ").append_text(coloured(status) if count else Text(status, "dim"))
    return line


def _people(seen: dict[str, Any]) -> Iterator[RenderableType]:
    doubts, waiting = seen["in_doubt"], seen["waiting_for_people"]
    if doubts["calls"]:
        told = (
            f"{doubts['calls']} calls of {doubts['jobs']} jobs are in doubt, the oldest for {_for(doubts['oldest_s'])}"
        )
        yield Text(told, "bold yellow")
    if not waiting:
        return
    told = Text("waits for people", "bold")
    for job in waiting[:ROWS]:
        since, asks = _for((seen["at_ms"] - job["since_ms"]) / 1000), short("; ".join(job["asks"][:2]), WIDEST)
        told.append(f"\n{job['job']}  {since}  {asks}", "not bold")
        told.append(f"\n  {job['next']}")  # a line of its own: to be copied, however narrow the terminal
    yield told


def _workers(seen: dict[str, Any]) -> RenderableType:
    if not seen["workers"]:
        return Text("no worker was heard of within a day: surefoot worker", "bold red")
    table = _table("process", "", "version", "up", "busy", "runs")
    for one in sorted(seen["workers"], key=lambda one: (one["alive"], one["name"]))[:ROWS]:
        if not one["alive"]:
            table.add_row(one["name"], Text(f"silent for {_for(one['heard_s'])}", "bold red"))
            continue
        runs = ", ".join(one.get("running", ())[:2]) + (" ..." if one.get("busy", 0) > 2 else "")  # noqa: PLR2004
        words = [Text("alive", "green"), one["version"], _for(one["up_s"]), str(one.get("busy", "")), Text(runs)]
        table.add_row(one["name"], *words)
    _more(table, seen["workers_known"])
    return table


def _queues(seen: dict[str, Any]) -> RenderableType:
    table = _table("queue", Column("waiting", justify="right"), Column("oldest", justify="right"))
    queues = sorted(seen["queues"].items(), key=lambda item: (-item[1]["oldest_s"], item[0]))
    waiting = [(name, queue) for name, queue in queues if queue["depth"]]
    for name, queue in waiting[:ROWS]:
        table.add_row(name, f"{queue['depth']:,}", _for(queue["oldest_s"]))
    _more(table, len(waiting))
    return table if waiting else Text(f"nothing waits in {len(queues)} queues", "dim")


def _tenants(seen: dict[str, Any]) -> RenderableType | None:
    if not seen["tenants"]:
        return None
    words = ["running", "waiting", "queued", "calls a minute", "tokens", "USD"]
    table = _table("tenant", *(Column(word, justify="right") for word in words))
    busiest = sorted(seen["tenants"].items(), key=lambda item: -sum(item[1]["a_minute"].values()))
    for name, one in busiest[:ROWS]:
        rates = one["a_minute"]
        numbers = [one["running"], one["waiting"], one["queued"], rates["tool_calls"], rates["tokens"], rates["usd"]]
        table.add_row(short(redact_text(name), WIDEST), *(f"{number:,.6g}" for number in numbers))
    _more(table, len(busiest))
    return table


def _running(seen: dict[str, Any]) -> RenderableType:
    told = f"{seen['leases']:,} steps run, {seen['again']:,} were re-driven or are to be tried again"
    if not seen["running"]:
        return Text(told, "dim")
    table = _table(told, Column("lease", justify="right"), "held by")
    for one in sorted(seen["running"], key=lambda one: one["lease_s"])[:ROWS]:
        late = one["lease_s"] < 0
        left = Text(f"over for {_for(-one['lease_s'])}" if late else _for(one["lease_s"]), "bold red" if late else "")
        table.add_row(one["step"], left, one["held_by"] or "")
    _more(table, seen["leases"])
    return table


def _swept(seen: dict[str, Any]) -> Text:
    found = [f"{name.replace('_', ' ')} {count:,}" for name, count in seen["swept"].items() if count]
    return Text(f"put right by the sweepers that run now: {', '.join(found) or 'nothing was to be put right'}", "dim")


def _table(first: str, *columns: Column | str) -> Table:
    return Table(Column(first, no_wrap=True), *columns, box=None, header_style="bold", pad_edge=False)


def _more(table: Table, known: int) -> None:
    if known > table.row_count:
        table.add_row(Text(f"and {known - table.row_count:,} more: surefoot top --json", "dim"))


def _for(seconds: float | None) -> str:
    return duration(1000 * (seconds or 0.0))


COMMANDS = (top,)
