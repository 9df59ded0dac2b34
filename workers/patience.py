"""How long a worker that was told to stop waits for what runs."""

import time
from typing import Any

from celery import signals
from celery.worker import state

GRACE_S = 30.0
"""Unless Celery's configuration says `surefoot_stop_s`."""


class Patience:
    """The grace, which ends early when the worker is told a second time, or told to end now.

    SIGTERM or Ctrl-C begins a stop; a second one, or SIGQUIT, ends it.
    """

    def __init__(self, app: Any) -> None:
        self._grace_s = float(GRACE_S if app is None else app.conf.get("surefoot_stop_s", GRACE_S))
        self._signals, self._until = list[str](), float("inf")
        signals.worker_shutting_down.connect(self._on_signal)

    def _on_signal(self, how: str = "", **_: Any) -> None:
        """A second signal may come in the middle of the first one's handler: an addition would lose one of both."""
        self._signals.append(how)

    def begin(self) -> None:
        """The stop begins, if it has not begun before."""
        if self._until == float("inf"):
            self._until = time.monotonic() + self._grace_s

    @property
    def urgent(self) -> bool:
        """Whether somebody asked for an end now."""
        return len(self._signals) > 1 or state.should_terminate not in {None, False}

    @property
    def over(self) -> bool:
        """Whether what runs must end now."""
        return self.urgent or time.monotonic() >= self._until
