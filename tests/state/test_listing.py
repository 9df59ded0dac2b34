"""Jobs are listed by when they changed last, whatever their status; a tenant's are found in a few round trips."""

from collections.abc import Iterator
from typing import Any

import pytest

from orchestrator.state import keys
from orchestrator.state.client import without_loop as do
from orchestrator.state.jobs import JobStore
from orchestrator.state.listing import PAGE
from orchestrator.state.scripts import Scripts
from orchestrator.status import JobStatus
from tests.state.conftest import Stores

ALL = list(JobStatus)


@pytest.fixture(autouse=True)
def nothing_stays(stores: Stores) -> Iterator[None]:
    """These jobs are no whole ones."""
    yield
    stores.command("FLUSHALL")


def listed(jobs: JobStore, tenant: str | None, limit: int) -> list[int]:
    return [int(job.id, 16) for job in do(jobs.find(ALL, tenant, limit))]


def stored(stores: Stores, status: JobStatus, numbers: range, tenant: str) -> None:
    """Jobs that came to this status, each at the time of its number."""
    placed = [word for number in numbers for word in (number, f"{number:032x}")]
    stores.command("ZADD", keys.jobs(status), *placed)
    for job_id in placed[1::2]:
        stores.command("HSET", keys.job(str(job_id)), "tenant", tenant, "status", status)


class Counting:
    """The stores' client, with its round trips counted."""

    def __init__(self, stores: Stores) -> None:
        self.client, self.count = stores.client, 0

    async def command(self, *words: Any) -> Any:
        self.count += 1
        return await self.client.command(*words)

    blocking = command


@pytest.fixture
def many(stores: Stores) -> Stores:
    """Long ago three jobs failed; since then many have succeeded, most of them somebody else's."""
    stored(stores, JobStatus.FAILED, range(1, 4), "acme")
    stored(stores, JobStatus.SUCCEEDED, range(10, 14), "acme")
    stored(stores, JobStatus.SUCCEEDED, range(1_000, 1_000 + PAGE + 50), "t")
    return stores


def test_what_changed_last_comes_first_over_all_statuses_and_pages(many: Stores) -> None:
    assert listed(many.jobs, "acme", 5) == [13, 12, 11, 10, 3]
    assert listed(many.jobs, None, PAGE + 52) == [*range(999 + PAGE + 50, 999, -1), 13, 12]
    assert listed(many.jobs, "nobody", 5) == []


def test_to_find_a_tenant_s_job_among_many_takes_a_few_round_trips(many: Stores) -> None:
    client = Counting(many)
    assert listed(JobStore(Scripts(client), 60), "acme", 1) == [13]
    assert client.count < 20


def test_a_job_that_moves_while_it_is_looked_for_is_listed_once(stores: Stores) -> None:
    stored(stores, JobStatus.RUNNING, range(1, 2), "t")
    stored(stores, JobStatus.FAILED, range(1, 3), "t")  # 1 was seen running, and has failed since
    assert listed(stores.jobs, None, 5) == [2, 1]
