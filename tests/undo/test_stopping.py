"""After cancel(), and at the deadline, running calls are cancelled at their server, and nothing new starts.

The server says when it heard of it: within 1 s of the call of cancel(), or of the deadline on the record's clock. That
takes 5 to 60 ms, so that a busy machine does not decide. The figures: `python -m benchmarks.chaos.stopping`.
"""

import asyncio
import time
from collections.abc import Iterator

import pytest

from orchestrator import JobCancelled, JobFailed
from orchestrator.state.steps import Lease
from orchestrator.state.undo import work
from tests.support.waiting import wait_until
from tests.undo.stopping import Stopping, stopping
from workers.leases import Held

PROMISED_S = 1.0
JOB, UNDO = "0" * 31 + "1", work("a")


@pytest.fixture(scope="module")
def played(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stopping]:
    with stopping(tmp_path_factory.mktemp("stage")) as here:
        yield here


@pytest.mark.parametrize(
    ("workflow", "calls"),
    [("lingering-chain", 1), ("lingering-chord", 3), ("lingering-grown", 2), ("lingering-nested", 2)],
)
def test_cancel_stops_every_call_under_way_and_no_other_starts(played: Stopping, workflow: str, calls: int) -> None:
    job = played.running(workflow, workflow, calls)
    began = time.time()
    assert job.cancel() == "cancelled"
    wait_until(lambda: played.count("cancelled", workflow) == calls, "every call is cancelled at the server")
    assert max(played.moments("cancelled", workflow)) - began < PROMISED_S
    with pytest.raises(JobCancelled):
        job.result(10)
    assert played.count("started", workflow) == calls
    assert {step.state for step in job.steps if step.specialist == "lingering"} == {"skipped"}


def test_a_deadline_stops_every_call_under_way_and_no_other_starts(played: Stopping) -> None:
    job = played.running("lingering-chord", "late", 3, seconds=3.0)
    deadline = int(job.record.fields["deadline"]) / 1000
    with pytest.raises(JobFailed, match="the deadline has passed"):
        job.result(30)
    wait_until(lambda: played.count("cancelled", "late") == 3, "every call is cancelled at the server")
    assert max(played.moments("cancelled", "late")) - deadline < PROMISED_S
    assert played.count("started", "late") == 3


async def held_by(what: Held) -> bool:
    """Whether it goes on."""
    try:
        await asyncio.sleep(0.01)
    except asyncio.CancelledError:
        return False
    return not what.lost


@pytest.mark.parametrize("claimed", [True, False], ids=["claimed", "its claim is on its way"])
@pytest.mark.parametrize(
    ("job_id", "step", "goes_on"), [(JOB, "a", False), (JOB, work("a"), True), ("other", "a", True)]
)
async def test_the_end_of_a_job_stops_its_steps_and_not_what_undoes_it(
    claimed: bool, job_id: str, step: str, goes_on: bool
) -> None:
    task = asyncio.current_task()
    assert task is not None
    held = Held(task, 10.0)
    if claimed:
        held.take(Lease(job_id, step, "1"), time.monotonic())
    held.job_ended(JOB)
    if not claimed:
        held.take(Lease(job_id, step, "1"), time.monotonic())
    assert await held_by(held) is goes_on
