"""What a job did is undone when it is cancelled, or fails and its workflow says so: newest first, each thing once."""

import itertools

import pytest

from orchestrator import InvalidRequest, Job, JobCancelled, JobFailed
from tests.support.ledger import attempts, effects
from tests.support.stage import Stage
from tests.support.waiting import wait_until

ITEMS = (f"bed-{n}" for n in itertools.count())
on_one_broker = pytest.mark.parametrize("played", ["redis"], indirect=True)
"""What takes seconds, and no message has a part in it."""


def waiting(played: Stage, workflow: str, **wish: object) -> tuple[Job, str]:
    """A job that has booked, and asks."""
    item = next(ITEMS)
    job = played.app.submit({"item": item, **wish}, workflow=workflow)
    wait_until(lambda: job.status == "waiting", f"the job asks: {job.steps}")
    return job, item


def under_way(played: Stage, workflow: str, what: str, **wish: object) -> tuple[Job, str]:
    """A job whose call for `what` has arrived and is not answered."""
    item = next(ITEMS)
    job = played.app.submit({"item": item, "seconds": 1.0, **wish}, workflow=workflow)
    wait_until(lambda: f"{item} {what}" in sent(played, item), "the call is under way")
    return job, item


def sent(played: Stage, item: str) -> list[str]:
    """What reached the tools, in order."""
    return [what for _, what in attempts(played.ledger) if item in what.split()]


def done(played: Stage, item: str) -> list[str]:
    """Every effect there is."""
    return sorted(what for _, what in effects(played.ledger) if item in what.split())


def ends(job: Job) -> str:
    """What its result says when all is undone."""
    with pytest.raises((JobCancelled, JobFailed)) as caught:
        job.result(60)
    assert not job.undo.pending
    return str(caught.value)


def test_a_cancelled_job_is_undone_newest_first_each_thing_once(played: Stage) -> None:
    job, item = waiting(played, "bookings")
    assert job.cancel() == "cancelled"
    said = ends(job)
    assert "undone: 4" in said
    assert "NOT" not in said
    undone = [what for what in sent(played, item) if what.startswith("no ")]
    assert undone[-1] == f"no {item} one"
    assert undone.index(f"no {item} two-2") + 1 == undone.index(f"no {item} two-1")
    assert (
        sorted(undone) == done(played, item)[4:] == [f"no {item} {name}" for name in ("one", "side", "two-1", "two-2")]
    )
    keys = {key for key, what in effects(played.ledger) if what.startswith(f"no {item}")}
    assert {key.rpartition(":")[0] for key in keys} == {f"{job.id}.undo~{name}" for name in ("one", "side", "two")}
    assert (job.spend.undo.spent, job.spend.undo.reserved, job.spend.tool_calls.spent) == (4, 0, 4)
    assert job.status == "cancelled"
    assert [event.type for event in job.events()][-1] == "undo_ended"


def test_a_plan_that_grew_is_undone_too(played: Stage) -> None:
    job, item = waiting(played, "grown")
    job.cancel()
    assert "undone: 2" in ends(job)
    assert [what for what in done(played, item) if what.startswith("no")] == [
        f"no {item} grown-a",
        f"no {item} grown-b",
    ]


def test_a_step_without_a_checkpoint_is_undone_by_what_is_on_record(played: Stage) -> None:
    job, item = waiting(played, "half")
    job.cancel()
    assert "undone: 1" in ends(job)
    assert sorted(sent(played, item)) == done(played, item) == [f"{item} first", f"no {item} first"]


def test_a_call_that_was_cut_off_is_cleared_up_with_its_own_key_and_undone(played: Stage) -> None:
    job, item = under_way(played, "torn", "cut-off")
    job.cancel()
    assert "undone: 2" in ends(job)
    both = [f"{item} cut-off", f"{item} quick"]
    assert done(played, item) == sorted([*both, *(f"no {what}" for what in both)])
    assert f"{item} never" not in sent(played, item)
    assert {key for key, what in attempts(played.ledger) if what == f"{item} cut-off"} == {f"{job.id}.torn:2"}


def test_what_nobody_can_tell_of_is_listed_and_all_else_is_undone(played: Stage) -> None:
    job, item = under_way(played, "wiring", "wire")
    job.cancel()
    said = ends(job)
    assert "undone: 1; NOT undone: desk.wire" in said
    assert "of wiring: in doubt: did desk.wire happen?" in said
    assert sent(played, item).count(f"{item} wire") == 1
    assert [(one["step"], one["tool"]) for one in job.undo.left] == [("wiring", "desk.wire")]


def test_a_no_is_listed_and_older_things_are_still_undone(played: Stage) -> None:
    job, item = waiting(played, "bookings", tool="desk.refuse")
    job.cancel()
    said = ends(job)
    assert "undone: 0" in said
    assert said.count("NOT undone: desk.refuse") == 4
    assert f"ValueError: {item} one is gone" in said
    left = [event.data["left"] for event in job.events() if event.type == "undone"]
    assert [len(each) for each in left] == [
        len(each["left"]) for each in (e.data for e in job.events() if e.type == "undone")
    ]
    assert sum(len(each) for each in left) == 4


def test_what_is_unavailable_is_tried_again(played: Stage) -> None:
    job, item = waiting(played, "half", tool="desk.flaky")
    job.cancel()
    assert "undone: 1" in ends(job)
    assert sent(played, item).count(f"no {item} first") == 3
    assert done(played, item).count(f"no {item} first") == 1


def test_a_specialist_that_asks_for_something_else_each_time_is_listed(played: Stage) -> None:
    job, _ = waiting(played, "whimsical")
    job.cancel()
    assert "NOT undone: desk.book call 1 of whimsical: the specialist did not ask for it again" in ends(job)


def test_a_booking_of_which_nothing_was_said_is_listed_and_its_job_can_be_forked_behind_it(played: Stage) -> None:
    job, item = waiting(played, "unsaid")
    job.cancel()
    assert "undone: 0; NOT undone: desk.book call 1 of silent: its specialist did not say how (on_rollback)" in ends(
        job
    )
    assert job.fork(after="silent").cancel() == "cancelled"
    assert done(played, item) == [f"{item} silent"]


def test_what_is_said_of_one_of_two_bookings_is_told(played: Stage) -> None:
    job, item = waiting(played, "partial")
    job.cancel()
    said = ends(job)
    assert (
        "NOT undone: desk.book calls 1, 2 of partial: these had effects, and its specialist said on_rollback for 1"
        in said
    )
    assert done(played, item) == [f"{item} said", f"{item} unsaid", f"no {item} said"]
    assert [event.data["left"][0]["calls"] for event in job.events() if event.type == "undone"] == [[1, 2]]


@on_one_broker
def test_what_is_said_slowly_beside_a_question_is_undone(played: Stage) -> None:
    job, item = waiting(played, "hesitant", seconds=1.0)
    job.cancel()
    said = ends(job)
    assert "undone: 1" in said
    assert "NOT" not in said
    assert done(played, item) == [f"{item} slowly", f"no {item} slowly"]


@on_one_broker
def test_what_is_said_too_slowly_is_listed(played: Stage) -> None:
    job, item = under_way(played, "hesitant", "slowly", seconds=60.0)
    job.cancel()
    why = "its specialist did not say how (on_rollback); its code was left where it came no further"
    assert f"undone: 0; NOT undone: desk.book call 1 of hesitant: {why}" in ends(job)
    assert done(played, item) == [f"{item} slowly"]


def test_what_is_slow_while_nobody_waits_is_waited_for(played: Stage) -> None:
    job, item = waiting(played, "polling")
    job.cancel()
    said = ends(job)
    assert "undone: 2" in said
    assert "NOT" not in said
    assert [what for what in sent(played, item) if what.startswith("no ")] == [f"no {item} later", f"no {item} soon"]


def test_branches_that_all_wait_are_not_called_slow(played: Stage) -> None:
    job, _ = waiting(played, "forked")
    job.cancel()
    said = ends(job)
    assert "NOT undone: desk.book call 1 of forked: its specialist did not say how (on_rollback); its code was" in said
    assert "slow" not in said


@on_one_broker
def test_what_was_said_before_something_slow_is_undone_without_waiting_for_it(played: Stage) -> None:
    job, item = under_way(played, "dozing", "dozing")
    job.cancel()
    said = ends(job)
    assert "undone: 1" in said
    assert "NOT" not in said
    assert done(played, item) == [f"{item} dozing", f"no {item} dozing"]


@pytest.mark.parametrize(("workflow", "reason"), [("failing", "step"), ("late", "deadline")])
def test_a_failed_job_is_undone_if_its_workflow_says_so(played: Stage, workflow: str, reason: str) -> None:
    item = next(ITEMS)
    job = played.app.submit({"item": item}, workflow=workflow, budget={"seconds": 2.0 if reason == "deadline" else 60})
    said = ends(job)
    assert "undone: 2" in said
    assert (job.status, job.record.fields["reason"]) == ("failed", reason)
    assert len(done(played, item)) == 4
    with pytest.raises(InvalidRequest, match="it failed, and what it had done was undone, or is being undone"):
        job.resume()


def test_a_failed_job_keeps_what_it_did_if_not(played: Stage) -> None:
    item = next(ITEMS)
    job = played.app.submit({"item": item}, workflow="kept")
    assert "undone" not in ends(job)
    assert len(done(played, item)) == 2
    assert job.undo.steps == ()


def test_a_job_that_did_nothing_has_nothing_to_undo(played: Stage) -> None:
    job = played.app.submit({"item": next(ITEMS)}, workflow="dawdling")
    wait_until(lambda: job.status == "running", "it runs")
    assert job.cancel() == job.cancel() == "cancelled"
    assert "undone" not in ends(job)
    assert [event.type for event in job.events()][-1] == "cancelled"


def test_cancelling_again_while_it_is_undone_changes_nothing(played: Stage) -> None:
    job, item = waiting(played, "bookings")
    assert {str(job.cancel()) for _ in range(5)} == {"cancelled"}
    ends(job)
    assert job.cancel() == "cancelled"
    assert len(done(played, item)) == len(sent(played, item)) == 8
    with pytest.raises(
        InvalidRequest,
        match=r"only a failed job can be resumed; job .* is cancelled: a cancelled job is undone; submit",
    ):
        job.resume()
