"""The submitting client, a process of its own: `python -m benchmarks.drive SIDE burst|idle --jobs N` prints JSON."""

import argparse
import json
import resource
import time
from collections.abc import Callable
from typing import Any, Protocol

from benchmarks import trip

WAIT_S = 300.0


class Side(Protocol):
    """How jobs are submitted and awaited."""

    def submit(self, job: str) -> Callable[[], dict[str, Any]]:
        """Enqueue one job; what is returned waits for its result."""
        ...

    def settle(self) -> None:
        """Return when everything submitted has ended."""
        ...


class Bare:
    """Bare Celery."""

    def __init__(self) -> None:
        from benchmarks import bare  # noqa: PLC0415 - each side loads only its own

        self._bare, self._open = bare, list[Any]()

    def submit(self, job: str) -> Callable[[], dict[str, Any]]:
        result = self._bare.submit(job)
        self._open.append(result)
        return lambda: result.get(timeout=WAIT_S)

    def settle(self) -> None:
        """Ask for the stored results themselves, all in one command: cheaper than one subscription a job."""
        backend: Any = self._bare.app.backend
        keys = [backend.get_key_for_task(result.id) for result in self._open]
        _until(lambda: backend.client.exists(*keys) == len(keys))
        self._open.clear()


class Surefoot:
    """Surefoot through its public API."""

    def __init__(self) -> None:
        from orchestrator import Orchestrator  # noqa: PLC0415 - each side loads only its own

        self._app, self._open = Orchestrator(), list[Any]()

    def submit(self, job: str) -> Callable[[], dict[str, Any]]:
        submitted = self._app.submit(trip.request(job), workflow="bench")
        self._open.append(submitted)
        return lambda: submitted.result(timeout=WAIT_S)

    def settle(self) -> None:
        while self._open:
            last = self._open.pop()
            _until(lambda last=last: last.status.final)


SIDES: dict[str, Callable[[], Side]] = {"bare": Bare, "surefoot": Surefoot}


def _until(done: Callable[[], bool]) -> None:
    end = time.monotonic() + WAIT_S
    while not done():
        if time.monotonic() > end:
            raise TimeoutError(f"jobs are still open after {WAIT_S:g} s")
        time.sleep(0.02)


def burst(side: Side, jobs: int, prefix: str) -> dict[str, Any]:
    """All jobs at once; the time runs from the first submission to the last completion."""
    start = time.perf_counter()
    waits = [side.submit(f"{prefix}{i}") for i in range(jobs)]
    submitted = time.perf_counter()
    side.settle()
    took_s = time.perf_counter() - start
    client_cpu_s = time.process_time()
    wrong = sum(not trip.right(wait()) for wait in waits)
    return {
        "jobs": jobs,
        "wrong": wrong,
        "submit_s": submitted - start,
        "took_s": took_s,
        "client_cpu_ms_per_job": 1e3 * client_cpu_s / jobs,
    }


def idle(side: Side, jobs: int, prefix: str) -> dict[str, Any]:
    """One job after the other, each on an idle system."""
    times_ms: list[float] = []
    wrong = 0
    for i in range(jobs):
        start = time.perf_counter()
        result = side.submit(f"{prefix}{i}")()
        times_ms.append(1e3 * (time.perf_counter() - start))
        wrong += not trip.right(result)
    times_ms.sort()
    p50, p95 = times_ms[len(times_ms) // 2], times_ms[int(0.95 * len(times_ms))]
    return {"jobs": jobs, "wrong": wrong, "p50_ms": p50, "p95_ms": p95}


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.drive")
    parser.add_argument("side", choices=sorted(SIDES))
    parser.add_argument("scenario", choices=("burst", "idle"))
    parser.add_argument("--jobs", type=int, required=True)
    parser.add_argument("--prefix", default="j")
    options = parser.parse_args()
    scenario = burst if options.scenario == "burst" else idle
    figures = scenario(SIDES[options.side](), options.jobs, options.prefix)
    figures["client_rss_mb"] = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(json.dumps(figures))


if __name__ == "__main__":
    main()
