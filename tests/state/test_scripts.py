"""Every script: its answers, run twice, raced, and interleaved at random with crashes."""

# pyright: reportPrivateUsage=false, reportUnknownLambdaType=false

import random
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from orchestrator import InvalidRequest, Plan, Step
from orchestrator.budget import Over
from orchestrator.state import keys
from orchestrator.state.calls import Begun, Cost, Pin
from orchestrator.state.client import without_loop as do
from orchestrator.state.jobs import NewJob
from orchestrator.state.records import Claim, Question
from orchestrator.state.scripts import NAMES
from orchestrator.state.steps import Ending, Lease, growth
from orchestrator.status import JobStatus
from tests.state.conftest import Stores, nothing_left_behind, stores_on
from tests.state.scenes import JOB, SCENES
from tests.support.valkey import Valkey
from tests.support.waiting import wait_until

TRIP = Plan([Step("a"), Step("b", after=["a"]), Step("c", after=["a"]), Step("d", after=["b", "c"])])
DONE = Ending("succeeded", {"ok": 1})
QUESTION = Question("a/day", "day", "which day?", step="a")


def prepare(stores: Stores, script: str) -> list[Any]:
    """Bring a job to where the script makes sense; returns the script's arguments."""
    stores.open(TRIP, JOB, tool_calls=5, seconds=None if script != "expire" else 0)
    if script == "open":
        return [JOB, '{"workflow":"w"}', "{}", -1, "[]", "{}", keys.submission("t", f"key-{JOB}"), "{}"]
    if script == "claim":
        return [JOB, "a", 30_000, 600]
    if script in SCENES:
        return SCENES[script](stores)
    if script == "expire":
        return [10, 600]
    if script in {"cancel", "refuse"}:
        return [JOB, 600] if script == "cancel" else [JOB, "a", 0, "nobody knows a", '{"kind":"unhandled"}', 600]
    lease = stores.claim(JOB, "a")
    ours: list[Any] = [JOB, "a", lease.fence]
    if script in {"call_settle", "recall", "pin"}:
        do(stores.calls.begin(lease, 1, "p", "t.x", Cost(), pin=Pin("c" if script == "pin" else "")))
    if script == "answer":
        do(stores.steps.park(lease, [QUESTION]))
    if script == "resume":
        do(stores.steps.commit(lease, Ending("failed", {"kind": "x", "message": "x"}, "x")))
    return {
        "renew": [30_000, *ours],
        "commit": [*ours, "succeeded", "{}", 600, "", "", "", ""],
        "give_back": [*ours, 10, '{"message":"x"}', 600],
        "release": [*ours, 10, 10, '{"message":"x"}', 600],
        "park": [*ours, '{"a/day":"{\\"step\\":\\"a\\"}"}', 600],
        "call_begin": [*ours, 1, "p", "t.x", "tool_calls=1", "unsafe", "d", 0, 1],
        "pin": [*ours, "t.x", "d", "t.y", "e"],
        "call_settle": [*ours, 1, "done", "{}", "tool_calls=1"],
        "answer": [JOB, '{"a/day":"1"}', "{}", "", "[]", "{}", 600, "{}", '"ann"', "", '{"tokens":9}'],
        "resume": [JOB, "{}", -1],
        "emit": [JOB, "a", "hello"],
        "keep": [600, 100, JOB, "a pack"],
        "root": [JOB, "e" * 32],
        "recall": [JOB, "a"],
        "remember": ["name", 600, '{"text":"Oslo"}'],
        "whose": ["t", "0" * 32, JOB],
    }[script]


AGAIN_IS_NEWS = {"call_begin", "emit", "keep"}
"""Said twice on purpose: a second begin is a second attempt, a second message is told twice, and so is a span."""


@pytest.mark.parametrize("script", NAMES)
def test_a_script_run_twice_changes_nothing_the_second_time(stores: Stores, script: str) -> None:
    arguments = prepare(stores, script)
    do(stores.scripts.run(script, *arguments))
    once = stores.dump()
    do(stores.scripts.run(script, *arguments))

    if script not in AGAIN_IS_NEWS:
        assert stores.dump() == once
    if script == "call_begin":  # what the first had reserved counts as spent, and one more is reserved
        spend = do(stores.jobs.read(JOB)).spend.tool_calls
        assert (spend.spent, spend.reserved) == (1, 1)


def test_a_stale_holder_can_commit_and_spend_nothing(stores: Stores) -> None:
    stores.open(TRIP, JOB, tool_calls=5)
    late = stores.claim(JOB, "a")
    stores.command("HSET", keys.job(JOB), "a.until", 0)  # its lease ran out
    now = stores.claim(JOB, "a")

    assert int(now.fence) > int(late.fence)
    assert do(stores.calls.begin(late, 1, "p", "t.x", Cost())).answer == "STALE"
    assert do(stores.calls.settle(late, 1, "done", 1, Cost())) == "STALE"
    assert do(stores.steps.commit(late, DONE)).answer == "STALE"
    assert do(stores.steps.renew([late, now])) == [late]
    assert do(stores.steps.commit(now, DONE)).answer == "OK"


def test_two_copies_of_a_message_are_one_claim(stores: Stores) -> None:
    stores.open(TRIP, JOB)
    answers = [do(stores.steps.claim(JOB, "a")).answer for _ in range(3)]
    assert answers == ["CLAIMED", "HELD", "HELD"]
    assert do(stores.steps.claim(JOB, "d")).answer == "BLOCKED"
    assert do(stores.steps.claim(JOB, "nobody")).answer == "DEAD"
    assert do(stores.steps.claim("f" * 32, "a")).answer == "DEAD"


@pytest.mark.parametrize("levels", [1, 200, 201, 254])
def test_what_can_be_stored_can_be_read_however_deep_it_is(stores: Stores, levels: int) -> None:
    deep: Any = 1
    for _ in range(levels):
        deep = [deep]
    stores.open(Plan([Step("a"), Step("b", after=["a"], arguments={"deep": deep[0]})]), JOB)
    do(stores.steps.commit(stores.claim(JOB, "a"), Ending("succeeded", deep)))
    claim = do(stores.steps.claim(JOB, "b"))
    assert (claim.inputs, claim.arguments) == ({"a": deep}, {"deep": deep[0]})
    assert do(stores.jobs.read(JOB)).step("a").output == deep


def test_a_step_that_is_not_done_any_more_says_its_place_and_why(stores: Stores) -> None:
    def why(step: str) -> tuple[str, str, int, int, str]:
        claim = do(stores.steps.claim(JOB, step))
        return claim.answer, claim.why, claim.number, claim.total, claim.tenant

    stores.open(Plan([Step("a"), Step("b"), Step("c"), Step("d")]), JOB, steps=2)
    lease = stores.claim(JOB, "a")
    do(stores.steps.commit(stores.claim(JOB, "b"), DONE))
    assert why("c") == ("OVER", "steps 2 of 2", 3, 4, "t")
    assert why("d") == ("DEAD", "c failed: steps 2 of 2", 4, 4, "t")
    do(stores.steps.commit(lease, DONE))
    do(stores.jobs.resume(JOB, {"steps": 9}, None))
    do(stores.jobs.cancel(JOB))
    assert why("d") == ("DEAD", "the job is cancelled", 4, 4, "t")
    assert why("nobody") == ("DEAD", "no such step", 0, 0, "")
    assert do(stores.steps.claim("f" * 32, "a")) == Claim("DEAD", "no such job")


def test_a_ceiling_of_steps_fails_the_job_and_strands_nothing(stores: Stores) -> None:
    stores.open(Plan.chain("a", "b", "c"), JOB, steps=2)
    for name in "ab":
        do(stores.steps.commit(stores.claim(JOB, name), DONE))
    assert do(stores.steps.claim(JOB, "c")).answer == "OVER"
    record = do(stores.jobs.read(JOB))
    assert (record.status, record.fields["reason"]) == (JobStatus.FAILED, "budget")


def test_a_call_replays_what_is_done_and_refunds_what_was_never_sent(stores: Stores) -> None:
    stores.open(TRIP, JOB, tool_calls=2)
    lease = stores.claim(JOB, "a")
    for _ in range(5):  # certainly not executed: free, however often
        assert do(stores.calls.begin(lease, 1, "p", "t.x", Cost())).answer in {"GO", "AGAIN"}
        do(stores.calls.settle(lease, 1, "unsent", None, Cost(0)))
    do(stores.calls.begin(lease, 1, "p", "t.x", Cost()))
    do(stores.calls.settle(lease, 1, "done", {"n": 7}, Cost()))
    for _ in range(5):
        assert do(stores.calls.begin(lease, 1, "p", "t.x", Cost())).value == {"n": 7}
    assert do(stores.calls.begin(lease, 1, "other", "t.y", Cost())).answer == "DIVERGED"
    assert do(stores.calls.begin(lease, 2, "q", "t.x", Cost())).answer == "GO"
    assert do(stores.calls.begin(lease, 3, "r", "t.x", Cost())).over == Over("tool_calls", "2", "2")


def test_a_tool_that_is_another_now_is_told_once_and_refused_only_where_it_was_never_sent(stores: Stores) -> None:
    stores.open(TRIP, JOB, tool_calls=9)
    lease = stores.claim(JOB, "a")
    new, old = Pin("new", refuse=True), Pin("old", refuse=True)
    assert do(stores.calls.pin(lease, {"t.x": "old", "t.y": "y"})) == {}
    assert do(stores.calls.begin(lease, 1, "p", "t.x", Cost(), pin=new)) == Begun("CHANGED", first="old")
    assert do(stores.jobs.read(JOB)).spend.tool_calls.reserved == 0
    assert do(stores.calls.begin(lease, 1, "p", "t.x", Cost(), pin=old)).first == ""
    assert do(stores.calls.begin(lease, 1, "p", "t.x", Cost(), pin=new)).answer == "AGAIN", "it may have been sent"
    assert do(stores.calls.begin(lease, 2, "q", "t.x", Cost(), pin=Pin("new"))).first == "old", "noted"
    assert do(stores.calls.begin(lease, 3, "r", "t.x", Cost())).first == "", "nobody looks"
    assert do(stores.calls.pin(lease, {"t.x": "newest", "t.y": "y"})) == {"t.x": "old"}
    told = [event.data for event in do(stores.jobs.events(JOB, "0")) if event.type == "changed"]
    assert told == [{"tool": "t.x", "first": "old", "now": now} for now in ("new", "newest")]
    do(stores.steps.commit(lease, DONE))
    assert do(stores.calls.pin(lease, {"t.x": "other"})) == "STALE"


@pytest.mark.parametrize(("kind", "cost"), [("tool_calls", Cost()), ("tokens", Cost(0, 1, 0)), ("usd", Cost(0, 0, 1))])
def test_two_hundred_claimants_get_exactly_the_ceiling(stores: Stores, server: Valkey, kind: str, cost: Cost) -> None:
    stores.open(Plan([Step("a", name=f"s{i}") for i in range(200)]), JOB, **{kind: 37})
    leases = [stores.claim(JOB, f"s{i}") for i in range(200)]
    others = [stores_on(server.url) for _ in range(10)]
    with ThreadPoolExecutor(10) as threads:
        begun = list(
            threads.map(lambda i: do(others[i % 10].calls.begin(leases[i], 1, "p", "t.x", cost)).answer, range(200))
        )
        assert begun.count("GO") == 37
        assert begun.count("OVER") == 163
        list(threads.map(lambda i: do(others[i % 10].calls.settle(leases[i], 1, "done", 1, cost)), range(200)))
    line = getattr(do(stores.jobs.read(JOB)).spend, kind)
    assert (line.spent, line.reserved, line.free) == (37, 0, 0)


def test_the_same_key_from_twenty_threads_is_one_job(stores: Stores, server: Valkey) -> None:
    others = [stores_on(server.url) for _ in range(20)]

    def submit(i: int) -> str:
        ceilings = {"steps": -1, "tool_calls": -1, "tokens": -1, "usd": -1}
        return do(others[i].jobs.open(NewJob(f"{i:032x}", "w", "a:{b}\n", {}, ceilings, key="k", plan=TRIP)))

    with ThreadPoolExecutor(20) as threads:
        assert len(set(threads.map(submit, range(20)))) == 1
    assert len(stores.command("KEYS", keys.FAMILIES["job"] + "*")) == 1


def test_a_lost_lease_and_a_lost_message_are_redriven_once_and_later_and_later(stores: Stores) -> None:
    stores.open(Plan([Step("a"), Step("b")]), JOB)
    stores.claim(JOB, "a")
    stores.command("ZADD", keys.INDEXES["leases"], 1, f"{JOB}.a")  # its holder died long ago
    stores.command("HSET", keys.job(JOB), "a.until", 1)
    stores.command("DEL", "a.{0}", "b.{0}")
    assert [lost.step for lost in do(stores.sweeper.sweep()).steps] == ["a"]
    wait_until(lambda: [lost.step for lost in do(stores.sweeper.sweep()).steps] == ["b"], "the lost message is found")
    assert stores.command("LLEN", "a.again.{0}") >= 1
    waits = stores.command("HGETALL", keys.INDEXES["waits"])
    stores.command("DEL", "a.again.{0}", "b.again.{0}")
    wait_until(lambda: do(stores.sweeper.sweep()).overdue, "they are looked at again")
    assert stores.command("HGETALL", keys.INDEXES["waits"]) != waits
    stores.claim(JOB, "a")
    stores.claim(JOB, "b")
    assert stores.command("ZCARD", keys.INDEXES["again"]) == 0


def test_a_long_queue_is_no_storm(stores: Stores) -> None:
    for i in range(20):
        stores.open(Plan([Step("a", name=f"s{n}") for n in range(100)]), f"{i:032x}")
    for n in range(100):  # one slow worker takes the first job's steps while the sweeper looks
        stores.claim("0" * 32, f"s{n}")
        stores.command("RPOP", "a.{0}")
        assert not do(stores.sweeper.sweep())
    assert stores.command("LLEN", "a.again.{0}") == 0


def test_growth_is_refused_where_a_step_has_begun(stores: Stores) -> None:
    stores.open(Plan([Step("a"), Step("b"), Step("c", after=["a"])]), JOB)
    stores.claim(JOB, "b")
    lease = stores.claim(JOB, "a")
    record = do(stores.jobs.read(JOB))
    refused = do(stores.steps.commit(lease, Ending("succeeded", 1, growth=growth(record, "a", [(Step("d"), ["b"])]))))
    assert (refused.answer, refused.why) == ("REFUSED", "b is running")
    grown = do(stores.steps.commit(lease, Ending("succeeded", 1, growth=growth(record, "a", [(Step("d"), ["c"])]))))
    assert (grown.answer, list(grown.ready)) == ("OK", ["d"])
    assert do(stores.jobs.read(JOB)).step("c").after == ("a", "d")
    with pytest.raises(InvalidRequest, match="no such step"):
        growth(record, "a", [(Step("d"), ["nobody"])])


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(seed=st.integers(0, 2**32), ceiling=st.integers(3, 12), width=st.integers(1, 5))
def test_any_interleaving_with_crashes_ends_joined_once_and_balanced(
    stores: Stores, seed: int, ceiling: int, width: int
) -> None:
    stores.command("FLUSHALL")
    rolled = random.Random(seed)
    middle = [Step("b", name=f"m{i}", after=["a"]) for i in range(width)]
    stores.open(Plan([Step("a"), *middle, Step("d", after=[step.name for step in middle])]), JOB, tool_calls=ceiling)
    names = ["a", *(step.name for step in middle), "d"]
    held, joined = list[Lease](), 0
    for _ in range(400):
        act, name = rolled.randrange(8), rolled.choice(names)
        if act <= 1:
            claim = do(stores.steps.claim(JOB, name))
            if claim.answer == "CLAIMED":
                held.append(Lease(JOB, name, claim.fence))
        elif held and act == 2:  # a crash: its lease runs out, and it may still come back late
            stores.command("HSET", keys.job(JOB), f"{rolled.choice(held).step}.until", 0)
        elif held and act <= 4:
            lease, number = rolled.choice(held), rolled.randrange(1, 3)
            if (
                do(stores.calls.begin(lease, number, "p", "t.x", Cost())).answer in {"GO", "AGAIN"}
                and rolled.random() < 0.8
            ):
                do(stores.calls.settle(lease, number, rolled.choice(["done", "unknown", "unsent"]), 1, Cost()))
        elif held and act == 5:
            do(stores.steps.release(rolled.choice(held), delay_s=0, grace_s=0, why={"message": "x"}))
        elif held and act == 6:
            lease = rolled.choice(held)
            answer = do(stores.steps.commit(lease, Ending("succeeded", {"by": lease.fence})))
            joined += answer.answer == "OK" and lease.step == "d"
        else:
            do(stores.sweeper.sweep())
        record = do(stores.jobs.read(JOB))
        line = record.spend.tool_calls
        assert line.spent + line.reserved <= ceiling
        assert all(int(record.fields[count]) >= 0 for count in ("live", "active", "left", "parked"))
        if record.status.final:
            break
    assert joined == (do(stores.jobs.read(JOB)).status is JobStatus.SUCCEEDED)  # once, or not at all
    nothing_left_behind(stores)
