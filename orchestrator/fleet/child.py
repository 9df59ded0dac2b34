"""A command that is kept running: a death is followed by a restart with backoff, a crash loop by giving up."""

import os
import signal
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import Any

import structlog

from orchestrator.errors import SurefootError
from orchestrator.fleet.interrupts import deferred
from orchestrator.fleet.process import Estate, Process

_POLL_S = 0.02
_FIRST_BACKOFF_S = 0.1
_SHORT_LIFE_S = 10.0  # dying younger than this is a step towards giving up
_RESTART_PATIENCE_S = 15.0
_LAST_LINES = 12
_BY_SIGNAL = 128
_log: Any = structlog.get_logger(__name__)


class ChildFailed(SurefootError):
    """A process of ours does not run; the message has the last it said."""


class ChildState(StrEnum):
    """What a child does at the moment."""

    RUNNING = "running"
    RESTARTING = "restarting"
    STOPPED = "stopped"
    GAVE_UP = "gave up"


@dataclass(frozen=True)
class ChildStatus:
    """One line of `fleet.status()`."""

    name: str
    state: ChildState
    pid: int
    restarts: int
    log: Path


def _at_once(_child: "Child") -> bool:
    return True


@dataclass(frozen=True, kw_only=True)
class Command:
    """What to run and how to treat it."""

    name: str
    argv: Callable[[], list[str]]
    env: Mapping[str, str] = field(default_factory=lambda: dict(os.environ))
    ready: Callable[["Child"], bool] = _at_once
    grace_s: float = 10.0
    essential: bool = True
    stops_first: bool = False
    short_lives: float = 5  # so many in a row are a crash loop
    longest_backoff_s: float = 5.0


class Child:
    """A supervised command. `start`, `wait_ready`, `stop`; a thread of its own restarts it."""

    def __init__(self, command: Command, logs: Path, estate: Estate) -> None:
        self.command = command
        self.name = command.name
        self.restarts = 0
        self.state = ChildState.STOPPED
        self._log_path = logs / f"{command.name}.log"
        self._estate = estate
        self._process: Process | None = None
        self._stopping = threading.Event()
        self._asked_for = False  # the next death is no accident
        self._been_ready = False
        self._short_lives = 0
        self._guard = threading.Lock()
        self._thread = threading.Thread(target=self._supervise, name=f"child-{command.name}", daemon=True)

    def start(self) -> None:
        """Start the command and its supervision; returns at once."""
        with deferred():
            self._launch()
            self._thread.start()

    def wait_ready(self, timeout_s: float = 30.0) -> None:
        """Wait until the command says that it is ready.

        Raises:
            ChildFailed: it ended before it was ever ready, gave up, or takes too long.
        """
        deadline = time.monotonic() + timeout_s
        while not self.is_ready():
            if self.state in {ChildState.GAVE_UP, ChildState.STOPPED}:
                raise ChildFailed(self.last_words("does not start"))
            if time.monotonic() > deadline:
                raise ChildFailed(self.last_words(f"is not ready after {timeout_s:.0f} s"))
            time.sleep(_POLL_S)
        self._been_ready = True

    def is_ready(self) -> bool:
        """Whether the command runs and says that it is ready."""
        return self.state is ChildState.RUNNING and self.process.running and self.command.ready(self)

    @property
    def process(self) -> Process:
        """The present run, or the last one."""
        assert self._process is not None, f"{self.name} was never started"
        return self._process

    @property
    def pid(self) -> int:
        """The process id of the command; 0 while it does not run."""
        return self.process.pid if self._process and self.state is ChildState.RUNNING else 0

    @property
    def status(self) -> ChildStatus:
        """How it is now."""
        return ChildStatus(self.name, self.state, self.pid, self.restarts, self._log_path)

    def last_words(self, what: str) -> str:
        """A message with the last lines it printed."""
        lines = self.process.output().splitlines()[-_LAST_LINES:] if self._process else []
        return "\n    ".join([f"{self.name} {what}; its log is {self._log_path}", *lines])

    def kill(self) -> None:
        """SIGKILL the command, as a crash would; it is restarted like after any death."""
        if self._process is not None:
            self._process.signal(signal.SIGKILL)

    def tell_again(self) -> None:
        """A second SIGTERM: what it ends in order shall end now."""
        if self._process is not None:
            self._process.signal(signal.SIGTERM)

    def restart(self) -> None:
        """Stop the command in order and start it again at once.

        Raises:
            ChildFailed: it did not come back.
        """
        self._asked_for = True
        before = self.process
        before.end(self.command.grace_s)
        deadline = time.monotonic() + _RESTART_PATIENCE_S
        while self.process is before:
            if time.monotonic() > deadline or self.state in {ChildState.GAVE_UP, ChildState.STOPPED}:
                raise ChildFailed(self.last_words("did not restart"))
            time.sleep(_POLL_S)

    def ask_to_stop(self) -> None:
        """Begin the stop: SIGTERM to the command, and no restart any more."""
        self._stopping.set()
        with self._guard:
            if self._process is not None:
                self._process.ask_to_end()

    def stop(self) -> None:
        """Stop within the grace, then by force; may be called again and in any state."""
        self._stopping.set()
        with self._guard:
            process = self._process
        if process is None:
            return
        process.end(self.command.grace_s)
        if self._thread.is_alive():
            self._thread.join()
        process.close()
        self.state = ChildState.STOPPED

    def _launch(self) -> None:
        with self._guard:
            if self._stopping.is_set():
                return
            previous = self._process
            self._process = Process(self.command.argv(), self.command.env, self._log_path, self._estate)
            self.state = ChildState.RUNNING
        if previous is not None:
            previous.close()

    def _supervise(self) -> None:
        while not self._stopping.is_set():
            born = time.monotonic()
            status = self.process.wait()
            if self._stopping.is_set():
                return
            self.state = ChildState.RESTARTING
            delay_s = self._backoff_s(time.monotonic() - born)
            if delay_s is None:
                _log.error(self.last_words(f"{_how(status)} and is not restarted"))
                self.state = ChildState.GAVE_UP
                return
            if not self._asked_for:
                _log.warning("restarting", child=self.name, because=_how(status), delay_s=delay_s)
            self._asked_for = False
            if not self._stopping.wait(delay_s):
                self._relaunch()

    def _relaunch(self) -> None:
        try:
            self._launch()
            self.restarts += 1
        except OSError as error:  # no more processes, no disk: the run that ended is seen once more, with more backoff
            _log.warning("cannot restart", child=self.name, error=str(error))

    def _backoff_s(self, lived_s: float) -> float | None:
        """How long to wait before the next life; None: there is none."""
        if self._asked_for:
            return 0.0
        self._short_lives = self._short_lives + 1 if lived_s < _SHORT_LIFE_S else 1
        never_ready = not self._been_ready and self.command.ready is not _at_once
        if never_ready or self._short_lives >= self.command.short_lives:
            return None
        return min(self.command.longest_backoff_s, _FIRST_BACKOFF_S * 2.0 ** min(self._short_lives - 1, 10))


def _how(status: int) -> str:
    """How a process ended, in words."""
    if status <= _BY_SIGNAL:
        return f"ended with status {status}"
    try:
        return f"was ended by {signal.Signals(status - _BY_SIGNAL).name}"
    except ValueError:
        return f"ended with status {status}"
