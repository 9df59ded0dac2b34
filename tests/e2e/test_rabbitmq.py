"""What is particular to RabbitMQ: outages, delays that it keeps, its queues, its refusals. The rest is test_jobs.py."""

import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from kombu.connection import Connection

from orchestrator import Job
from orchestrator.state import keys
from orchestrator.status import StepState
from tests.support.ledger import effects, in_flight
from tests.support.rabbitmq import rabbitmq
from tests.support.relay import Relay
from tests.support.stage import ROOT, Stage, stage
from tests.support.waiting import wait_until

pytestmark = pytest.mark.xdist_group("rabbitmq")
QUEUES = "begin,flight,hotel,table,finish"
STEPS = ("flight", "hotel", "table")


@dataclass
class Cuttable:
    """A stage whose way to RabbitMQ can be cut; `url` goes around the relay."""

    stage: Stage
    relay: Relay
    url: str

    def submit(self, **request: Any) -> Job:
        return self.stage.app.submit({"item": "bed", **request}, workflow="journey")

    def booked_once(self, *jobs: Job) -> None:
        for job in jobs:
            assert len(job.result(90)) == 3
            booked = [key for key, _ in effects(self.stage.ledger) if key.startswith(job.id)]
            assert booked == [f"{job.id}.{step}:2" for step in STEPS]


@pytest.fixture(scope="module")
def cuttable(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cuttable]:
    with rabbitmq() as url:
        relay = Relay(5672)
        through = url.replace(":5672/", f":{relay.port}/")
        with stage(tmp_path_factory.mktemp("cuttable"), broker_url=through) as here:
            here.worker("--concurrency", "4", "--queues", QUEUES)
            yield Cuttable(here, relay, url)
        relay.cut()


def starts(job: Job) -> int:
    return sum(event.type == "started" for event in job.events())


def test_a_chain_with_a_chord_inside_claims_nothing_twice(cuttable: Cuttable) -> None:
    job = cuttable.submit()

    cuttable.booked_once(job)
    assert starts(job) == 5


def test_no_more_steps_run_at_once_than_the_worker_was_given_although_each_queue_has_its_own_prefetch(
    cuttable: Cuttable,
) -> None:
    jobs = [cuttable.submit(seconds=0.2) for _ in range(4)]
    cuttable.booked_once(*jobs)

    moves = sorted(  # by the millisecond: within one, the numbers of two jobs' events say nothing about each other
        (event.id.partition("-")[0], {"succeeded": -1, "started": 1}[event.type])
        for job in jobs
        for event in job.events()
        if event.step and event.type in {"started", "succeeded"}
    )
    running = [sum(move for _, move in moves[:end]) for end in range(1, len(moves) + 1)]
    assert 1 < max(running) <= 4


def test_jobs_go_on_after_an_outage_in_their_middle_and_submitting_goes_on_during_it(cuttable: Cuttable) -> None:
    began, worker = len(cuttable.stage.log()), cuttable.stage.workers[0]
    jobs = [cuttable.submit(seconds=0.5) for _ in range(3)]
    wait_until(lambda: in_flight(cuttable.stage.ledger) > 0, "bookings under way")
    cuttable.relay.cut()
    jobs += [cuttable.submit() for _ in range(3)]  # returns: the record is the truth
    wait_until(lambda: b"broker unreachable" in cuttable.stage.log()[began:], "the worker noticed")
    wait_until(lambda: b"the broker does not answer" in cuttable.stage.log()[began:], "the sweeper noticed")
    assert {step.state for step in jobs[-1].steps} == {StepState.READY, StepState.PENDING}
    cuttable.relay.mend()

    cuttable.booked_once(*jobs)
    assert [starts(job) for job in jobs[3:]] == [5, 5, 5]
    assert worker.poll() is None


def test_an_idle_worker_outlives_an_outage(cuttable: Cuttable) -> None:
    began = len(cuttable.stage.log())
    cuttable.relay.cut()
    wait_until(lambda: b"broker unreachable" in cuttable.stage.log()[began:], "the worker noticed")
    cuttable.relay.mend()

    cuttable.booked_once(cuttable.submit())


def test_a_connection_that_is_dead_without_a_word_is_given_up(cuttable: Cuttable) -> None:
    began = len(cuttable.stage.log())
    job = cuttable.submit(seconds=0.5)
    wait_until(lambda: starts(job) > 1, "the job is under way")
    cuttable.relay.freeze()
    wait_until(lambda: b"broker unreachable" in cuttable.stage.log()[began:], "the worker missed the heartbeats", 90)
    cuttable.relay.thaw()

    cuttable.booked_once(job, cuttable.submit())


def test_a_message_that_was_delivered_too_often_is_gone_and_its_step_is_not(tmp_path: Path) -> None:
    with rabbitmq() as url, stage(tmp_path, broker_url=url) as here:
        job = here.app.submit({"item": "bed"}, workflow="journey")
        with Connection(url) as connection:
            channel: Any = connection.channel()
            wait_until(lambda: gone(channel, keys.queue("begin")), "RabbitMQ has given the message up")
        here.worker()
        assert len(job.result(90)) == 3


def gone(channel: Any, queue: str) -> bool:
    """Take a message and put it back, as who dies with it does; whether there is none."""
    message = channel.basic_get(queue)
    if message is not None:
        channel.basic_reject(message.delivery_tag, requeue=True)
    return message is None


def test_queues_that_are_deleted_under_the_worker_are_made_anew(cuttable: Cuttable) -> None:
    with Connection(cuttable.url) as connection:
        channel: Any = connection.channel()
        for name in QUEUES.split(","):
            channel.queue_delete(keys.queue(name))

    cuttable.booked_once(cuttable.submit())


def waiting_in_rabbitmq(url: str) -> dict[str, int]:
    vhost = url.rpartition("/")[2]
    command = ["rabbitmqctl", "-q", "-p", vhost, "list_queues", "name", "messages", "--no-table-headers"]
    lines = subprocess.run(command, check=True, capture_output=True, text=True, timeout=60).stdout.split("\n")
    rows = [line.split("\t") for line in lines if line.startswith("celery_delayed")]
    return {name: int(messages) for name, messages in rows}


def test_a_retry_waits_in_rabbitmq_and_outlives_its_worker(tmp_path: Path) -> None:
    no_help_from_the_sweeper = {"grace_s": 600, "lease_s": 600}
    with rabbitmq() as url, stage(tmp_path, broker_url=url, **no_help_from_the_sweeper) as here:
        first = here.worker("--queues", "flaky")
        job = here.app.submit({"item": "bed", "times": 1, "seconds": 12}, workflow="flaky")
        wait_until(lambda: job.steps[0].state is StepState.RETRYING, "the step is to be retried")
        wait_until(lambda: sum(waiting_in_rabbitmq(url).values()) == 1, "its message waits")
        here.kill(first)
        assert len(waiting_in_rabbitmq(url)) == 10  # of Celery's 28
        here.worker("--queues", "flaky")

        assert job.result(90) == {"booked": "bed"}
        tried, again = [event for event in job.events() if event.type == "started"]
        assert int(again.id.partition("-")[0]) - int(tried.id.partition("-")[0]) >= 12_000
        assert b"direct exchange" not in here.log(1) + here.log(2)


@pytest.mark.parametrize(
    "wrong", ["amqp://guest:wrong@127.0.0.1:5672/", "amqp://guest:guest@127.0.0.1:5672/surefoot-nowhere"]
)
def test_a_worker_that_rabbitmq_refuses_says_which_setting_is_wrong(tmp_path: Path, wrong: str) -> None:
    with rabbitmq(), stage(tmp_path, broker_url=wrong) as here:
        command = [sys.executable, "-m", "workers", "--queues", "begin"]
        ended = subprocess.run(
            command, cwd=ROOT, env=here.environment, capture_output=True, text=True, timeout=120, check=False
        )
        said = ended.stdout + ended.stderr

        assert ended.returncode == 2, said
        assert "SUREFOOT_BROKER_URL" in said
        assert "wrong@" not in said
        assert here.app.submit({"item": "bed"}, workflow="journey").status == "queued"
