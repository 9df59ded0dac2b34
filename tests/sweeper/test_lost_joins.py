"""A join that a commit freed and whose message never came is found at the default settings, on both brokers.

What is lost is lost as a SIGKILL loses it: the commit is in the record, its message is not with the broker.
"""

from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

import pytest

from orchestrator.settings import Settings
from orchestrator.state.client import SyncClient
from orchestrator.state.client import without_loop as do
from orchestrator.state.scripts import Scripts
from orchestrator.state.steps import Ending, Lease, StepStore
from tests.support.rabbitmq import rabbitmq
from tests.support.stage import Stage, stage

pytestmark = pytest.mark.xdist_group("rabbitmq")
DEFAULTS = {name: Settings.model_fields[name].default for name in ("lease_s", "sweep_s", "grace_s")}


@contextmanager
def played(broker: str, folder: Path) -> Generator[Stage]:
    if broker == "Redis":
        with stage(folder, **DEFAULTS) as one:
            yield one
    else:
        with rabbitmq() as url, stage(folder, broker_url=url, **DEFAULTS) as one:
            yield one


@pytest.mark.parametrize("broker", ["Redis", "RabbitMQ"])
def test_a_lost_join_is_enqueued(tmp_path: Path, broker: str) -> None:
    with played(broker, tmp_path) as one:
        one.worker("--concurrency", "4", "--queues", "finish")  # it has nothing to do but to sweep, and the join
        job = one.app.submit({"item": "bed", "wide": 2}, workflow="wide")
        client = SyncClient(one.server.url)
        steps = StepStore(Scripts(client), lease_s=60, retention_s=600)  # without a message: nothing is enqueued
        for name in ("s0", "s1"):
            claim = do(steps.claim(job.id, name))
            assert (
                do(steps.commit(Lease(job.id, name, claim.fence), Ending("succeeded", {"item": name}))).answer == "OK"
            )

        assert job.result(90) == {"s0": "s0", "s1": "s1"}
        times = {(event.type, event.step): event.at for event in job.events()}
        waited_s = times["started", "finish"] - max(times["succeeded", name] for name in ("s0", "s1"))
        assert waited_s < 60, "far more than the 5 s it takes: benchmarks/chaos/storm.py measures it"
        assert sum((event.type, event.step) == ("started", "finish") for event in job.events()) == 1
        client.close()
