"""Where a worker dies or stands still: loaded by workers as SUREFOOT_WORKFLOWS, at an armed boundary.

A boundary is just before or just behind one method of the step's way. The methods are named here; one that is renamed
fails every test of the matrix, since the worker does not start.
"""

import functools
import os
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

from pydantic import BaseModel

from orchestrator import Plan, Workflow
from orchestrator.state.calls import CallStore
from orchestrator.state.keys import UNDO
from orchestrator.state.steps import StepStore
from orchestrator.state.undo import UndoStore, is_work
from tools.outcome import NeedsInput
from tools.tool import Tool
from workers import StepContext, specialist
from workers.backend import JobRecordBackend

ARMED = os.environ.get("TEST_ARMED", "")
"""A file: the boundary, whom to send a signal ("process" or "group"), and which. Who renames it, gets it: only one."""
VICTIM = "victim"


class Errand(BaseModel):
    """What to call, and with what."""

    tool: str
    item: str


@specialist(VICTIM, tools=["faults.*"])
async def victim(step: StepContext, request: Errand) -> dict[str, Any]:
    said = await step.call(f"faults.{request.tool}", item=request.item)
    step.on_rollback("faults.book", item=f"{request.item}-undone")
    return {"said": said}


@specialist("collapse")
async def collapse(step: StepContext, request: Errand) -> None:
    raise RuntimeError(f"no {request.item}")


@specialist("beside", tools=["faults.book"])
async def beside(step: StepContext, request: Errand) -> dict[str, Any]:
    return {"said": await step.call("faults.book", item=f"{request.item}-beside")}


@specialist("join")
async def join(step: StepContext, request: Errand) -> dict[str, Any]:
    return dict(step.inputs)


Workflow("struck", request=Errand, plan=lambda _: Plan.chord([VICTIM, "beside"], "join"))
Workflow("undone", request=Errand, plan=lambda _: Plan.chain(VICTIM, "collapse"), on_failure="undo")


def reached(boundary: str, step: str) -> None:
    """Die here, or stand still, if this is where: in a step, or in the work of undoing it."""
    if is_work(step):
        boundary, step = f"undo {boundary}", step.removeprefix(UNDO)
    try:
        armed, whom, number = Path(ARMED).read_text().split(":")
    except FileNotFoundError:
        return
    if armed != boundary or step != VICTIM:
        return
    try:
        Path(ARMED).rename(f"{ARMED}.by-{os.getpid()}")
    except FileNotFoundError:
        return
    os.kill(0 if whom == "group" else os.getpid(), int(number))
    # The kernel hands it to any thread of the process; this one must not go on before that one has taken it.
    while re.search(r"^ShdPnd:\s+0*[1-9a-f]", Path("/proc/self/status").read_text(), re.MULTILINE):
        pass


def _wrap(owner: type, method: str, step_of: Callable[..., str], before: str = "", behind: str = "") -> None:
    inner = getattr(owner, method)

    @functools.wraps(inner)
    async def wrapped(*args: Any, **named: Any) -> Any:
        step = step_of(*args, **named)
        if before:
            reached(before, step)
        try:
            answer = await inner(*args, **named)
        except NeedsInput:  # what a tool asks is an answer too
            reached(behind, step)
            raise
        if behind:
            reached(behind, step)
        return answer

    setattr(owner, method, wrapped)


def _of_claim(_store: Any, _job_id: str, step: str) -> str:
    return step


def _of_lease(_store: Any, lease: Any, *_: Any, **__: Any) -> str:
    return lease.step


def _of_key(_tool: Any, _arguments: Any, *, key: str, **_: Any) -> str:
    """Of a call's key; and who makes it is noted, for a test that kills it from outside."""
    step = key.rpartition(":")[0].rpartition(".")[2]
    if step == VICTIM:
        Path(f"{ARMED}.calls").write_text(str(os.getpid()))
    return step


def _wrap_join() -> None:
    inner = JobRecordBackend.on_chord_part_return

    @functools.wraps(inner)
    def wrapped(self: JobRecordBackend, request: Any, *args: Any, **named: Any) -> None:
        completes = "join" in getattr(request, "surefoot_ready", ())
        if completes:
            reached("join not published", VICTIM)
        inner(self, request, *args, **named)
        if completes:
            reached("join published", VICTIM)

    JobRecordBackend.on_chord_part_return = wrapped


if ARMED:
    _wrap(StepStore, "claim", _of_claim, behind="claimed")
    _wrap(CallStore, "begin", _of_lease, behind="call recorded")
    _wrap(Tool, "call", _of_key, behind="answer received")
    _wrap(CallStore, "settle", _of_lease, behind="settled")
    _wrap(StepStore, "commit", _of_lease, before="before commit", behind="committed")
    _wrap(UndoStore, "claim", _of_claim, behind="claimed")
    _wrap(UndoStore, "commit", _of_lease, before="before commit", behind="committed")
    _wrap_join()
