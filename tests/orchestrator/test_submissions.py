"""Submissions as they come: questions, keys from many threads, tenants of any name, answers, cancels and resumes."""

# pyright: reportPrivateUsage=false, reportUnknownLambdaType=false

import time
import uuid
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from threading import Barrier
from typing import Any, TypeVar

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pydantic import BaseModel, Field
from redis import Redis

from orchestrator import AsyncJob, BudgetExhausted, InvalidRequest, Job, Orchestrator, Plan, WaitingForInput, Workflow
from orchestrator.job import _stopped
from orchestrator.state import keys
from orchestrator.state.calls import CallStore, Cost
from orchestrator.state.client import without_loop as do
from orchestrator.state.records import JobRecord
from orchestrator.state.steps import Ending, Lease, StepStore
from orchestrator.state.sweeping import SweepStore
from orchestrator.status import JobStatus
from tests.support.valkey import Valkey, calls
from tests.support.waiting import wait_until
from workers.ceiling import question

T = TypeVar("T")
DONE = Ending("succeeded", {"ok": 1})
TENANTS = [
    "a{b}",
    "{0}",
    "a:b",
    "a\nb",
    " ",
    "ünïcode",
    "*",
    "a\x00b",
    "'; return 1 --",
    "[==[",
    "]==]",
    "@job@",
    "x" * 200,
]


class Wish(BaseModel):
    item: str = Field(description="what to book", examples=["bed"])
    day: str
    count: int = 1


@pytest.fixture(scope="module", autouse=True)
def workflows() -> None:
    Workflow("wish", request=Wish, plan=lambda _: Plan.chord(["a", "b"], "c"))
    Workflow("line", request=Wish, plan=lambda _: Plan.chain("a", "b"))


WISH = {"item": "bed", "day": "monday"}


def at_once(count: int, act: Callable[[int], T]) -> list[T]:
    start = Barrier(count)

    def one(i: int) -> T:
        start.wait(20)
        return act(i)

    with ThreadPoolExecutor(count) as threads:
        return list(threads.map(one, range(count)))


def messages(front: Orchestrator, job: Job) -> int:
    """How often the broker's lists name this job's first steps."""
    lists = [do(front._client.command("LRANGE", f"{name}.{{0}}", 0, -1)) for name in "abc"]
    return sum(f'"id": "{job.id}.'.encode() in raw for found in lists for raw in found)


def perform(front: Orchestrator, job: Job, step: str, ending: Ending = DONE) -> Lease:
    steps = StepStore(front._desk.jobs._scripts, 30, 600)
    claim = do(steps.claim(job.id, step))
    assert claim.answer == "CLAIMED", claim
    lease = Lease(job.id, step, claim.fence)
    assert do(steps.commit(lease, ending)).answer == "OK"
    return lease


def test_all_that_is_missing_is_asked_at_once_with_prompt_and_example(front: Orchestrator) -> None:
    job = front.submit({}, workflow="wish")
    assert job.status is JobStatus.WAITING
    assert {q.field: (q.prompt, q.example) for q in job.questions} == {
        "item": ("what to book", "bed"),
        "day": ("day", None),
    }
    with pytest.raises(WaitingForInput, match="item: what to book") as waiting:
        job.result(timeout=1)
    assert len(waiting.value.questions) == 2
    assert messages(front, job) == 0
    job.answer(WISH)
    assert (job.status, job.questions, messages(front, job)) == (JobStatus.RUNNING, [], 2)
    assert [(step.name, step.after) for step in job.steps] == [("a", ()), ("b", ()), ("c", ("a", "b"))]


@pytest.mark.parametrize("wrong", [{"count": "many"}, {"item": 3}, {"day": None}, {"item": ["bed"]}])
def test_a_wrong_type_is_refused_even_where_something_is_missing_too(front: Orchestrator, wrong: Any) -> None:
    before = do(front._client.command("DBSIZE"))
    with pytest.raises(InvalidRequest, match=next(iter(wrong))) as refused:
        front.submit(wrong, workflow="wish")
    assert [error["field"] for error in refused.value.errors] == list(wrong)
    assert do(front._client.command("DBSIZE")) == before


def test_a_wrong_answer_is_refused_and_the_question_stays(front: Orchestrator) -> None:
    job = front.submit({"item": "bed"}, workflow="wish")
    with pytest.raises(InvalidRequest, match="day"):
        job.answer(day=5)
    with pytest.raises(InvalidRequest, match="no answer"):
        job.answer()
    assert (job.status, [q.field for q in job.questions]) == (JobStatus.WAITING, ["day"])
    job.answer(day="monday")
    assert job.status is JobStatus.RUNNING


def test_one_key_from_twenty_threads_at_once_is_one_job_enqueued_once(front: Orchestrator) -> None:
    key = uuid.uuid4().hex
    jobs = at_once(20, lambda _: front.submit(WISH, workflow="wish", key=key))
    assert len({job.id for job in jobs}) == 1
    assert messages(front, jobs[0]) == 2
    assert front.submit({}, workflow="wish", key=key).id == jobs[0].id  # the key, not the request, names the job


def test_a_key_is_a_tenants_own(front: Orchestrator) -> None:
    key = uuid.uuid4().hex
    pairs = [("a", "b" + key), ("ab", key), ("a", ":b" + key), *((tenant, key) for tenant in TENANTS)]
    ids = [front.submit(WISH, workflow="wish", tenant=tenant, key=own).id for tenant, own in pairs]
    assert len(set(ids)) == len(pairs)
    assert [front.submit(WISH, workflow="wish", tenant=tenant, key=own).id for tenant, own in pairs] == ids


@pytest.mark.parametrize("tenant", TENANTS)
def test_a_tenant_may_be_named_anything(front: Orchestrator, tenant: str) -> None:
    job = front.submit(WISH, workflow="wish", tenant=tenant, key=tenant)
    assert job.record.fields["tenant"] == tenant
    assert job.id in {found.id for found in front.jobs(tenant=tenant)}
    names = do(front._client.command("KEYS", "*"))
    assert all(name.startswith(b"sf:{0}:") or name.endswith(b".{0}") for name in names), "no key is named by a tenant"


@settings(max_examples=80, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.fixed_dictionaries({name: st.text(st.characters(exclude_categories=["Cs"])) for name in ("item", "day")}))
def test_any_text_comes_back_as_it_was(front: Orchestrator, wish: dict[str, str]) -> None:
    job = front.submit(wish, workflow="wish")
    claim = do(StepStore(front._desk.jobs._scripts, 30, 600).claim(job.id, "a"))
    assert claim.request == wish | {"count": 1}
    job.cancel()


def test_twenty_threads_that_answer_alike_start_the_plan_once(front: Orchestrator) -> None:
    job = front.submit({"item": "bed"}, workflow="wish")
    at_once(20, lambda _: job.answer(day="monday"))
    assert (job.status, messages(front, job), job.record.fields["total"]) == (JobStatus.RUNNING, 2, "3")


def test_of_twenty_threads_that_answer_otherwise_one_is_heard(front: Orchestrator) -> None:
    job = front.submit({"item": "bed"}, workflow="wish")

    def answer(i: int) -> bool:
        try:
            job.answer(day=f"day {i}")
        except InvalidRequest:
            return False
        return True

    heard = at_once(20, answer)
    assert heard.count(True) == 1
    claim = do(StepStore(front._desk.jobs._scripts, 30, 600).claim(job.id, "a"))
    assert claim.request["day"] == f"day {heard.index(True)}"
    assert job.record.fields["total"] == "3"


def test_a_cancelled_job_stays_so(front: Orchestrator) -> None:
    waiting, queued = front.submit({}, workflow="wish"), front.submit(WISH, workflow="wish")
    for job in (waiting, queued):
        assert set(at_once(10, lambda _, job=job: job.cancel())) == {JobStatus.CANCELLED}
        with pytest.raises(InvalidRequest, match=r"only a failed job can be resumed; job .* is cancelled"):
            job.resume()
    with pytest.raises(InvalidRequest, match="takes no answers: it is cancelled"):
        waiting.answer(WISH)
    assert do(StepStore(front._desk.jobs._scripts, 30, 600).claim(queued.id, "a")).answer == "DEAD"


def test_a_finished_job_is_neither_cancelled_nor_resumed(front: Orchestrator) -> None:
    job = front.submit(WISH, workflow="line")
    with pytest.raises(InvalidRequest, match="is queued"):
        job.resume()
    perform(front, job, "a")
    with pytest.raises(InvalidRequest, match="is running"):
        job.resume()
    perform(front, job, "b")
    assert job.cancel() is JobStatus.SUCCEEDED
    with pytest.raises(InvalidRequest, match="is succeeded"):
        job.resume()
    assert job.result(timeout=1) == {"ok": 1}


def test_who_waits_for_a_result_sleeps_until_there_is_one(front: Orchestrator, server: Valkey) -> None:
    job = front.submit(WISH, workflow="line")
    with Redis.from_url(server.url) as redis, ThreadPoolExecutor(1) as waiter:
        before = calls(redis, "xread")
        result = waiter.submit(job.result, 20)
        wait_until(lambda: redis.info("clients")["blocked_clients"], "it waits")
        perform(front, job, "a")  # four events
        perform(front, job, "b")
        assert result.result(20) == {"ok": 1}
        assert calls(redis, "xread") - before == 1


def test_an_end_between_the_look_at_a_job_and_the_wait_for_it_is_not_missed(front: Orchestrator) -> None:
    job = front.submit({}, workflow="wish")
    assert job.record.fields["ends"] == "1"  # it waits
    job.answer(WISH)
    with pytest.raises(TimeoutError, match=r"is running after 0\.1 s: 0 of 3 steps done"):
        job.result(timeout=0.1)
    seen = job.record.fields["ends"]
    job.cancel()
    start = time.monotonic()
    do(front._desk.jobs.wait(job.id, seen, 20))
    assert time.monotonic() - start < 10


def test_a_resumed_job_has_a_higher_ceiling_and_goes_on_where_it_was(front: Orchestrator) -> None:
    job = front.submit(WISH, workflow="line", budget={"steps": 1, "tool_calls": 1})
    perform(front, job, "a")
    steps = StepStore(front._desk.jobs._scripts, 30, 600)
    assert do(steps.claim(job.id, "b")).answer == "OVER"
    with pytest.raises(BudgetExhausted, match="steps 1 of 1"):
        job.result(timeout=1)
    with pytest.raises(InvalidRequest, match="budget steps 0 is below what is already spent: 1"):
        job.resume(budget={"steps": 0})
    assert job.status is JobStatus.FAILED

    outcomes = at_once(10, lambda _: resumed(job, {"steps": 3, "tool_calls": 4}))
    assert outcomes.count(True) == 1
    assert (job.status, job.spend.steps.free, job.spend.tool_calls.ceiling) == (JobStatus.RUNNING, 2, 4)
    assert do(front._client.command("TTL", f"sf:{{0}}:job:{job.id}")) == -1
    assert do(steps.claim(job.id, "a")).answer == "DONE"
    claim = do(steps.claim(job.id, "b"))
    assert (claim.answer, claim.inputs) == ("CLAIMED", {"a": {"ok": 1}})
    lease, calls = Lease(job.id, "b", claim.fence), CallStore(front._desk.jobs._scripts)
    begun = [do(calls.begin(lease, number, "p", "t.x", Cost())).answer for number in range(5)]
    assert begun == ["GO"] * 4 + ["OVER"]
    assert do(steps.commit(lease, DONE)).why == "succeeded"
    assert job.spend.tool_calls.reserved == 0


def test_a_job_goes_on_from_all_steps_that_its_deadline_stopped_and_from_the_one_that_failed(
    front: Orchestrator,
) -> None:
    late, failed = (front.submit(WISH, workflow="wish", budget={"seconds": 3_600}) for _ in range(2))
    scripts = front._desk.jobs._scripts
    steps = StepStore(scripts, 30, 600)
    for name in "ab":
        assert do(steps.claim(late.id, name)).answer == "CLAIMED"
    do(front._client.command("ZADD", keys.INDEXES["deadlines"], 1, late.id))
    assert do(SweepStore(scripts, 0.2, 600).sweep()).expired_jobs == 1
    perform(front, failed, "b", Ending("failed", {"kind": "x", "message": "x"}, "x"))
    assert [_stopped(job.record) for job in (late, failed)] == [["a", "b"], ["b"]]


def test_who_raises_what_others_have_raised_meanwhile_raises_the_rest(
    front: Orchestrator, monkeypatch: pytest.MonkeyPatch
) -> None:
    job = front.submit(WISH, workflow="line", budget={"steps": 0, "tool_calls": 1, "at_ceiling": "ask"})
    steps = StepStore(front._desk.jobs._scripts, 30, 600)
    claim = do(steps.claim(job.id, "a"))
    assert claim.over is not None
    assert do(steps.park(Lease(job.id, "a", claim.fence), [question("a", claim.over)])) == "OK"
    before = job.record

    async def as_it_was(_: AsyncJob) -> JobRecord:
        return before

    job.answer(steps=3)
    monkeypatch.setattr(AsyncJob, "record", as_it_was)
    job.resume(budget={"steps": 3, "tool_calls": 4})
    monkeypatch.undo()
    assert (job.spend.steps.ceiling, job.spend.tool_calls.ceiling) == (3, 4)


def resumed(job: Job, budget: dict[str, int]) -> bool:
    try:
        job.resume(budget=budget)
    except InvalidRequest:
        return False
    return True
