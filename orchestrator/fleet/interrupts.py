"""Work that Ctrl-C must not cut in two."""

import signal
import threading
from collections.abc import Callable, Generator
from contextlib import contextmanager
from types import FrameType

_Handler = Callable[[int, FrameType | None], object]


@contextmanager
def deferred(hurry: Callable[[], None] | None = None) -> Generator[None]:
    """Keep Ctrl-C (and SIGTERM, where a program handles it) until the end of the block; call `hurry` when one comes.

    Only the main thread is ever interrupted; elsewhere there is nothing to keep.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    kept: list[int] = []

    def keep(number: int, _frame: FrameType | None) -> None:
        kept.append(number)
        if hurry:
            hurry()

    before = {number: handler for number in (signal.SIGINT, signal.SIGTERM) if (handler := _own_handler(number))}
    try:
        for number in before:
            signal.signal(number, keep)
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
        for number in dict.fromkeys(kept):
            before[signal.Signals(number)](number, None)


def _own_handler(number: signal.Signals) -> _Handler | None:
    """The Python function that handles this signal; none if the system does, or nobody."""
    handler = signal.getsignal(number)
    return handler if callable(handler) else None
