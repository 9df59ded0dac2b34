"""No storm: a dead worker's leases, and steps that nobody takes, are enqueued once, however often a sweeper looks."""

from collections import Counter

from orchestrator import Plan, Step
from orchestrator.state import keys
from orchestrator.state.client import without_loop as do
from tests.state.conftest import Stores, stores_on
from tests.state.test_sweep import JOB, let_lease_run_out
from tests.support.valkey import Valkey
from tests.support.waiting import wait_until

WIDE = 500


def dead_worker(stores: Stores) -> None:
    stores.open(Plan([Step("a", f"s{i}") for i in range(WIDE)]), JOB)
    stores.command("DEL", "a.{0}")  # it had fetched them all
    for i in range(WIDE):
        let_lease_run_out(stores, stores.claim(JOB, f"s{i}"))


def take(stores: Stores, most: int) -> list[str]:
    """The oldest re-driven messages, as a worker takes them; their steps."""
    messages = stores.command("RPOP", keys.redrive_queue("a"), most) or []
    return [message.partition(b'"id": "')[2].partition(b'"')[0].decode().rpartition(".")[2] for message in messages]


def test_a_slow_worker_gets_each_step_of_a_dead_one_once(server: Valkey, stores: Stores) -> None:
    brisk = stores_on(server.url, grace_s=0.05)
    dead_worker(stores)
    taken: Counter[str] = Counter()

    def works() -> bool:
        do(brisk.sweeper.sweep())
        for step in take(stores, 5):
            stores.claim(JOB, step)
            taken[step] += 1
        return len(taken) == WIDE

    wait_until(works, "all are worked off")
    assert set(taken.values()) == {1}
    assert stores.command("LLEN", keys.redrive_queue("a")) == 0


def test_what_nobody_takes_is_enqueued_once(server: Valkey, stores: Stores) -> None:
    brisk = stores_on(server.url, grace_s=0.02)
    dead_worker(stores)

    def looked_at_often() -> bool:
        do(brisk.sweeper.sweep())
        waits = stores.command("HVALS", keys.INDEXES["waits"])
        return len(waits) == WIDE and min(int(wait.partition(b":")[0]) for wait in waits) >= 20 * 2**4

    wait_until(looked_at_often, "each was looked at five times")
    assert sorted(take(stores, 10 * WIDE)) == sorted(f"s{i}" for i in range(WIDE))
