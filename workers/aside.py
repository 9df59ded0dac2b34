"""Sends messages from threads of their own, so that no step waits for another one's message to be confirmed."""

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextvars import copy_context
from typing import Any

from workers.greenlets import await_, in_greenlet

AT_ONCE = 8
"""Fewer than Celery's pool has connections (10): one that is taken by a thread never makes another thread wait."""


class Aside:
    """Runs blocking calls of the asyncio pool's tasks; the task waits, the event loop goes on."""

    def __init__(self) -> None:
        self._threads = ThreadPoolExecutor(AT_ONCE, "surefoot-send")

    def __call__(self, call: Callable[[], Any]) -> Any:
        """In other pools and threads: just call it."""
        if not in_greenlet():
            return call()
        return await_(asyncio.get_running_loop().run_in_executor(self._threads, copy_context().run, call))
