"""What has happened to a job before a script of the sweeper, or one that undoes, looks at it."""

# pyright: reportUnknownLambdaType=false

from collections.abc import Callable
from typing import Any

from orchestrator import Plan, Step
from orchestrator.state import keys
from orchestrator.state.calls import Cost
from orchestrator.state.client import without_loop as do
from orchestrator.state.jobs import rows
from orchestrator.state.records import Question, encode
from orchestrator.state.steps import Ending
from orchestrator.state.undo import work
from orchestrator.status import JobStatus
from tests.state.conftest import Stores
from tests.support.waiting import wait_until

JOB, FORK = "0" * 31 + "1", "0" * 31 + "f"


def lost_lease(stores: Stores) -> list[Any]:
    stores.claim(JOB, "a")
    stores.command("ZADD", keys.INDEXES["leases"], 1, f"{JOB}.a")
    return [10, 200]


def lost_message(stores: Stores) -> list[Any]:
    stores.command("DEL", "a.{0}")
    wait_until(lambda: do(stores.sweeper.sweep()).unclaimed_steps, "the message counts as lost")
    return [10, 200, 0]


def late_redrive(stores: Stores) -> list[Any]:
    do(stores.scripts.run("sweep_leases", *lost_lease(stores)))
    stores.command("ZADD", keys.INDEXES["again"], 1, f"{JOB}.a")
    return [10, 200, 0]


def orphan(stores: Stores) -> list[Any]:
    lease = stores.claim(JOB, "a")
    do(stores.calls.begin(lease, 1, "p", "t.x", Cost()))
    do(stores.steps.release(lease, delay_s=9, grace_s=9, why={"message": "x"}))
    stores.command("ZADD", keys.INDEXES["begun"], 1, f"{JOB}.a:1")
    return [10]


def doubt(stores: Stores) -> list[Any]:
    do(stores.steps.park(stores.claim(JOB, "a"), [Question("a/call-1", "call-1", "did it?", "in_doubt", "a")]))
    return [10]


def cancelled(stores: Stores) -> list[Any]:
    """Its first step is to be undone."""
    rollback = [{"tool": "t.undo", "arguments": {}}]
    do(stores.steps.commit(stores.claim(JOB, "a"), Ending("succeeded", {"ok": 1}, rollback=rollback)))
    do(stores.jobs.cancel(JOB))
    return [JOB, work("a"), 30_000]


def undoing(stores: Stores) -> list[Any]:
    """Its first step is being undone."""
    cancelled(stores)
    fence = do(stores.undos.claim(JOB, work("a"))).claim.fence
    return [JOB, work("a"), fence, '{"done":[],"left":[]}', 600]


def forked(stores: Stores) -> list[Any]:
    """Its first step has succeeded, and another job takes that over."""
    do(stores.steps.commit(stores.claim(JOB, "a"), Ending("succeeded", {"ok": 1})))
    kept, rest = Plan([Step("a")]), Plan([Step("b", after=["a"])], known=["a"])
    numbers = {"a": 1, "b": 2}
    fields = {"workflow": "w", "tenant": "t", "request": "{}", "trace": "", "forked_from": JOB}
    ledger = {"steps": -1, "tool_calls": -1, "tokens": -1, "usd": -1}
    return [
        JOB,
        FORK,
        encode(fields),
        encode(ledger),
        -1,
        rows(kept, numbers, {"b": ["a"]}),
        rows(rest, numbers),
        "{}",
        "",
    ]


SCENES: dict[str, Callable[[Stores], list[Any]]] = {
    "sweep_leases": lost_lease,
    "sweep_ready": lost_message,
    "sweep_again": late_redrive,
    "sweep_calls": orphan,
    "sweep_doubts": doubt,
    "fork": forked,
    "claim_undo": cancelled,
    "commit_undo": undoing,
    "retire": lambda _: [10, 600],
    "census": lambda _: [6_000, *JobStatus],
    "beat": lambda _: ["w1@host", '{"kind":"worker"}', 60_000],
    "fleet": lambda _: [10],
}
"""Script -> brings about what it looks for; answers the script's arguments."""
