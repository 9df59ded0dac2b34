"""Fifty threads, a client each, one ceiling: exactly as many calls are sent as the ceiling allows."""

from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from threading import Barrier
from typing import TypeVar

import pytest

from orchestrator import Plan, Step
from orchestrator.state import keys
from orchestrator.state.calls import Cost
from orchestrator.state.client import without_loop as do
from orchestrator.state.steps import Lease
from orchestrator.status import JobStatus
from tests.state.conftest import Stores, stores_on
from tests.support.valkey import Valkey

JOB = "0" * 31 + "5"
THREADS = 50
T = TypeVar("T")


@pytest.fixture(scope="module")
def crowd(server: Valkey) -> Iterator[list[Stores]]:
    everybody = [stores_on(server.url) for _ in range(THREADS)]
    yield everybody
    for one in everybody:
        one.client.close()


def at_once(crowd: list[Stores], act: Callable[[int, Stores], T]) -> list[T]:
    """Everybody does it, starting together."""
    start = Barrier(len(crowd))

    def one(i: int) -> T:
        start.wait(20)
        return act(i, crowd[i])

    with ThreadPoolExecutor(len(crowd)) as threads:
        return list(threads.map(one, range(len(crowd))))


def leases(stores: Stores, **ceilings: int) -> list[Lease]:
    """A step for each thread, claimed."""
    stores.open(Plan([Step("a", f"s{i}") for i in range(THREADS)]), JOB, **ceilings)
    return [stores.claim(JOB, f"s{i}") for i in range(THREADS)]


@pytest.mark.parametrize("ceiling", [0, 1, 17, 49, 50])
def test_exactly_the_ceiling_goes(stores: Stores, crowd: list[Stores], ceiling: int) -> None:
    held = leases(stores, tool_calls=ceiling)
    begun = at_once(crowd, lambda i, one: do(one.calls.begin(held[i], 1, "p", "t.x", Cost())).answer)
    assert Counter(begun) == Counter(GO=ceiling, OVER=THREADS - ceiling)
    line = do(stores.jobs.read(JOB)).spend.tool_calls
    assert (line.spent, line.reserved, line.free) == (0, ceiling, 0)


def test_the_tightest_of_several_ceilings_counts_and_nothing_is_half_reserved(
    stores: Stores, crowd: list[Stores]
) -> None:
    held = leases(stores, tool_calls=40, tokens=1_000, usd=7_500)
    cost = Cost(1, 100, 500)  # ten by tokens, fifteen by money, forty by calls
    begun = at_once(crowd, lambda i, one: do(one.calls.begin(held[i], 1, "p", "t.x", cost)))
    assert Counter(one.answer for one in begun) == Counter(GO=10, OVER=40)
    assert {str(one.over) for one in begun if one.answer == "OVER"} == {"tokens 1000 of 1000"}
    spend = do(stores.jobs.read(JOB)).spend
    assert [line.reserved for line in (spend.tool_calls, spend.tokens, spend.usd)] == [10, 1_000, 5_000]


def test_what_was_never_sent_is_free_for_another(stores: Stores, crowd: list[Stores]) -> None:
    held = leases(stores, tool_calls=5)

    def until_sent(i: int, one: Stores) -> int:
        """Send a call unless the ceiling is reached; three of four find the server away, and begin again."""
        for attempt in range(4):
            if do(one.calls.begin(held[i], 1, "p", "t.x", Cost())).answer == "OVER":
                return 0
            if attempt == 3:
                assert do(one.calls.settle(held[i], 1, "done", i, Cost())) == "OK"
                return 1
            assert do(one.calls.settle(held[i], 1, "unsent", None, Cost(0))) == "OK"
        return 0

    sent = sum(at_once(crowd, until_sent))
    line = do(stores.jobs.read(JOB)).spend.tool_calls
    assert 1 <= sent <= 5
    assert (line.spent, line.reserved) == (sent, 0)


def test_retries_are_charged_each_and_replays_nothing(stores: Stores, crowd: list[Stores]) -> None:
    held = leases(stores, tool_calls=3 * THREADS)

    def three_attempts(i: int, one: Stores) -> list[str]:
        said: list[str] = []
        for state in ("unknown", "unknown", "done"):
            said.append(do(one.calls.begin(held[i], 1, "p", "t.x", Cost())).answer)
            do(one.calls.settle(held[i], 1, state, {"n": i}, Cost()))
        said += [do(one.calls.begin(held[i], 1, "p", "t.x", Cost())).answer for _ in range(3)]
        return said

    assert at_once(crowd, three_attempts) == [["GO", "AGAIN", "AGAIN", "REPLAY", "REPLAY", "REPLAY"]] * THREADS
    line = do(stores.jobs.read(JOB)).spend.tool_calls
    assert (line.spent, line.reserved, line.free) == (150, 0, 0)


def test_a_settlement_repeated_by_everybody_is_charged_once(stores: Stores, crowd: list[Stores]) -> None:
    lease = leases(stores, tool_calls=5)[0]
    do(stores.calls.begin(lease, 1, "p", "t.x", Cost()))
    assert set(at_once(crowd, lambda i, one: do(one.calls.settle(lease, 1, "done", i, Cost())))) == {"OK"}
    line = do(stores.jobs.read(JOB)).spend.tool_calls
    assert (line.spent, line.reserved) == (1, 0)


def test_steps_are_charged_up_to_their_ceiling_and_the_rest_never_starts(stores: Stores, crowd: list[Stores]) -> None:
    stores.open(Plan([Step("a", f"s{i}") for i in range(THREADS)]), JOB, steps=12)
    claims = Counter(at_once(crowd, lambda i, one: do(one.steps.claim(JOB, f"s{i}")).answer))
    assert claims["CLAIMED"] <= 12
    assert claims["OVER"] == 1
    assert claims["DEAD"] == THREADS - 1 - claims["CLAIMED"]
    assert do(stores.jobs.read(JOB)).fields["spent:steps"] == str(claims["CLAIMED"])


def test_one_step_claimed_by_everybody_is_one_claim_and_one_step(stores: Stores, crowd: list[Stores]) -> None:
    stores.open(Plan.chain("a"), JOB, steps=1)
    assert Counter(at_once(crowd, lambda _, one: do(one.steps.claim(JOB, "a")).answer)) == Counter(CLAIMED=1, HELD=49)
    stores.command("HSET", keys.job(JOB), "a.until", 1)  # its holder died: the retry is the same step
    assert Counter(at_once(crowd, lambda _, one: do(one.steps.claim(JOB, "a")).answer)) == Counter(CLAIMED=1, HELD=49)
    record = do(stores.jobs.read(JOB))
    assert (record.fields["spent:steps"], record.fields["a.try"], record.status) == ("1", "2", JobStatus.RUNNING)


def test_amounts_near_the_largest_are_counted_exactly(stores: Stores) -> None:
    top = 2**53 - 1
    stores.open(Plan.chain("a"), JOB, usd=top)
    lease = stores.claim(JOB, "a")
    for number, amount in enumerate((2**52, 2**52 - 2, 1)):
        assert do(stores.calls.begin(lease, number, "p", "t.x", Cost(0, 0, amount))).answer == "GO"
        do(stores.calls.settle(lease, number, "done", 1, Cost(0, 0, amount)))
    assert do(stores.jobs.read(JOB)).spend.usd.free == 0
    assert do(stores.calls.begin(lease, 9, "p", "t.x", Cost(0, 0, 1))).answer == "OVER"
