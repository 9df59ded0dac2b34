"""One run of one command on a leash: it and all it starts end with us, whatever ends us."""

import contextlib
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from orchestrator.fleet.lock import HomeLock

_LEASH = Path(__file__).with_name("leash.py")
_LEASH_PATIENCE_S = 8.0  # longer than the leash needs to kill a stubborn tree
_LOG_BYTES = 10_000_000
_LOG_TAIL_BYTES = 65_536


@dataclass(frozen=True)
class Estate:
    """What our processes share and leave behind: the lock they hold, the files removed when we are no more."""

    lock: HomeLock
    files: tuple[Path, ...] = ()
    grace_s: float = 2.0


class Process:
    """A running command; its output goes to `log`."""

    def __init__(self, argv: Sequence[str], env: Mapping[str, str], log: Path, estate: Estate) -> None:
        self.log = _rotate(log)
        self._log_start = log.stat().st_size if log.exists() else 0
        lock = estate.lock
        leash = [str(estate.grace_s), str(os.getpid()), str(lock.descriptor), str(lock.path), *map(str, estate.files)]
        self._asked_to_end = False
        self._pid: int | None = None
        self._pid_guard = threading.Lock()
        reader, writer = os.pipe()
        self._orders = os.fdopen(writer, "wb", buffering=0)  # an object: even if we are interrupted here, it is closed
        try:
            with log.open("ab") as output:
                self._leash = subprocess.Popen(  # noqa: S603 - our own interpreter, our own program
                    [sys.executable, "-I", "-S", str(_LEASH), *leash, "--", *argv],
                    stdin=reader,
                    stdout=subprocess.PIPE,
                    stderr=output,
                    env=dict(env),
                    start_new_session=True,  # the terminal's Ctrl-C is for us alone
                    pass_fds=(lock.descriptor,),
                )
        except BaseException:
            self._orders.close()
            raise
        finally:
            os.close(reader)

    @property
    def pid(self) -> int:
        """The command's process id, which the leash prints; 0 if it never started."""
        with self._pid_guard:
            if self._pid is None:
                assert self._leash.stdout is not None
                self._pid = int(self._leash.stdout.readline() or 0)
            return self._pid

    @property
    def running(self) -> bool:
        """Whether the command or anything it started still runs."""
        return self._leash.poll() is None

    def output(self) -> str:
        """The last of what this run has printed."""
        with self.log.open("rb") as log:
            log.seek(max(self._log_start, self.log.stat().st_size - _LOG_TAIL_BYTES))
            return log.read().decode(errors="replace")

    def signal(self, number: int) -> None:
        """Send a signal to the command, if it still runs."""
        with contextlib.suppress(BrokenPipeError, ValueError):  # it has ended, and perhaps the pipe is closed
            self._orders.write(bytes([number]))

    def wait(self, timeout_s: float | None = None) -> int:
        """The exit status; 128 + n if signal n ended it.

        Raises:
            subprocess.TimeoutExpired: it still runs.
        """
        status = self._leash.wait(timeout_s)
        if status < 0 and self.pid:  # the leash itself was killed; on Linux its command died with it
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(self.pid, signal.SIGKILL)
        return status if status >= 0 else 128 - status

    def ask_to_end(self) -> None:
        """SIGTERM, once: a second one means haste to some programs."""
        if not self._asked_to_end:
            self._asked_to_end = True
            self.signal(signal.SIGTERM)

    def end(self, grace_s: float) -> None:
        """Ask the command to stop; kill it and all it started when the grace is over."""
        self.ask_to_end()
        try:
            self.wait(grace_s)
        except subprocess.TimeoutExpired:
            self.kill()

    def kill(self) -> None:
        """Kill the command; the leash kills what it had started."""
        self.signal(signal.SIGKILL)
        try:
            self.wait(_LEASH_PATIENCE_S)
        except subprocess.TimeoutExpired:
            self._leash.kill()
            self.wait()

    def close(self) -> None:
        """Let go of the pipes; a process still running ends now, as if we had died."""
        self._orders.close()
        with self._pid_guard:
            self._pid = self._pid or 0
            assert self._leash.stdout is not None
            self._leash.stdout.close()


def _rotate(log: Path) -> Path:
    """Keep one older log when this one has grown large."""
    if log.exists() and log.stat().st_size > _LOG_BYTES:
        log.replace(log.with_suffix(".log.1"))
    return log
