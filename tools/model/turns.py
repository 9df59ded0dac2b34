"""One question is answered at a time, a few wait in line, and who finds the line full is told when to return."""

import asyncio
import math
import time
from collections.abc import AsyncGenerator, Generator
from contextlib import asynccontextmanager, contextmanager

from tools.model.engine import Refused

BUSY = 429


class Turns:
    """The line.

    Attributes:
        here: how many are in it, the one whose turn it is included.
        answered: how many have had their answer.
    """

    def __init__(self, most_waiting: int) -> None:
        self.here, self.answered = 0, 0
        self._most, self._turn, self._last_s = most_waiting + 1, asyncio.Lock(), 1.0

    @contextmanager
    def place(self) -> Generator[None]:
        """Stand in line.

        Raises:
            Refused: it is full.
        """
        if self.here >= self._most:
            wait_s = max(1, math.ceil(self._last_s * self.here))
            raise Refused(f"{self.here} are asking already; ask again in {wait_s} s", BUSY, "busy", wait_s)
        self.here += 1
        try:
            yield
        finally:
            self.here -= 1

    @asynccontextmanager
    async def turn(self) -> AsyncGenerator[None]:
        """Wait until it is our turn, and have it."""
        async with self._turn:
            began = time.monotonic()
            yield
            self._last_s = time.monotonic() - began
            self.answered += 1
