"""Two hundred who want the same: twenty processes of ten threads, each thread with a client and a step of its own.

`python -m tests.state.claimants REDIS_URL calls|answers`, with a JSON list of leases on stdin. All begin a call at
the same moment; what each came to is a JSON list on stdout. One process is warm, the others are its forks.
"""

import json
import multiprocessing
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from orchestrator.state.calls import Begun, Cost
from orchestrator.state.client import without_loop as do
from orchestrator.state.steps import Lease
from tests.state.conftest import Stores, stores_on
from workers.record import BUSY_S

PROCESSES, THREADS, LARGEST = 20, 10, 100
GOES = ("GO", "AGAIN")
forking = multiprocessing.get_context("fork")
together = forking.Barrier(PROCESSES * THREADS)


def begin(stores: Stores, lease: Lease, cost: Cost) -> Begun:
    return do(stores.calls.begin(lease, 1, "p", "t.x", cost))


def calls(number: int, lease: Lease, stores: Stores) -> list[str]:
    """Begin a call; every other one that goes finds its server away. Then who has no answer begins once more."""
    together.wait(60)
    first = begin(stores, lease, Cost()).answer
    together.wait(60)
    away = first == "GO" and number % 2 == 0
    if first == "GO":
        do(stores.calls.settle(lease, 1, "unsent" if away else "done", 1, Cost()))
    together.wait(60)
    if first == "GO" and not away:
        return [first]
    second = begin(stores, lease, Cost()).answer
    if second in GOES:
        do(stores.calls.settle(lease, 1, "done", 1, Cost()))
    return [first, second]


def answers(number: int, lease: Lease, stores: Stores) -> list[int]:
    """Get an answer of 2 to 100 bytes, waiting while others hold what is left; one that is too large is cut off."""
    together.wait(60)
    while (begun := begin(stores, lease, Cost(answer_bytes=LARGEST))).answer == "BUSY":
        time.sleep(BUSY_S)
    if begun.answer == "OVER":
        return []
    cost, size = begun.cost, 2 + number % (LARGEST - 1)
    if size > cost.answer_bytes:
        do(stores.calls.settle(lease, 1, "unknown", None, cost))
        return [-cost.answer_bytes]
    do(stores.calls.settle(lease, 1, "done", "x" * (size - 2), cost))
    return [size]


def process(play: Any, crowd: list[Stores], first: int, leases: list[Lease], results: Any) -> None:
    with ThreadPoolExecutor(len(leases)) as threads:
        results.put(list(threads.map(play, range(first, first + len(leases)), leases, crowd)))


if __name__ == "__main__":
    url, play = sys.argv[1], {"calls": calls, "answers": answers}[sys.argv[2]]
    given, results = [Lease(*words) for words in json.load(sys.stdin)], forking.Queue()
    crowd = [stores_on(url) for _ in given]  # not connected yet
    started = [
        forking.Process(target=process, args=(play, crowd[at : at + THREADS], at, given[at : at + THREADS], results))
        for at in range(0, len(given), THREADS)
    ]
    for one in started:
        one.start()
    print(json.dumps([each for _ in started for each in results.get(timeout=120)]))  # noqa: T201 - for the test
    for one in started:
        one.join()
