"""The same jobs with RabbitMQ as broker: the canvas carries on by itself, the state is in Redis."""

from collections.abc import Iterator

import pytest

from orchestrator import Budget, JobFailed
from orchestrator.status import JobStatus
from tests.support.ledger import attempts, effects
from tests.support.rabbitmq import rabbitmq
from tests.support.stage import Stage, stage
from tests.support.waiting import wait_until

pytestmark = pytest.mark.xdist_group("rabbitmq")


@pytest.fixture(scope="module")
def rabbit(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    with rabbitmq() as url, stage(tmp_path_factory.mktemp("rabbit"), broker_url=url) as here:
        here.worker("--concurrency", "50")
        yield here


def test_a_chain_with_a_chord_inside_runs(rabbit: Stage) -> None:
    job = rabbit.app.submit({"item": "bed"}, workflow="journey", budget=Budget(tool_calls=6))

    assert job.result(90) == {"flight": "flight bed-1", "hotel": "hotel bed-1", "table": "table bed-1"}
    assert sum(event.type == "started" for event in job.events()) == 5  # nothing was claimed twice


def test_what_is_no_chain_or_chord_runs_too(rabbit: Stage) -> None:
    assert len(rabbit.app.submit({"item": "bed", "wide": 4}, workflow="two-waves").result(90)) == 4
    assert len(rabbit.app.submit({"item": "bed", "wide": 4}, workflow="growing").result(90)) == 4


def test_retries_questions_and_failures(rabbit: Stage) -> None:
    assert rabbit.app.submit({"item": "bed", "times": 2}, workflow="flaky").result(90) == {"booked": "bed"}
    asking = rabbit.app.submit({"item": "bed"}, workflow="asking")
    wait_until(lambda: asking.status is JobStatus.WAITING, "the job waits")
    asking.answer(date="now")
    asking.result(90)
    with pytest.raises(JobFailed, match="no bed"):
        rabbit.app.submit({"item": "bed"}, workflow="broken").result(90)
    assert rabbit.app.submit({"item": "bed"}, workflow="degrading").result(90) == {"flight": "flight bed-1"}


def test_a_killed_worker_loses_nothing(rabbit: Stage) -> None:
    done = len(effects(rabbit.ledger))
    job = rabbit.app.submit({"item": "bed", "seconds": 0.5}, workflow="journey")
    wait_until(lambda: len(attempts(rabbit.ledger)) - len(effects(rabbit.ledger)) >= 2, "bookings are under way")
    rabbit.kill(rabbit.workers[-1])
    rabbit.worker("--concurrency", "50")

    assert len(job.result(90)) == 3
    assert len(effects(rabbit.ledger)) == done + 3
