"""Jobs that ask, with real processes: people who answer at the same moment, approvals, deadlines, the command line."""

import json
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from orchestrator import InvalidRequest, Job
from orchestrator.state import keys
from orchestrator.state.client import without_loop as do
from orchestrator.status import JobStatus
from tests.support.ledger import attempts
from tests.support.stage import ROOT, Stage
from tests.support.waiting import wait_until

BED = {"item": "bed"}
SUREFOOT = str(Path(sys.executable).with_name("surefoot"))
ANSWER = """
import sys
from orchestrator import InvalidRequest, Orchestrator
job = Orchestrator().job(sys.argv[1])
print("ready", flush=True)
sys.stdin.readline()
try:
    job.answer(date=sys.argv[2], by=sys.argv[2])
    print("kept")
except InvalidRequest as error:
    print(error)
"""


def waits_for(job: Job, *fields: str) -> None:
    def asked() -> bool:
        return job.status is JobStatus.WAITING and {q.field.partition("-")[0] for q in job.questions} == {*fields}

    wait_until(asked, f"the job asks for {fields}")


def test_of_two_processes_that_answer_at_the_same_moment_one_is_heard(played: Stage) -> None:
    job = played.app.submit(BED, workflow="asking")
    waits_for(job, "date")
    words = [sys.executable, "-c", ANSWER, job.id]
    both = [
        subprocess.Popen([*words, day], cwd=ROOT, env=played.environment, stdin=-1, stdout=-1, text=True)
        for day in ("monday", "friday")
    ]
    for one in both:
        assert one.stdout is not None
        assert one.stdout.readline() == "ready\n"
    for one in both:
        assert one.stdin is not None
        one.stdin.write("now\n")
        one.stdin.flush()
    said = [one.communicate(timeout=60)[0].strip() for one in both]
    assert sorted(answer == "kept" for answer in said) == [False, True], said
    kept = "monday" if said[0] == "kept" else "friday"
    assert "answered before, with something else; the first answer stays" in said[said[0] == "kept"]
    job.result(90)
    assert job.record.step("asking").output["date"] == kept
    (answered,) = job.answered
    assert (answered.answer, answered.by) == (kept, kept)


def test_a_step_asks_all_at_once_then_for_approval_and_books_what_was_approved(played: Stage) -> None:
    job = played.app.submit(BED, workflow="careful")
    waits_for(job, "nights", "rooms")
    with pytest.raises(InvalidRequest, match='"many" is not of type "integer"'):
        job.answer(nights="many", rooms=1)
    job.answer({"nights": 2, "rooms": 1}, by="ann")
    waits_for(job, "approve")
    (asked,) = job.questions
    with pytest.raises(InvalidRequest, match='"yes" is not of type "boolean"'):
        job.answer({asked.id: "yes"})
    job.approve(asked.id, by="ben")
    assert job.result(90) == {"booked": "2 nights"}
    job.approve(asked.id, by="carl")
    with pytest.raises(InvalidRequest, match="answered before"):
        job.decline(asked.id)
    assert [(q.field.partition("-")[0], q.by) for q in job.answered][-1] == ("approve", "ben")
    assert len([key for key, _ in attempts(played.ledger) if key.startswith(job.id)]) == 1


def test_an_approval_that_nobody_gives_in_time_counts_as_declined(played: Stage) -> None:
    job = played.app.submit({**BED, "seconds": 3600}, workflow="careful")
    waits_for(job, "nights", "rooms")
    job.answer(nights=2, rooms=1)
    waits_for(job, "approve")
    (asked,) = job.questions
    time_is_over = f"{job.id} {asked.id}"
    do(played.app._client.command("ZADD", keys.INDEXES["deadlines"], 1, time_is_over))  # pyright: ignore[reportPrivateUsage]
    wait_until(lambda: not job.questions, "the sweeper answers")
    assert job.result(90) == {"booked": None}
    assert [(q.answer, q.by) for q in job.answered][-1] == (False, "deadline")


def test_the_command_line_asks_and_asks_again_for_what_does_not_fit(played: Stage) -> None:
    job = played.app.submit(BED, workflow="careful")
    waits_for(job, "nights", "rooms")

    def surefoot(*words: str, told: str = "") -> str:
        run = [SUREFOOT, *words]
        done = subprocess.run(
            run, cwd=ROOT, env=played.environment, input=told, capture_output=True, text=True, timeout=90, check=False
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    for worker in played.workers:  # or the next question might come in time to be asked as well
        worker.send_signal(signal.SIGSTOP)
    told = surefoot("answer", job.id, "--by", "ann", told="many\n2\n1\n")
    for worker in played.workers:
        worker.send_signal(signal.SIGCONT)
    assert '"many" is not of type "integer"' in told
    assert told.count("how many nights?") == 2
    waits_for(job, "approve")
    surefoot("decline", job.id, job.questions[0].id, "--by", "ben")
    assert job.result(90) == {"booked": None}
    shown = json.loads(surefoot("show", job.id, "--json"))["answered"]
    assert [(one["answer"], one["by"]) for one in shown[:2]] == [(2, "ann"), (1, "ann")]
    assert "by ben" in surefoot("show", job.id)
