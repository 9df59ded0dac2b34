"""One owner of a folder at a time: a file lock that the kernel releases when the last process holding it is gone.

The lock is inherited by the processes that use the folder, so a successor waits until the last of them has ended, even
if their parent was killed.
"""

import fcntl
import os
import time
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

from orchestrator.errors import SurefootError
from orchestrator.fleet.interrupts import deferred

_POLL_S = 0.02


class HomeInUse(SurefootError):
    """Another process already runs on this home."""


def alive(pid: int) -> bool:
    """Whether the process still runs; one that is dead and only waits to be collected does not."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in {"Z", "X"}
    except OSError:
        return True  # no /proc here (macOS): the signal's answer stands


class HomeLock:
    """The lock of one folder; `path` is the file, with the owner's id in it."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._descriptor: int | None = None

    @property
    def held(self) -> bool:
        """Whether we hold it."""
        return self._descriptor is not None

    @property
    def descriptor(self) -> int:
        """What child processes inherit so that they hold it too."""
        assert self._descriptor is not None, "not locked"
        return self._descriptor

    def acquire(self, patience_s: float = 20.0) -> None:
        """Take the lock. The processes of an owner that died are waited for; a living owner is an error.

        Raises:
            HomeInUse: names the process that holds it.
        """
        deadline = time.monotonic() + patience_s
        while not self._try():
            owner = _owner(self.path)
            if (owner and alive(owner)) or time.monotonic() > deadline:
                who = f"process {owner}" if owner and alive(owner) else "what a dead process left running"
                raise HomeInUse(f"Surefoot already runs on {self.path.parent} ({who}); stop it, or set SUREFOOT_HOME")
            time.sleep(_POLL_S)

    def release(self) -> None:
        """Let go, and remove the file unless another process still holds it or has just taken it."""
        with deferred():
            if self._descriptor is None:
                return
            os.close(self._descriptor)
            self._descriptor = None
            again = _attempt(self.path)
            if again is not None:
                self.path.unlink(missing_ok=True)
                os.close(again)

    def _try(self) -> bool:
        with deferred():
            self._descriptor = _attempt(self.path)
            if self._descriptor is not None:
                os.ftruncate(self._descriptor, 0)
                os.pwrite(self._descriptor, f"{os.getpid()}\n".encode(), 0)
        return self.held


@contextmanager
def abandoned(path: Path) -> Generator[bool]:
    """Whether a lock file is there whose owners are all dead; until the end nobody can take it, then it is gone."""
    descriptor = _attempt(path) if path.exists() else None
    try:
        yield descriptor is not None
    finally:
        if descriptor is not None:
            path.unlink(missing_ok=True)
            os.close(descriptor)


def _attempt(path: Path) -> int | None:
    """The locked descriptor of the file that is at `path` now, or None."""
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        if os.fstat(descriptor).st_ino == path.stat().st_ino:
            return descriptor
    except (BlockingIOError, FileNotFoundError):
        pass  # held by another, or removed by its last owner between our two looks
    os.close(descriptor)
    return None


def _owner(path: Path) -> int | None:
    """The process id in the file; none while its owner is just writing or removing it."""
    try:
        return int(path.read_text())
    except (ValueError, FileNotFoundError):
        return None
