"""A fork takes over finished steps in a job of its own: new keys, its own budget, both jobs know of each other."""

import asyncio
import json
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from orchestrator import AsyncOrchestrator, Budget, BudgetExhausted, InvalidRequest, Job, JobFailed, Orchestrator
from orchestrator.status import StepState
from tests.support.ledger import effects
from tests.support.stage import Stage
from tests.support.waiting import wait_until

BED = {"item": "bed"}


def keys_of(played: Stage, job: Job) -> list[str]:
    return [key for key, _ in effects(played.ledger) if key.startswith(job.id)]


def test_a_fork_reuses_what_is_finished_and_does_the_rest_under_its_own_keys(played: Stage) -> None:
    first = played.app.submit(BED, workflow="journey", tenant="forker")
    first.result(90)
    job = first.fork(after=["flight", "hotel"], request={"item": "sofa"}, budget=Budget(tool_calls=2, steps=2))
    assert job.result(90) == {"flight": "flight bed-1", "hotel": "hotel bed-1", "table": "table sofa-1"}
    assert keys_of(played, job) == [f"{job.id}.table:2"]
    assert (job.spend.steps.spent, job.spend.tool_calls.spent, first.spend.tool_calls.spent) == (2, 2, 6)
    assert [(step.name, step.number, step.state) for step in job.steps] == [
        (step.name, step.number, StepState.SUCCEEDED) for step in first.steps
    ]
    assert (job.record.fields["forked_from"], first.record.fields["forks"]) == (first.id, job.id)
    assert job.record.fields["tenant"] == "forker"
    assert [event.step for event in job.events() if event.type == "started"] == ["table", "finish"]


def test_a_fork_of_a_grown_plan_adds_what_had_been_added(played: Stage) -> None:
    first = played.app.submit({**BED, "wide": 3}, workflow="growing")
    first.result(90)
    job = first.fork(after="flight-1")
    assert sorted(job.result(90)) == ["flight-0", "flight-1", "flight-2"]
    assert keys_of(played, job) == [f"{job.id}.flight-0:2", f"{job.id}.flight-2:2"]
    again = first.fork(after="growing", request={"wide": 1})
    assert sorted(again.result(90)) == ["flight-0", "flight-1", "flight-2"]


def test_a_failed_job_can_be_forked_and_a_fork_can_be_forked_and_resumed(played: Stage) -> None:
    first = played.app.submit(BED, workflow="broken")
    with pytest.raises(JobFailed):
        first.result(90)
    second = first.fork(after="begin", request={"item": "lamp"})
    with pytest.raises(JobFailed, match=r"at step 2 of 3 .* no lamp"):
        second.result(90)
    third = second.fork("begin", budget={"steps": 0})
    with pytest.raises(BudgetExhausted, match="steps 0 of 0"):
        third.result(90)
    third.resume({"steps": 5})
    with pytest.raises(JobFailed, match="no lamp"):
        third.result(90)


def test_what_cannot_be_forked_is_refused_and_nothing_is_stored(played: Stage) -> None:
    asks = played.app.submit(BED, workflow="asking")
    wait_until(lambda: asks.status == "waiting", "it asks")
    before = len(played.app.jobs(limit=1000))
    with pytest.raises(InvalidRequest, match=r"cannot be forked after 'asking': it is waiting; finished are none"):
        asks.fork(after="asking")
    with pytest.raises(InvalidRequest, match="has no step 'nobody'; it has asking, finish"):
        asks.fork(after="nobody")
    with pytest.raises(InvalidRequest, match="name one or more"):
        asks.fork(after=[])
    done = played.app.submit(BED, workflow="journey")
    done.result(90)
    with pytest.raises(InvalidRequest, match=r"nothing is left to do after .*: fork after an earlier step"):
        done.fork(after="finish")
    with pytest.raises(InvalidRequest, match="item: Input should be a valid string"):
        done.fork(after="begin", request={"item": 1})
    with pytest.raises(InvalidRequest, match="budget steps must be"):
        done.fork(after="begin", budget={"steps": -1})
    assert len(played.app.jobs(limit=1000)) == before + 1
    asks.cancel()


def test_the_same_key_is_the_same_fork_whoever_asks_and_however_often(played: Stage) -> None:
    source = played.app.submit(BED, workflow="journey", key="order-1")
    source.result(90)
    with ThreadPoolExecutor(10) as threads:
        asked = [threads.submit(source.fork, "begin", key="order-1-b") for _ in range(10)]
    forks = [one.result() for one in asked]
    assert len({fork.id for fork in forks}) == 1
    assert source.record.fields["forks"] == forks[0].id
    assert len(forks[0].result(90)) == 3
    assert source.fork(after="flight", key="order-1").id == source.id, "a key is one of all jobs of the tenant"
    with pytest.raises(InvalidRequest, match="key must be a text of 1 to 200 characters"):
        source.fork(after="begin", key="")


def test_the_tenants_ceilings_hold_for_a_fork_too(played: Stage) -> None:
    source = played.app.submit(BED, workflow="journey", tenant="thrifty")
    source.result(90)
    entries = played.folder / "tenants.json"
    entries.write_text(json.dumps({"thrifty": {"job": {"tool_calls": 1}}}))
    words: dict[str, Any] = {"redis_url": played.server.url, "broker_url": played.broker_url, "tenants": entries}
    app = Orchestrator(**words, workflows=("tests.support.flows",), trace=False)
    known = app.job(source.id)
    with pytest.raises(InvalidRequest, match="budget tool calls: this tenant's jobs may have at most 1"):
        known.fork(after="begin", budget=Budget(tool_calls=2))
    with pytest.raises(BudgetExhausted, match="tool calls 1 of 1"):
        known.fork(after="begin").result(90)
    app.close()


async def test_the_asyncio_twin_forks_too(played: Stage) -> None:
    app = AsyncOrchestrator(
        redis_url=played.server.url, broker_url=played.broker_url, workflows=("tests.support.flows",), trace=False
    )
    job = await app.submit(BED, workflow="journey")
    await job.result(90)
    forks = await asyncio.gather(*(job.fork(after="begin") for _ in range(5)))
    assert [len(await fork.result(90)) for fork in forks] == [3] * 5
    assert len((await job.record()).fields["forks"].split(",")) == 5
    await app.close()
