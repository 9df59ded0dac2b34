"""Commands about jobs: submit, watch, jobs, show, trace, cancel, resume."""

import json
from pathlib import Path
from typing import Annotated, Any

import typer
from pydantic_core import to_jsonable_python
from rich.text import Text

from orchestrator.app import Orchestrator
from orchestrator.blocking import Job
from orchestrator.budget import Budget
from orchestrator.cli import doctor, live, render, views
from orchestrator.cli.terminal import console
from orchestrator.errors import InvalidRequest, JobNotFound, SurefootError
from orchestrator.settings import load
from orchestrator.state.standstill import PATIENCE_S
from orchestrator.telemetry.redaction import redact, redact_text
from orchestrator.telemetry.tree import Trace

JobId = Annotated[str, typer.Argument(help="the job's id", metavar="JOB")]
MOST_DIGITS = 20
WIDEST = 120
"""A trace is not drawn wider: its bars would be far from their names."""
NO_SPANS = (
    "it is not sampled and nothing went wrong (SUREFOOT_TRACE_SAMPLE), tracing is off (SUREFOOT_TRACE), "
    "or they were removed after their time"
)
AsJson = Annotated[bool, typer.Option("--json", help="for programs")]
Steps = Annotated[int | None, typer.Option(help="ceiling of steps")]
ToolCalls = Annotated[int | None, typer.Option(help="ceiling of tool calls")]
Tools = Annotated[
    list[str] | None, typer.Option("--tool", help="ceiling of calls of a tool or glob", metavar="GLOB=CALLS")
]
Tokens = Annotated[int | None, typer.Option(help="ceiling of model tokens")]
Seconds = Annotated[float | None, typer.Option(help="seconds until the deadline")]
PATTERNS = {"router": "-router", "specialists": "", "plan": "-plan", "supervisor": "-supervisor"}
"""What the name of a workflow ends with where it comes in several patterns."""
AtCeiling = Annotated[str | None, typer.Option(help="what happens at a ceiling: fail, ask or finish")]
Usd = Annotated[float | None, typer.Option(help="ceiling of money, US dollars")]
InputTokens = Annotated[int | None, typer.Option(help="ceiling of tokens sent to models")]
OutputTokens = Annotated[int | None, typer.Option(help="ceiling of tokens received from models")]
AnswerBytes = Annotated[int | None, typer.Option(help="ceiling of bytes of tools' answers")]


def submit(
    request: Annotated[str, typer.Argument(help="free text, JSON, or @file with either")],
    workflow: Annotated[str, typer.Option(help="which workflow")] = "trip",
    pattern: Annotated[str, typer.Option(help=f"in which pattern: {', '.join(PATTERNS)}")] = "specialists",
    tenant: Annotated[str, typer.Option(help="whose job it is")] = "default",
    key: Annotated[str | None, typer.Option(help="the same tenant and key is the same job")] = None,
    wait: Annotated[bool, typer.Option("--wait", help="follow it and print its result")] = False,
    steps: Steps = None,
    tool_calls: ToolCalls = None,
    tool: Tools = None,
    tokens: Tokens = None,
    seconds: Seconds = None,
    usd: Usd = None,
    input_tokens: InputTokens = None,
    output_tokens: OutputTokens = None,
    answer_bytes: AnswerBytes = None,
    at_ceiling: AtCeiling = None,
    as_json: AsJson = False,
) -> None:
    """Submit a job.

    Example: surefoot submit --wait "Four days around Denver from New York, 12 to 15 March, two people"
    """
    if pattern not in PATTERNS:
        raise InvalidRequest(f"--pattern {pattern!r}: one of {', '.join(PATTERNS)}")
    ceilings = {"steps": steps, "tool_calls": tool_calls, "tools": _calls(tool), "tokens": tokens, "usd": usd}
    others = {"input_tokens": input_tokens, "output_tokens": output_tokens, "answer_bytes": answer_bytes}
    budget = Budget.of({**ceilings, **others, "seconds": seconds, "at_ceiling": at_ceiling})
    flow = workflow + PATTERNS[pattern]
    job = Orchestrator().submit(_request(request), workflow=flow, budget=budget, tenant=tenant, key=key)
    if not wait:
        _print_json({"id": job.id, "status": job.status}) if as_json else console.print(job.id)
        return
    if not as_json:
        render.follow(job)
    _result(job, as_json)


def _calls(options: list[str] | None) -> dict[str, int]:
    pairs = [each.rpartition("=") for each in options or ()]
    wrong = [
        f"{glob}{mark}{calls}"
        for glob, mark, calls in pairs
        if not (glob and calls.isdecimal()) or len(calls) > MOST_DIGITS
    ]
    if wrong:
        raise InvalidRequest(f"--tool {wrong[0]!r:.80}: say GLOB=CALLS, e.g. --tool 'flights.book*=1'")
    return {glob: int(calls) for glob, _, calls in pairs}


def _request(text: str) -> Any:
    if text.startswith("@"):
        try:
            text = Path(text[1:]).read_text()
        except OSError as error:
            raise InvalidRequest(f"{text[1:]}: {error.strerror}") from error
    if not text.lstrip().startswith("{"):
        return text
    try:
        return json.loads(text)
    except ValueError as error:
        raise InvalidRequest(f"the request begins like JSON but is none: {error}") from error


def _result(job: Job, as_json: bool) -> None:
    result = job.result()
    if as_json:
        _print_json(result)
    elif isinstance(result, dict) and isinstance(result.get("markdown"), str):
        console.print(result["markdown"], soft_wrap=True)
    else:
        console.print_json(data=result)


def watch(job_id: JobId, as_json: AsJson = False) -> None:
    """Follow a job live, from its start, until it ends or waits."""
    job = Orchestrator(redis_patience_s=live.PATIENCE_S).job(job_id)
    if not as_json:
        live.watch(job)
        return
    for event in live.until_it_waits(job):
        print(json.dumps(redact(to_jsonable_python(event))), flush=True)  # noqa: T201 - a line an event


def jobs(
    status: Annotated[str | None, typer.Option(help="queued, running, waiting, succeeded, failed, cancelled")] = None,
    tenant: Annotated[str | None, typer.Option(help="only this tenant's")] = None,
    limit: Annotated[int, typer.Option(min=1, max=1000, help="at most so many")] = 50,
    stuck: Annotated[
        bool, typer.Option("--stuck", help="those that should move and do not: where, why, what helps")
    ] = False,
    patience: Annotated[float, typer.Option(help="with --stuck: seconds that a step may stand still")] = PATIENCE_S,
    as_json: AsJson = False,
) -> None:
    """List jobs, those that changed last first; or those that are stuck, the longest first."""
    if stuck and status:
        raise InvalidRequest("--stuck looks at the jobs that should move: leave --status away")
    if stuck:
        found = Orchestrator().stuck(patience_s=patience, tenant=tenant, limit=limit)
        if found and not as_json:
            _say_if_the_broker_is_away()
        _print_json([render.stuck_as_json(one) for one in found]) if as_json else views.stuck(found, patience)
        return
    records = [job.record for job in Orchestrator().jobs(status=status, tenant=tenant, limit=limit)]
    if as_json:
        _print_json([render.as_json(record) for record in records])
    elif records:
        console.print(views.jobs_table(records))
    else:
        console.print("no jobs" + (f" that are {status}" if status else ""))


def _say_if_the_broker_is_away() -> None:
    """What stands still then stands still for that."""
    try:
        doctor.broker(load())
    except SurefootError as error:
        console.print(Text(redact_text(str(error)), "bold red"), soft_wrap=True)


def show(job_id: JobId, as_json: AsJson = False) -> None:
    """One job: its steps, questions and spend; what failed comes first."""
    record = Orchestrator().job(job_id).record
    _print_json(render.as_json(record)) if as_json else views.show(record)


def trace(job_id: JobId, as_json: AsJson = False) -> None:
    """The job's trace as a tree with a timeline; the failing step on top."""
    job = Orchestrator().job(job_id)
    rows, record = job.spans, job.record
    tree = Trace.read(rows)
    if as_json and tree:
        _print_json([json.loads(row) for row in rows])
        return
    if not as_json:
        console.print(views.headline(record), soft_wrap=True)
        for told in views.wrong(record):
            console.print(told, soft_wrap=True)
    if tree is None:
        raise JobNotFound(f"no spans of job {job_id}: {NO_SPANS}; surefoot show {job_id} has its steps")
    if tree.partial:
        console.print(
            f"not sampled: only attempts in which something went wrong; all: surefoot show {job_id}", soft_wrap=True
        )
    for line in views.timeline(tree, min(max(80, console.width), WIDEST)):
        console.print(line)


def cancel(job_id: JobId) -> None:
    """End a job now."""
    console.print(render.coloured(Orchestrator().job(job_id).cancel()))


def resume(
    job_id: JobId,
    steps: Steps = None,
    tool_calls: ToolCalls = None,
    tool: Tools = None,
    tokens: Tokens = None,
    seconds: Seconds = None,
    usd: Usd = None,
    input_tokens: InputTokens = None,
    output_tokens: OutputTokens = None,
    answer_bytes: AnswerBytes = None,
) -> None:
    """Go on with a failed job where it stopped, with a larger budget if one is given.

    Example: surefoot resume JOB --tool-calls 40
    """
    ceilings = {"steps": steps, "tool_calls": tool_calls, "tools": _calls(tool), "tokens": tokens, "usd": usd}
    others = {"input_tokens": input_tokens, "output_tokens": output_tokens, "answer_bytes": answer_bytes}
    budget = Budget.of({**ceilings, **others, "seconds": seconds})
    job = Orchestrator().job(job_id)
    job.resume(budget)
    console.print(render.coloured(job.status))


def fork(
    job_id: JobId,
    after: Annotated[list[str], typer.Option(help="a finished step that is taken over, with all it comes after")],
    request: Annotated[str, typer.Option(help="fields of the request that are to be others: JSON, or @file")] = "{}",
    steps: Steps = None,
    tool_calls: ToolCalls = None,
    tool: Tools = None,
    tokens: Tokens = None,
    seconds: Seconds = None,
    usd: Usd = None,
    input_tokens: InputTokens = None,
    output_tokens: OutputTokens = None,
    answer_bytes: AnswerBytes = None,
    key: Annotated[str | None, typer.Option(help="the same tenant and key is the same job")] = None,
    as_json: AsJson = False,
) -> None:
    """A new job that goes on behind finished steps of another one, with keys and a budget of its own.

    Example: surefoot fork JOB --after itinerary --request '{"travellers": 3}'
    """
    changes = _request(request)
    if not isinstance(changes, dict):
        raise InvalidRequest(f"--request {request!r} is no JSON object of fields")
    ceilings = {"steps": steps, "tool_calls": tool_calls, "tools": _calls(tool), "tokens": tokens, "usd": usd}
    others = {"input_tokens": input_tokens, "output_tokens": output_tokens, "answer_bytes": answer_bytes}
    budget = Budget.of({**ceilings, **others, "seconds": seconds})
    job = Orchestrator().job(job_id).fork(after, changes, budget, key)
    _print_json({"id": job.id, "status": job.status}) if as_json else console.print(job.id)


def _print_json(value: Any) -> None:
    print(json.dumps(to_jsonable_python(value), indent=2))  # noqa: T201 - for programs: no wrapping, no colours


COMMANDS = (submit, watch, jobs, show, trace, cancel, resume, fork)
