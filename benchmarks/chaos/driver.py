"""Kills one process after the other with SIGKILL, at random by a seed, and starts each again a moment later."""

import random
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import Self

AWAY_S = (0.0, 1.0)


@dataclass(frozen=True)
class Target:
    """Something to kill. `kill` answers the process it killed; `start` when it is up, and may be killed again."""

    kind: str
    kill: Callable[[], int]
    start: Callable[[], object]


@dataclass(frozen=True)
class Kill:
    """It was killed at this time, seconds since 1970."""

    kind: str
    pid: int
    at: float


class Driver:
    """`with Driver(...) as driver:` kills until the block ends; then waits until all that was killed is up again."""

    def __init__(
        self, targets: Sequence[Target], seed: int, every_s: tuple[float, float], most: int, spared: int = 0
    ) -> None:
        """Kill `most` times, 0: any number of times, each between so many seconds after the one before.

        Each kind is killed as often as another, whatever the number of its processes; what is not up is spared, and so
        are the last `spared` of a kind that are.
        """
        self.kills: list[Kill] = []
        self._targets, self._random = targets, random.Random(seed)
        self._every_s, self._most, self._spared = every_s, most, spared
        self._kinds = sorted({target.kind for target in targets})
        self._round: list[str] = []
        self._coming: dict[Target, Future[object]] = {}
        self._starts = ThreadPoolExecutor(len(targets))
        self._done = threading.Event()
        self._thread = threading.Thread(target=self._run, name="driver")

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._done.set()
        self._thread.join()
        self._starts.shutdown()
        for coming in self._coming.values():
            coming.result()

    def _run(self) -> None:
        while not self._done.wait(self._random.uniform(*self._every_s)):
            if len(self.kills) == self._most > 0:
                return
            kind, away_s = self._next_kind(), self._random.uniform(*AWAY_S)
            up = [target for target in self._targets if target.kind == kind and self._is_up(target)]
            if len(up) > self._spared:
                self._strike(self._random.choice(up), away_s)

    def _next_kind(self) -> str:
        """One after the other in an order that changes each time: a short run meets all of them too."""
        if not self._round:
            self._round = self._random.sample(self._kinds, len(self._kinds))
        return self._round.pop()

    def _is_up(self, target: Target) -> bool:
        coming = self._coming.get(target)
        return coming is None or coming.done()

    def _strike(self, target: Target, away_s: float) -> None:
        self.kills.append(Kill(target.kind, target.kill(), time.time()))

        def start() -> object:
            self._done.wait(away_s)
            return target.start()

        self._coming[target] = self._starts.submit(start)
