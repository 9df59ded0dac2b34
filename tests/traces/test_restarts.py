"""On either broker a trace stays whole when its worker is killed, and when all is started anew while a job waits."""

from collections.abc import Iterator
from typing import Any

import pytest

from orchestrator import Job, Orchestrator
from orchestrator.telemetry import names
from tests.support.stage import Stage, stage_on
from tests.support.valkey import DURABLE
from tests.support.waiting import wait_until
from tests.traces.conftest import FLOWS, ITEM, attempts_of, complete, ended, servers, trace_of, unspanned

GROUP = pytest.mark.xdist_group
BROKERS = [
    pytest.param("redis", marks=GROUP("traces")),
    pytest.param("rabbitmq", marks=GROUP("rabbitmq")),
]
ATTEMPTS = {"killed": 1, "restarted": 3, "chord": 5, "retried": 2}


def _restart(here: Stage) -> None:
    """Kill whatever runs, Redis too, and start it again."""
    for worker in here.workers:
        here.kill(worker)
    here.app.close()
    here.server.kill()
    here.server.start()
    here.app = Orchestrator(redis_url=here.server.url, broker_url=here.broker_url, workflows=(FLOWS,))
    here.worker("--concurrency", "50")


def _play(here: Stage) -> dict[str, Job]:
    """A job whose worker is killed in the middle, one that waits meanwhile, and two that come after the restart."""
    submit = here.app.submit
    waits, held = submit(ITEM, workflow="asking"), submit(ITEM, workflow="traced-held")
    wait_until(lambda: waits.status == "waiting", "it waits")
    wait_until(lambda: any(b"execute_tool desk.book" in row for row in held.spans), "the first call is kept")
    wait_until(lambda: len(attempts_of(waits)) == 1, "the attempt that asked is kept")
    _restart(here)
    here.open_gate()
    jobs = {"restarted": here.app.job(waits.id), "killed": here.app.job(held.id)}
    jobs["restarted"].answer(date="2027-03-12")
    jobs["chord"] = here.app.submit(ITEM, workflow="journey")
    jobs["retried"] = here.app.submit(ITEM | {"times": 1}, workflow="flaky")
    return jobs


@pytest.fixture(scope="module", params=BROKERS)
def jobs(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Job]]:
    folder = tmp_path_factory.mktemp("restarts")
    patient: dict[str, Any] = {"lease_s": 4.0, "grace_s": 3.0, "attempts": 2, "server_options": DURABLE}
    with stage_on(request.param, folder, mcp_config=servers(folder), trace=True, workflows=FLOWS, **patient) as here:
        here.app.close()
        here.app = Orchestrator(redis_url=here.server.url, broker_url=here.broker_url, workflows=(FLOWS,))
        here.worker("--concurrency", "50")
        played = _play(here)
        for name, job in played.items():
            ended(job)
            assert job.status == "succeeded", (name, job.record.fields.get("error"))
            complete(job, ATTEMPTS[name])
        yield played


@pytest.mark.parametrize("name", ATTEMPTS)
def test_one_root_no_orphan_and_a_span_for_each_call(jobs: dict[str, Job], name: str) -> None:
    job, trace = jobs[name], trace_of(jobs[name])
    assert [node.name for node in trace.nodes if not node.parent_id] == [trace.root.name]
    assert trace.root.span_id == job.id[16:]
    assert [node.name for node in trace.nodes if node.orphan] == []
    assert job.calls
    assert unspanned(job) == set()
    assert trace.unreadable == 0


@pytest.mark.parametrize("name", ATTEMPTS)
def test_each_attempt_hangs_under_the_message_that_brought_it(jobs: dict[str, Job], name: str) -> None:
    by_id = {node.span_id: node for node in trace_of(jobs[name]).nodes}
    for attempt in attempts_of(jobs[name]):
        assert by_id[attempt.parent_id].name.startswith("run/step."), (attempt.name, attempt.parent_id)


def test_what_was_killed_is_there_as_it_stood_and_its_first_call_was_not_sent_again(jobs: dict[str, Job]) -> None:
    killed, again = sorted(attempts_of(jobs["killed"]), key=lambda node: node.attributes[names.ATTEMPT])
    assert (killed.open, again.open) == (True, False)
    assert [below.name for below in killed.walk() if names.DEDUP_KEY in below.attributes] == ["execute_tool desk.book"]
    replayed = [
        below.attributes.get(names.REPLAYED) for below in again.walk() if below.name == "execute_tool desk.book"
    ]
    assert replayed == [True, False]
