"""SIGKILL of the worker between a tool's question and the park, and between a person's answer and the last settle."""

import signal
from pathlib import Path

import pytest

from orchestrator import Job
from tests.crash.matrix import Theatre
from tests.inquiry.conftest import House
from tests.support.waiting import wait_until
from tools.testing import FaultServer

pytestmark = pytest.mark.xdist_group("inquiry")
ROOM = {"room": "double", "nights": 2}


@pytest.fixture(scope="module")
def theatre(house: House, tmp_path_factory: pytest.TempPathFactory) -> Theatre:
    """Of which only the arming is used: its fault server is not started."""
    faults = FaultServer(tmp_path_factory.mktemp("faults"))
    return Theatre(house.stage, house.app, faults, Path(house.stage.environment["TEST_ARMED"]))


def dies(house: House, theatre: Theatre) -> None:
    wait_until(theatre.reached, "the boundary is reached")
    wait_until(lambda: house.stage.workers[-1].poll() is not None, "it is dead")
    house.worker()


def ends(house: House, job: Job, sends: int) -> None:
    """One effect, one question, and every sending paid."""
    kinds = [(event.type, event.step) for event in job.events()]
    assert kinds.count(("question", "victim")) == 1
    assert len(house.lines("done", job)) == 1
    assert (job.spend.tool_calls.spent, job.spend.tool_calls.reserved) == (sends, 0)


@pytest.mark.parametrize(("boundary", "sends"), [("answer received", 3), ("settled", 2)])
def test_a_question_that_a_killed_worker_was_told_is_asked_once(
    house: House, theatre: Theatre, boundary: str, sends: int
) -> None:
    theatre.arm(boundary, "group", signal.SIGKILL)
    job = house.submit("inn.reserve", "struck-visit")
    dies(house, theatre)
    house.waits(job)
    assert [line[0] for line in house.lines("visit", job)] == (sends - 1) * [f"{job.id}.victim:1"]
    job.answer(ROOM)
    assert job.result(60)["said"] == {"said": "bed/double/2", "key": f"{job.id}.victim:2"}
    ends(house, job, sends)


@pytest.mark.parametrize(("boundary", "sends"), [("call recorded", 3), ("answer received", 3), ("settled", 2)])
def test_a_continuation_of_a_killed_worker_happens_once(
    house: House, theatre: Theatre, boundary: str, sends: int
) -> None:
    job = house.submit("inn.reserve", "struck-visit")
    house.waits(job)
    theatre.arm(boundary, "group", signal.SIGKILL)
    job.answer(ROOM)
    dies(house, theatre)
    assert job.result(60)["said"] == {"said": "bed/double/2", "key": f"{job.id}.victim:2"}
    ends(house, job, sends)


def test_an_unsafe_continuation_of_a_killed_worker_is_looked_up_by_the_key_the_tool_knows(
    house: House, theatre: Theatre
) -> None:
    job = house.submit("inn.pay", "struck-visit", arguments={"amount": 7})
    house.waits(job, "approval")
    theatre.arm("answer received", "group", signal.SIGKILL)
    job.approve("victim:1/ask-1")
    dies(house, theatre)
    assert job.result(60)["said"] == {"said": "7", "key": f"{job.id}.victim:1"}
    ends(house, job, 3)
