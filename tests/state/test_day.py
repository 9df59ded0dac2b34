"""What a tenant's jobs may spend together on a day: exact under a crowd, settled by every ending."""

from concurrent.futures import ThreadPoolExecutor

from orchestrator import Plan, Step
from orchestrator.budget import Over
from orchestrator.state import keys
from orchestrator.state.calls import Begun, Cost
from orchestrator.state.client import without_loop as do
from orchestrator.state.jobs import NewJob
from orchestrator.state.steps import Ending, Lease
from tests.state.conftest import Stores, stores_on
from tests.support.valkey import Valkey

PURSE = keys.FAMILIES["tenant"] + keys.purse("acme")
CENT = Cost(micro_usd=10_000)


def opened(stores: Stores, number: int, **day: int) -> Lease:
    job_id = f"{number:032x}"
    limits = {"steps": -1, "tool_calls": -1, "tokens": -1, "usd": -1}
    do(stores.jobs.open(NewJob(job_id, "w", "acme", {}, limits, plan=Plan([Step("a")]), day=day)))
    return stores.claim(job_id, "a")


def begin(stores: Stores, lease: Lease, cost: Cost, number: int = 1) -> Begun:
    return do(stores.calls.begin(lease, number, "p", "t.x", cost))


def purse(stores: Stores) -> dict[str, int]:
    words = stores.command("HGETALL", PURSE)
    pairs = dict(zip(words[::2], words[1::2], strict=True))
    return {name.decode(): int(value) for name, value in pairs.items() if name != b"day" and value != b"0"}


def test_all_jobs_of_a_tenant_share_the_day_and_other_tenants_do_not(stores: Stores) -> None:
    first, second = opened(stores, 1, usd=25_000), opened(stores, 2, usd=25_000)
    assert begin(stores, first, CENT).answer == "GO"
    assert begin(stores, second, CENT).answer == "GO"
    over = begin(stores, second, CENT, 2).over
    assert over == Over("day/usd", "20000", "25000")
    assert str(over) == "usd a day 0.02 of 0.025"
    assert do(stores.calls.settle(first, 1, "unsent", None, CENT)) == "OK"
    assert begin(stores, second, CENT, 2).answer == "GO"
    assert purse(stores) == {"held:usd": 20_000}
    other = f"{9:032x}"
    stores.open(Plan([Step("a")]), other)
    assert begin(stores, stores.claim(other, "a"), CENT).answer == "GO"
    assert purse(stores) == {"held:usd": 20_000}


def test_every_ending_settles_the_day(stores: Stores) -> None:
    done, failed, cancelled = (opened(stores, number, usd=10**9, tokens=10**6) for number in (1, 2, 3))
    for lease in (done, failed, cancelled):
        begin(stores, lease, Cost(input_tokens=70, output_tokens=30, micro_usd=500))
    do(stores.calls.settle(done, 1, "done", {}, Cost(input_tokens=70, output_tokens=5, micro_usd=300)))
    do(stores.steps.commit(done, Ending("succeeded", {})))
    do(stores.steps.commit(failed, Ending("failed", {}, "no", "step")))
    do(stores.jobs.cancel(cancelled.job_id))
    assert purse(stores) == {"spent:usd": 300 + 500 + 500, "spent:tokens": 75 + 100 + 100}
    assert 0 < stores.command("TTL", PURSE) <= 2 * 86_400


def test_a_new_day_begins_at_nothing_but_what_is_in_flight(stores: Stores) -> None:
    first, second = opened(stores, 1, usd=20_000), opened(stores, 2, usd=20_000)
    begin(stores, first, CENT)
    do(stores.calls.settle(first, 1, "done", {}, CENT))
    begin(stores, second, CENT)
    assert begin(stores, first, CENT, 2).answer == "OVER"
    stores.command("HINCRBY", PURSE, "day", -1)  # the day before
    assert begin(stores, first, CENT, 2).answer == "GO"
    assert purse(stores) == {"held:usd": 20_000}
    assert begin(stores, first, CENT, 3).answer == "OVER"


def test_a_crowd_of_jobs_gets_exactly_the_day(server: Valkey, stores: Stores) -> None:
    leases = [opened(stores, number, usd=37 * 10_000) for number in range(1, 101)]
    crowd = [stores_on(server.url) for _ in range(8)]
    with ThreadPoolExecutor(8) as threads:
        answers = [threads.submit(begin, crowd[i % 8], lease, CENT) for i, lease in enumerate(leases)]
        begun = [answer.result().answer for answer in answers]
    for one in crowd:
        one.client.close()
    assert (begun.count("GO"), begun.count("OVER")) == (37, 63)
    assert purse(stores) == {"held:usd": 370_000}
