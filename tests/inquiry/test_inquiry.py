"""Tools that ask people before they go on (MCP input_required): real servers, real workers, and everybody killed."""

import json
from typing import Any

import pytest

from orchestrator import InvalidRequest, Job, JobCancelled, JobFailed
from orchestrator.budget import Budget
from orchestrator.errors import BudgetExhausted
from orchestrator.state import keys
from orchestrator.state.client import SyncClient
from orchestrator.state.client import without_loop as do
from orchestrator.status import JobStatus
from orchestrator.telemetry import names
from tests.inquiry.conftest import House
from tests.support.waiting import wait_until

pytestmark = pytest.mark.xdist_group("inquiry")
ROOM: dict[str, Any] = {"room": "double", "nights": 2}


def spans(job: Job, tool: str) -> list[dict[str, Any]]:
    """The spans of a tool's calls, in the order they began."""
    found = [json.loads(text) for text in job.spans]
    return sorted((one for one in found if one["name"] == f"execute_tool {tool}"), key=lambda one: one["start_ns"])


def kept_state(house: House, job: Job, number: int) -> str:
    """The request state as the record keeps it."""
    client = SyncClient(house.stage.server.url)
    try:
        stored = json.loads(do(client.command("HGET", keys.calls(job.id), f"guest:{number}:out")))
    finally:
        client.close()
    return stored["request_state"]


def test_calls_go_on_after_worker_tool_servers_and_valkey_were_all_killed(house: House) -> None:
    over_http, over_stdio = house.submit("inn.bargain"), house.submit("cellar.reserve")
    asked, other = house.waits(over_http), house.waits(over_stdio)
    assert (asked.id, asked.step, asked.details) == ("guest:1/ask-1", "guest", {"tool": "inn.bargain"})
    assert asked.prompt == "Which room for bed? \ufffd\ufffd[31m", "nothing that steers a terminal"
    assert asked.schema["properties"]["room"]["enum"] == ["single", "double"]
    assert "how many nights?" in house.surefoot("show", over_http.id)

    house.stage.kill(house.stage.workers[-1])
    house.stage.kill(house.inn)
    house.stage.server.kill()
    house.stage.server.start()
    house.open_inn()
    house.worker()

    house.surefoot("answer", over_http.id, "room=double", "nights=2", "--by", "ann")
    told = house.surefoot("answer", over_stdio.id, told="y\nsuite\n2\n\ny\nsingle\n3\n\n")
    assert '"suite" is not one of' in told
    wait_until(lambda: [q.id for q in over_http.questions] == ["guest:2/ask-2"], "it asks a second time")
    assert house.waits(over_http).prompt == "How much for 2 nights, bed?"
    over_http.answer(most=90)
    assert over_http.result(60)["said"] == {"said": "bed/double/2/90", "key": f"{over_http.id}.guest:3"}
    assert over_stdio.result(60)["said"] == {"said": "bed/single/3", "key": f"{over_stdio.id}.guest:2"}
    assert [len(house.lines("done", job)) for job in (over_http, over_stdio)] == [1, 1]
    assert [job.spend.tool_calls.spent for job in (over_http, over_stdio)] == [3, 2]
    assert [(q.id, q.answer, q.by) for q in over_http.answered] == [
        (asked.id, ROOM, "ann"), ("guest:2/ask-2", {"most": 90}, ""),
    ]  # fmt: skip
    assert other.id == asked.id


def test_the_trace_shows_question_and_continuation_and_nobody_sees_secret_or_state(house: House) -> None:
    job = house.submit("inn.reserve")
    house.waits(job)
    state = kept_state(house, job, 1)
    job.answer({**ROOM, "password": "hunter2hunter2"})
    job.result(60)
    wait_until(lambda: len(spans(job, "inn.reserve")) == 3, "asked, replayed, gone on with")
    first, again, last = [one["attributes"] for one in spans(job, "inn.reserve")]
    assert [one[names.DEDUP_KEY][-2:] for one in (first, again, last)] == [":1", ":1", ":2"]
    assert [one[names.OUTCOME] for one in (first, again, last)] == ["waiting", "waiting", "succeeded"]
    assert (first.get(names.REPLAYED), again[names.REPLAYED], last[names.REPLAYED]) == (None, True, False)
    assert names.ANSWERS not in first
    assert '"room": "double"' in last[names.ANSWERS]
    (event,) = spans(job, "inn.reserve")[0]["events"]
    assert (event["name"], event["attributes"]["prompt"][:19]) == ("surefoot.asked", "Which room for bed?")

    shown = house.surefoot("show", job.id) + house.surefoot("show", job.id, "--json")
    everything = shown + house.surefoot("trace", job.id) + "".join(map(str, [*job.spans, *job.events(), *job.calls]))
    assert "double" in shown
    assert "hunter2" not in everything
    assert len(state) > 100
    assert state[:40] not in everything


def test_what_does_not_fit_is_refused_and_an_answer_counts_once(house: House) -> None:
    job = house.submit("inn.reserve")
    asked = house.waits(job)
    for wrong, why in (
        ({"room": "suite", "nights": 2}, '"suite" is not one of'),
        ({"room": "double", "nights": "two"}, '"two" is not of type "integer"'),
        ({"room": "double"}, '"nights" is a required property'),
        ({"room": "double", "nights": 0}, "less than the minimum of 1"),
        ({asked.id: {**ROOM, "colour": "red"}}, "'colour' was unexpected"),
        ({asked.id: True}, 'true is not of type "object"'),
        ({"colour": "red"}, "does not ask for 'colour'; it asks for ask-1"),
    ):
        with pytest.raises(InvalidRequest, match=why):
            job.answer(wrong)
    with pytest.raises(InvalidRequest, match="asks for form: use answer"):
        job.approve(asked.id)
    assert house.waits(job) == asked
    job.answer(ROOM, by="ann")
    job.answer(nights=2, room="double")
    job.answer({asked.id: ROOM})
    for other in ({**ROOM, "nights": 3}, {asked.id: False}):
        with pytest.raises(InvalidRequest, match="answered before, with something else; the first answer stays"):
            job.answer(other)
    assert job.result(60)["said"]["said"] == "bed/double/2"
    job.answer(ROOM)
    assert [(q.answer, q.by) for q in job.answered] == [(ROOM, "ann")]
    assert len(house.lines("done", job)) == 1


def test_declined_and_not_chosen_are_told_to_the_tool(house: House) -> None:
    declined, dropped = house.submit("inn.reserve"), house.submit("inn.reserve")
    house.surefoot("decline", declined.id, house.waits(declined).id, "--by", "ben")
    declined.decline("guest:1/ask-1")
    dropped.answer({house.waits(dropped).id: None})
    for job, action in (declined, "decline"), (dropped, "cancel"):
        with pytest.raises(JobFailed, match=f"rejected: inn.reserve: .*elicitation was {action}"):
            job.result(60)
        assert not house.lines("done", job)
        assert job.spend.tool_calls.spent == 2


def test_each_round_is_a_call_of_the_budget_and_a_resumed_job_asks_nothing_twice(house: House) -> None:
    job = house.submit("inn.bargain", budget=Budget(tool_calls=2))
    house.waits(job)
    job.answer(ROOM)
    wait_until(lambda: "guest:2/ask-2" in {q.id for q in job.questions}, "the second round is asked")
    job.answer(most=90)
    with pytest.raises(BudgetExhausted, match="tool calls 2 of 2"):
        job.result(60)
    assert (job.spend.tool_calls.spent, job.spend.tool_calls.reserved) == (2, 0)
    job.resume(Budget(tool_calls=3))
    assert job.result(60)["said"]["said"] == "bed/double/2/90"
    assert job.spend.tool_calls.spent == 3
    assert [line[0][-2:] for line in house.lines("visit", job)] == [":1", ":2", ":3"], "each round is sent once"


def test_calls_side_by_side_and_the_step_itself_ask_at_once(house: House) -> None:
    job = house.submit("", "pair")
    ann, ben = house.waits(job, times=2)
    assert [question.field for question in job.questions] == ["name", ann.field, ben.field]
    assert {ann.prompt[15:18], ben.prompt[15:18]} == {"ann", "ben"}
    with pytest.raises(InvalidRequest, match="2 forms ask for 'room'; answer one by its id: couple:"):
        job.answer(ROOM)
    job.answer({ann.id: ROOM, ben.field: {**ROOM, "nights": 5}, "name": "x"})
    said = job.result(60)
    assert {said["ann"][:3], said["ben"][:3], said["name"]} == {"ann", "ben", "x"}
    assert {said["ann"][-1], said["ben"][-1]} == {"2", "5"}
    assert len(house.lines("done", job)) == 2
    assert job.spend.tool_calls.spent == 4


def test_a_call_that_was_approved_is_not_asked_for_a_yes_again_when_it_goes_on(house: House) -> None:
    job = house.submit("", "guarded-visit")
    job.approve(house.waits(job, "approval").id)
    wait_until(lambda: "guarded:1/ask-1" in {q.id for q in job.questions}, "the tool asks, once it was called")
    job.answer(ROOM)
    assert job.result(60)["said"] == "bed/double/2"
    assert [question.kind for question in job.answered] == ["approval", "form"]


def test_a_page_to_visit_and_a_form_without_a_field_are_approved_or_declined(house: House) -> None:
    jobs = {"accept": house.submit("inn.sign"), "decline": house.submit("inn.sign")}
    paying = house.submit("inn.pay", arguments={"amount": 7})
    for action, job in jobs.items():
        asked = house.waits(job, "approval")
        assert (asked.prompt, asked.details["url"]) == ("Sign for bed", "https://inn.example/sign?item=bed")
        job.approve(asked.id) if action == "accept" else job.decline(asked.id)
        assert job.result(60)["said"] == {"signed": action}
        assert house.lines("signed", job) == [[f"{job.id}.guest:2", action, "None", "page", "1"]]
    asked = house.waits(paying, "approval")
    assert asked.prompt == "Really pay 7?"
    paying.approve(asked.id)
    assert paying.result(60)["said"] == {"said": "7", "key": f"{paying.id}.guest:1"}, "the argument stays as it was"


def test_who_wants_to_be_called_again_is_and_what_no_person_can_say_is_refused(house: House) -> None:
    queued, snooping = house.submit("inn.queue"), house.submit("inn.snoop")
    assert queued.result(60)["said"] == {"served": "bed"}
    assert queued.spend.tool_calls.spent == 2
    with pytest.raises(JobFailed, match="nobody can be asked: roots/list is not supported, only elicitation is"):
        snooping.result(60)


def test_while_it_waits_the_clock_stands_still_and_it_can_be_forked_and_cancelled(house: House) -> None:
    job = house.submit("inn.reserve", budget=Budget(seconds=600))
    house.waits(job)
    assert 500_000 < int(job.record.fields["clock_left"]) < 600_000
    forked = job.fork(after="arrive")
    house.waits(forked)
    assert job.cancel() is JobStatus.CANCELLED
    with pytest.raises(InvalidRequest, match="cancelled"):
        job.answer(ROOM)
    with pytest.raises(JobCancelled):
        job.result(60)
    assert not job.undo.steps, "nothing has happened"
    forked.answer(ROOM)
    assert forked.result(60)["said"] == {"said": "bed/double/2", "key": f"{forked.id}.guest:2"}
    assert [len(house.lines("done", each)) for each in (job, forked)] == [0, 1]


def test_what_was_gone_on_with_is_undone_and_a_tool_that_asks_meanwhile_is_listed(house: House) -> None:
    job = house.submit("inn.bargain", "regret")
    house.waits(job)
    job.answer(ROOM)
    wait_until(lambda: "guest:2/ask-2" in {q.id for q in job.questions}, "the second round is asked")
    job.answer(most=90)
    with pytest.raises(JobFailed, match="no more"):
        job.result(60)
    assert [(one["tool"], one["why"]) for one in job.undo.left] == [
        ("inn.sign", "it asks people first: Sign for undone")
    ]


def test_a_continuation_under_way_at_the_cancellation_is_cleared_up_with_its_key(house: House) -> None:
    slow = house.log.with_name("slow")
    job = house.submit("inn.reserve")
    house.waits(job)
    slow.touch()
    job.answer(ROOM)
    wait_until(lambda: house.lines("done", job), "the effect is there, its answer is not")
    job.cancel()
    slow.unlink()
    with pytest.raises(JobCancelled):
        job.result(60)
    wait_until(lambda: not job.undo.pending, "it is undone as far as it can be")
    assert [one["tool"] for one in job.undo.left] == ["inn.sign"], "its specialist said how, after what was on record"
    assert len(house.lines("done", job)) == 1


def test_the_example_of_the_document_is_asked_by_its_field(house: House) -> None:
    job = house.submit("hotel.reserve", arguments={"city": "Graz"})
    assert house.waits(job).prompt == "Which room in Graz?"
    job.answer(room="double", nights=2)
    assert job.result(60)["said"] == {"reserved": "double in Graz, 2 nights"}
