"""Waiting for a predicate, never for a time."""

import time
from collections.abc import Callable


def wait_until(predicate: Callable[[], object], what: str, timeout_s: float = 60.0) -> None:
    """Return as soon as the predicate holds; fail, saying what was awaited, after the time."""
    end = time.monotonic() + timeout_s
    while not predicate():
        assert time.monotonic() < end, f"not within {timeout_s:g} s: {what}"
        time.sleep(0.01)
