"""Jobs from end to end: a real server, a real worker process, the public API."""

import asyncio

import pytest
from redis import Redis

from orchestrator import (
    AsyncOrchestrator,
    Budget,
    BudgetExhausted,
    InvalidRequest,
    JobCancelled,
    JobFailed,
    WaitingForInput,
)
from orchestrator.status import JobStatus, StepState
from tests.support.ledger import attempts, effects
from tests.support.stage import Stage
from tests.support.valkey import calls
from tests.support.waiting import wait_until

BED = {"item": "bed"}


def keys_of(played: Stage, job_id: str) -> list[str]:
    return [key for key, _ in effects(played.ledger) if key.startswith(job_id)]


def test_a_trip_runs_its_steps_and_books_each_thing_once(played: Stage) -> None:
    job = played.app.submit(BED, workflow="journey", budget=Budget(tool_calls=6, steps=5))

    assert job.result(90) == {"flight": "flight bed-1", "hotel": "hotel bed-1", "table": "table bed-1"}
    assert job.status is JobStatus.SUCCEEDED
    assert keys_of(played, job.id) == [f"{job.id}.{name}:2" for name in ("flight", "hotel", "table")]
    assert (job.spend.tool_calls.spent, job.spend.tool_calls.reserved) == (6, 0)
    assert [step.name for step in job.steps] == ["begin", "flight", "hotel", "table", "finish"]
    assert {step.state for step in job.steps} == {StepState.SUCCEEDED}


def test_who_waits_for_a_result_does_not_read_the_whole_record_at_every_event(played: Stage) -> None:
    job = played.app.submit({**BED, "seconds": 0.2}, workflow="journey")
    wait_until(lambda: job.steps[0].attempts, "it runs")
    with Redis(unix_socket_path=str(played.server.socket)) as redis:
        before = calls(redis, "hgetall")
        job.result(90)
        assert calls(redis, "hgetall") - before < 8, f"reads for {len(list(job.events()))} events"


def test_events_are_replayed_from_the_start_and_behind_any_event(played: Stage) -> None:
    job = played.app.submit(BED, workflow="journey")
    live = list(job.events())

    assert live == list(job.events())
    assert (live[0].type, live[-1].type) == ("opened", "succeeded")
    assert list(job.events(after=live[5].id)) == live[6:]


def test_the_same_tenant_and_key_is_the_same_job(played: Stage) -> None:
    first = played.app.submit(BED, workflow="journey", tenant="a:{b}\n", key="order-1")

    assert played.app.submit(BED, workflow="journey", tenant="a:{b}\n", key="order-1").id == first.id
    assert played.app.submit(BED, workflow="journey", tenant="a:{b}", key="order-1").id != first.id


@pytest.mark.parametrize("wide", [1, 3, 20])
def test_stages_that_follow_each_other_in_parallel_all_run(played: Stage, wide: int) -> None:
    job = played.app.submit({**BED, "wide": wide}, workflow="two-waves")

    job.result(90)
    assert [step.state for step in job.steps] == [StepState.SUCCEEDED] * 2 * wide


def test_a_thousand_steps_side_by_side_are_joined_once(played: Stage) -> None:
    job = played.app.submit({**BED, "wide": 1_000}, workflow="wide")

    assert len(job.result(90)) == 1_000
    assert sum(event.type == "started" and event.step == "finish" for event in job.events()) == 1


def test_what_is_unavailable_is_tried_again_and_finished_calls_are_replayed(played: Stage) -> None:
    job = played.app.submit({**BED, "times": 3}, workflow="flaky", budget=Budget(tool_calls=10))

    assert job.result(90) == {"booked": "bed"}
    tried = [item for key, item in attempts(played.ledger) if key.startswith(job.id)]
    assert tried == ["before", *["bed"] * 4]
    assert job.spend.tool_calls.spent == 2  # three were certainly not executed, the rest were replays
    assert job.steps[0].attempts == 4


def test_an_optional_specialist_that_fails_is_left_out(played: Stage) -> None:
    job = played.app.submit(BED, workflow="degrading")

    assert job.result(90) == {"flight": "flight bed-1"}
    assert job.steps[0].state is StepState.FAILED
    assert job.steps[0].error == {"kind": "rejected", "message": "desk.refuse: ValueError: sold out"}


def test_a_failed_job_says_where_and_keeps_what_it_finished(played: Stage) -> None:
    job = played.app.submit(BED, workflow="broken")

    with pytest.raises(JobFailed, match=r"at step 2 of 3 \(broken\): unhandled: RuntimeError: no bed") as caught:
        job.result(90)
    assert (caught.value.reason, caught.value.step) == ("step", "broken")
    assert [step.state for step in job.steps] == [StepState.SUCCEEDED, StepState.FAILED, StepState.SKIPPED]


def test_an_output_that_does_not_fit_its_type_fails_the_step(played: Stage) -> None:
    with pytest.raises(JobFailed, match=r"the output is no Booked: item: Input should be a valid string"):
        played.app.submit(BED, workflow="wrong").result(90)


def test_an_output_that_could_not_be_read_again_fails_the_step(played: Stage) -> None:
    with pytest.raises(
        JobFailed, match=r"step 1 of 2 \(vast\): invalid data: the output is not JSON: Exceeds the limit"
    ):
        played.app.submit(BED, workflow="vast").result(90)


def test_a_step_that_asks_parks_the_job_and_goes_on_where_it_was(played: Stage) -> None:
    job = played.app.submit(BED, workflow="asking")
    wait_until(lambda: job.status is JobStatus.WAITING, "the job waits")

    with pytest.raises(WaitingForInput, match="which day"):
        job.result(90)
    assert [question.field for question in job.questions] == ["date"]
    job.answer(date="2027-03-12")

    job.result(90)
    assert job.record.step("asking").output == {"first": "before the question", "date": "2027-03-12"}
    assert len(keys_of(played, job.id)) == 1
    assert len([key for key, _ in attempts(played.ledger) if key.startswith(job.id)]) == 1


def test_missing_fields_are_asked_before_anything_runs(played: Stage) -> None:
    job = played.app.submit({}, workflow="journey")

    assert job.status is JobStatus.WAITING
    assert [(question.field, question.example) for question in job.questions] == [("item", "bed")]
    with pytest.raises(InvalidRequest, match="valid string"):
        job.answer(item=3)
    job.answer(item="bed")
    assert job.result(90)["hotel"] == "hotel bed-1"


def test_a_plan_grows_at_a_commit(played: Stage) -> None:
    job = played.app.submit({**BED, "wide": 5}, workflow="growing")

    assert sorted(job.result(90)) == [f"flight-{i}" for i in range(5)]
    assert [step.number for step in job.steps] == list(range(1, 8))
    assert job.steps[-1].name == "finish"


def test_a_ceiling_stops_the_job_exactly_there_and_resume_goes_on(played: Stage) -> None:
    job = played.app.submit(BED, workflow="journey", budget=Budget(tool_calls=4))

    with pytest.raises(BudgetExhausted, match=r"step \d of 5 .*tool calls 4 of 4"):
        job.result(90)
    assert (job.spend.tool_calls.spent, job.spend.tool_calls.reserved) == (4, 0)

    job.resume(budget=Budget(tool_calls=6))
    assert job.result(90)["table"] == "table bed-1"
    assert job.spend.tool_calls.spent == 6
    assert (
        len(keys_of(played, job.id)) == len([key for key, _ in attempts(played.ledger) if key.startswith(job.id)]) == 3
    )


def test_a_tool_may_have_a_ceiling_of_its_own(played: Stage) -> None:
    job = played.app.submit(BED, workflow="journey", budget=Budget(tool_calls=50, tools={"desk.bo*": 2}))
    with pytest.raises(BudgetExhausted, match=r"budget: calls of desk.bo\* 2 of 2"):
        job.result(90)
    assert len(keys_of(played, job.id)) == 2
    assert job.spend.tools["desk.bo*"].spent == 2
    job.resume({"tools": {"desk.bo*": 3}})
    assert len(job.result(90)) == 3
    assert len(keys_of(played, job.id)) == 3


def test_a_deadline_stops_what_runs(played: Stage) -> None:
    job = played.app.submit({**BED, "seconds": 20}, workflow="slow", budget=Budget(seconds=0.5))

    with pytest.raises(JobFailed, match="deadline") as caught:
        job.result(90)
    assert caught.value.reason == "deadline"


def test_cancel_stops_a_running_step(played: Stage) -> None:
    job = played.app.submit({**BED, "seconds": 20}, workflow="slow")
    wait_until(lambda: job.status is JobStatus.RUNNING, "the job runs")

    assert job.cancel() is JobStatus.CANCELLED
    assert job.cancel() is JobStatus.CANCELLED
    with pytest.raises(JobCancelled):
        job.result(90)


def test_each_queued_step_of_a_job_that_has_ended_costs_a_claim_and_no_look_at_the_record(played: Stage) -> None:
    """260 steps of 60 s each: at most 200 run at once, the others are still queued when the job ends."""
    job = played.app.submit({**BED, "seconds": 60, "wide": 260}, workflow="crowded")
    with Redis(unix_socket_path=str(played.server.socket)) as redis:
        before = calls(redis, "hgetall")
        job.cancel()
        behind = played.app.submit(BED, workflow="slow")
        wait_until(
            lambda: behind.status is JobStatus.SUCCEEDED, "the worker is through with all that was queued before"
        )
        assert calls(redis, "hgetall") - before < 8
    assert {step.state for step in job.steps} == {"skipped"}
    assert job.spend.steps.spent <= 200


def test_a_step_that_blocks_the_loop_is_reported_with_its_stack_and_keeps_its_lease(played: Stage) -> None:
    job = played.app.submit({**BED, "seconds": 2.5}, workflow="blocking")

    job.result(90)
    assert job.steps[0].attempts == 1, "its lease of 1.5 s is kept meanwhile, by a thread of its own"
    assert b"blocks the event loop" in played.log()
    assert b"time.sleep(request.seconds)" in played.log()


def test_an_unknown_specialist_is_refused_at_submit(played: Stage) -> None:
    before = {job.id for job in played.app.jobs()}

    with pytest.raises(InvalidRequest, match="unknown specialist 'nobody'; known: "):
        played.app.submit(BED, workflow="unknown")
    assert {job.id for job in played.app.jobs()} == before


def test_jobs_are_found_by_status_and_tenant(played: Stage) -> None:
    job = played.app.submit(BED, workflow="journey", tenant="finder")
    job.result(90)

    assert [found.id for found in played.app.jobs(status="succeeded", tenant="finder")] == [job.id]
    assert played.app.jobs(status="failed", tenant="finder") == []
    assert played.app.job(job.id).result() == job.result()


async def test_the_asyncio_twin_has_the_same_methods(played: Stage) -> None:
    app = AsyncOrchestrator(
        redis_url=played.server.url, broker_url=played.broker_url, workflows=("tests.support.flows",), trace=False
    )
    jobs = await asyncio.gather(*(app.submit(BED, workflow="journey") for _ in range(20)))

    results = await asyncio.gather(*(job.result(90) for job in jobs))
    assert all(result["flight"] == "flight bed-1" for result in results)
    assert [event.type async for event in jobs[0].events()][-1] == "succeeded"
    assert await (await app.job(jobs[0].id)).status() is JobStatus.SUCCEEDED
    await app.close()
