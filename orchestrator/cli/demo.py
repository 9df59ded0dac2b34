"""`surefoot demo`: three real requests on embedded defaults, with live progress."""

import os
import time
from collections.abc import Generator, Mapping
from contextlib import contextmanager
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.rule import Rule

from orchestrator.app import Orchestrator
from orchestrator.blocking import Job
from orchestrator.budget import Budget
from orchestrator.cli import render, views
from orchestrator.cli.terminal import console
from orchestrator.embedded import EmbeddedServer, leftovers
from orchestrator.errors import BudgetExhausted, SurefootError
from orchestrator.fleet import Fleet, Roster
from orchestrator.settings import load
from orchestrator.telemetry.timeline import lines
from orchestrator.telemetry.tree import Trace

COMPLETE = "Four days of hiking around Denver from New York, 12 to 15 March, two people, under 2,500 USD"
WITHOUT_DATES = "Four days of hiking around Denver from New York, two people, under 2,500 USD"
TOO_FEW_CALLS = 6
PATIENCE_S = 120.0
TRACE_PATIENCE_S = 5.0


def demo(
    home: Annotated[Path | None, typer.Option(help="folder to use (default: demo in SUREFOOT_HOME)")] = None,
) -> None:
    """Plan three trips on this machine: one complete, one that asks, one whose budget is too small."""
    started = time.monotonic()
    folder = home or load().home / "demo"
    console.print("starting the embedded Valkey, five tool servers, a worker and the sweeper ...", style="dim")
    with machine(folder) as app:
        first = _complete(app)
        _asking(app)
        _too_small(app)
        _look_back(first)
    console.print(
        f"\ndone in {time.monotonic() - started:.0f} s; nothing keeps running. Next: surefoot up", style="green"
    )


@contextmanager
def machine(folder: Path) -> Generator[Orchestrator]:
    """A front door to everything on this machine, in a folder of its own; nothing of it runs on afterwards."""
    os.environ.setdefault("SUREFOOT_DATA", str((load().home / "data").resolve()))  # kept between demos
    render.leftovers(leftovers.clear(folder))
    with EmbeddedServer(folder) as server:
        own = load(home=folder, redis_url=server.redis_url)
        with Fleet(own, Roster(workers=1, events=False)):
            app = Orchestrator(redis_url=server.redis_url, home=folder)
            try:
                yield app
            finally:
                app.close()


def _complete(app: Orchestrator) -> Job:
    _title("1. A complete request", COMPLETE)
    job = app.submit(COMPLETE)
    render.follow(job)
    result = job.result(PATIENCE_S)
    console.print()
    console.print(result["markdown"], soft_wrap=True)
    return job


def _asking(app: Orchestrator) -> None:
    _title("2. A request without dates", WITHOUT_DATES)
    job = app.submit(WITHOUT_DATES)
    for question in job.questions:
        console.print(render.question_text(question))
    console.print(
        f"status {job.status}; tool calls so far: {job.spend.tool_calls.spent}. It holds no worker while it waits."
    )
    day = _next_twelfth_of_march().isoformat()
    console.print(f"\nanswering start_date={day}", style="bold")
    job.answer(start_date=day)
    render.follow(job)
    _booked(job.result(PATIENCE_S))


def _too_small(app: Orchestrator) -> None:
    _title("3. A budget that is too small", f"the first request again, with {TOO_FEW_CALLS} tool calls")
    job = app.submit(COMPLETE, budget=Budget(tool_calls=TOO_FEW_CALLS))
    seen = render.follow(job)
    try:
        job.result(PATIENCE_S)
    except BudgetExhausted as error:
        console.print(str(error), style="red", soft_wrap=True)
    else:
        raise SurefootError(f"the job needed no more than {TOO_FEW_CALLS} tool calls, which it should not")
    views.show(job.record)
    console.print("\nresuming with 60 tool calls; what is finished is kept", style="bold")
    job.resume(budget=Budget(tool_calls=60))
    render.follow(job, seen)
    _booked(job.result(PATIENCE_S))
    console.print(render.spend_table(job.spend))


def _look_back(job: Job) -> None:
    console.print(Rule("spend and trace of the first request", style="dim"))
    console.print(render.spend_table(job.spend))
    console.print()
    for line in lines(_whole_trace(job), width=max(80, console.width)):
        console.print(line, no_wrap=True, overflow="ellipsis")


def _whole_trace(job: Job) -> Trace:
    """The trace once the worker has sent its last spans, which it does every second or so."""
    end = time.monotonic() + TRACE_PATIENCE_S
    while True:
        trace = Trace.read(job.spans)
        if trace is not None and (any("summary" in node.name for node in trace.nodes) or time.monotonic() > end):
            return trace
        time.sleep(0.1)


def _booked(result: Mapping[str, Any]) -> None:
    console.print(f"\nbooked {len(result['bookings'])} things for {result['total_usd']:,.2f} USD:")
    for booking in result["bookings"]:
        console.print(f"  {booking['booking_id']}  {booking['title']}  key {booking['key']}", soft_wrap=True)


def _title(title: str, request: str) -> None:
    console.print()
    console.print(Rule(title, style="bold"))
    console.print(f"“{request}”\n", style="italic")


def _next_twelfth_of_march() -> date:
    today = datetime.now(UTC).date()
    day = date(today.year, 3, 12)
    return day if day >= today else date(today.year + 1, 3, 12)
