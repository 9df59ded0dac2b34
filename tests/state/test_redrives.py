"""A re-driven step is looked at again, later and later, and enqueued again only when its message is gone."""

from orchestrator.state import keys
from orchestrator.state.client import without_loop as do
from tests.state.conftest import Stores, stores_on
from tests.state.test_sweep import JOB, PAIR, let_lease_run_out, names, swept
from tests.support.valkey import Valkey
from tests.support.waiting import wait_until


def look_again_now(stores: Stores, step: str) -> int:
    """Let the wait of a re-driven step be over; returns how long it was, ms."""
    member = f"{JOB}.{step}"
    wait, _, _ = stores.command("HGET", keys.INDEXES["waits"], member).partition(b":")
    stores.command("ZADD", keys.INDEXES["again"], 1, member)
    return int(wait)


def forget_redrive(stores: Stores, step: str) -> None:
    """Its message is gone, and that has been known for long: one that was re-driven later was claimed."""
    wait, _, at = stores.command("HGET", keys.INDEXES["waits"], f"{JOB}.{step}").partition(b":")
    stores.command("HSET", keys.INDEXES["waits"], f"{JOB}.{step}", b"%b:%d" % (wait, 1))
    stores.command("HSET", keys.INDEXES["marks"], f"{step}.again", at)
    stores.command("DEL", keys.FAMILIES["seen"] + f"{step}.again")  # on a slow machine they count too
    stores.command("ZADD", keys.FAMILIES["seen"] + f"{step}.again", 1, at)


def test_the_wait_between_two_redrives_doubles_up_to_a_minute(stores: Stores) -> None:
    stores.open(PAIR, JOB)
    let_lease_run_out(stores, stores.claim(JOB, "a"))
    assert names(swept(stores)) == ["a"]
    waits = [look_again_now(stores, "a")]
    for _ in range(11):
        forget_redrive(stores, "a")
        found = swept(stores)
        assert (found.overdue, names(found)) == (1, ["a"])
        waits.append(look_again_now(stores, "a"))
    assert waits == [200 * 2**i for i in range(9)] + [60_000] * 3
    stores.claim(JOB, "a")
    assert stores.command("HLEN", keys.INDEXES["waits"]) == 0


def test_a_redriven_step_whose_message_still_waits_is_not_enqueued_again(stores: Stores) -> None:
    stores.open(PAIR, JOB)
    let_lease_run_out(stores, stores.claim(JOB, "a"))
    swept(stores)
    waits = [look_again_now(stores, "a")]
    for _ in range(11):
        assert not swept(stores)
        waits.append(look_again_now(stores, "a"))
    assert waits == [200 * 2**i for i in range(9)] + [60_000] * 3
    assert stores.command("LLEN", keys.redrive_queue("a")) == 1


def test_a_redrive_that_is_lost_too_is_redriven(server: Valkey, stores: Stores) -> None:
    brisk = stores_on(server.url, grace_s=0.05)
    stores.open(PAIR, JOB)
    let_lease_run_out(stores, stores.claim(JOB, "a"))
    assert names(do(brisk.sweeper.sweep())) == ["a"]
    assert stores.command("RPOP", keys.redrive_queue("a"))  # by a worker that dies
    wait_until(lambda: names(do(brisk.sweeper.sweep())) == ["a"], "it is re-driven once more")
    assert stores.command("LLEN", keys.redrive_queue("a")) == 1
