"""Runs one command so that nothing of it survives the process that asked for it. A program: standard library only.

    python -I -S leash.py GRACE_S PARENT LOCK_DESCRIPTOR LOCK_PATH [PATH...] -- COMMAND...

Standard input is a pipe whose other end only the parent holds: each byte in it is a signal for the command; its end, or
another parent process, means that the parent is gone. Then the command gets SIGTERM and GRACE_S seconds, all that
descends from it is killed, the PATHs are removed, and the lock file too if nobody else holds it.
Standard output gets the command's process id, standard error what the command prints.
The exit status is the command's; 128 + n if signal n ended it.
"""

import contextlib
import ctypes
import fcntl
import os
import select
import signal
import subprocess
import sys
import time
from pathlib import Path
from types import FrameType

PR_SET_PDEATHSIG, PR_SET_CHILD_SUBREAPER = 1, 36
KILL_ROUNDS_S = 5.0
PARENT_CHECK_S = 1.0
DEFAULT_SIGNALS = ("SIGCHLD", "SIGHUP", "SIGINT", "SIGPIPE", "SIGTERM", "SIGXFSZ")


def control_process(option: int, value: int) -> None:
    """Linux's prctl: become the parent of orphaned descendants, or die with the parent. Elsewhere groups must do."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(option, value, 0, 0, 0)


def launch(command: list[str]) -> int:
    """Start the command in a process group of its own, to die with this process, its output on our standard error."""
    ours = os.getpid()
    pid = os.fork()
    if pid:
        return pid
    try:
        control_process(PR_SET_PDEATHSIG, signal.SIGKILL)
        if os.getppid() != ours:
            os._exit(128 + signal.SIGKILL)
        os.setpgid(0, 0)
        for name in DEFAULT_SIGNALS:  # Python ignores some, and what is ignored stays so in the command
            signal.signal(getattr(signal, name), signal.SIG_DFL)
        os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
        os.dup2(2, 1)
        os.execvp(command[0], command)  # noqa: S606 - the command comes from our own parent, no shell is wanted
    except OSError as error:
        os.write(2, f"cannot start {command[0]}: {error.strerror}\n".encode())
    os._exit(127)


def wake_on_signals() -> int:
    """A descriptor that becomes readable with every signal, so that one wait hears of children and of the pipe."""
    reader, writer = os.pipe()
    os.set_blocking(reader, False)
    os.set_blocking(writer, False)
    signal.set_wakeup_fd(writer, warn_on_full_buffer=False)
    signal.signal(signal.SIGCHLD, ignore)
    for number in (signal.SIGINT, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    return reader


def ignore(_number: int, _frame: FrameType | None) -> None:
    """A signal that only has to wake us."""


class Leash:
    """Watches the command and the parent until one of them ends."""

    def __init__(self, grace_s: float, parent: int, command: list[str]) -> None:
        self.grace_s = grace_s
        self.parent = parent
        self.status: int | None = None
        self.orphaned = False
        self.deadline = float("inf")
        self.wake = wake_on_signals()
        control_process(PR_SET_CHILD_SUBREAPER, 1)
        self.pid = launch(command)
        signal.signal(signal.SIGTERM, self._asked_to_end)
        with contextlib.suppress(BrokenPipeError):  # the parent died already; the first look at the pipe will tell
            os.write(1, b"%d\n" % self.pid)

    def _asked_to_end(self, _number: int, _frame: FrameType | None) -> None:
        self.end()

    def watch(self) -> int:
        """The command's exit status, once it and everything it started are gone."""
        while self.status is None:
            timeout = max(0.0, min(PARENT_CHECK_S, self.deadline - time.monotonic()))
            readable, _, _ = select.select([0, self.wake] if not self.orphaned else [self.wake], [], [], timeout)
            if self.wake in readable:
                with contextlib.suppress(BlockingIOError):
                    os.read(self.wake, 512)
            self.obey(0 in readable)
            self.collect()
            if time.monotonic() >= self.deadline:
                break
        self.kill_all()
        return self.status if self.status is not None else 128 + signal.SIGKILL

    def obey(self, readable: bool) -> None:
        """Pass the parent's signals on; without a parent, end."""
        orders = os.read(0, 64) if readable else b""
        for number in orders:
            self.send(self.pid, number)
        if not self.orphaned and ((readable and not orders) or os.getppid() != self.parent):
            self.orphaned = True
            self.end()

    def end(self) -> None:
        """Ask the command to stop, once."""
        if self.deadline == float("inf"):
            self.deadline = time.monotonic() + self.grace_s
            self.send(self.pid, signal.SIGTERM)

    def send(self, pid: int, number: int) -> None:
        """Signal a process that may have ended already."""
        if self.status is None or pid != self.pid:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, number)

    def collect(self) -> bool:
        """Take note of what has ended, adopted orphans included; whether any child is left."""
        try:
            while True:
                pid, status = os.waitpid(-1, os.WNOHANG)
                if pid == 0:
                    return True
                if pid == self.pid:
                    code = os.waitstatus_to_exitcode(status)
                    self.status = code if code >= 0 else 128 - code
        except ChildProcessError:
            return False

    def kill_all(self) -> None:
        """Kill the command's group and every descendant, round after round: each death can orphan new ones to us."""
        victims = descendants(os.getpid())
        with contextlib.suppress(ProcessLookupError, PermissionError):  # macOS says permission for a dead group
            os.killpg(self.pid, signal.SIGKILL)
        deadline = time.monotonic() + KILL_ROUNDS_S
        while (victims or self.collect()) and time.monotonic() < deadline:
            for pid in victims:
                self.send(pid, signal.SIGKILL)
            time.sleep(0.005)
            victims = descendants(os.getpid()) if self.collect() else []


def descendants(root: int) -> list[int]:
    """Every process below `root`, nearest first."""
    children: dict[int, list[int]] = {}
    for pid, parent in process_table():
        children.setdefault(parent, []).append(pid)
    found = list(children.get(root, ()))
    for pid in found:
        found.extend(children.get(pid, ()))
    return found


def process_table() -> list[tuple[int, int]]:
    """(process, parent) of all processes: from /proc, else from ps, which small Linux images lack."""
    table: list[tuple[int, int]] = []
    if sys.platform == "linux":
        for stat in Path("/proc").glob("[0-9]*/stat"):
            with contextlib.suppress(OSError):  # it may just have ended
                table.append((int(stat.parent.name), int(stat.read_text().rpartition(")")[2].split()[1])))
        return table
    lines = subprocess.check_output(["/bin/ps", "-axo", "pid=,ppid="], text=True).splitlines()
    return [(int(pid), int(parent)) for pid, parent in (line.split() for line in lines)]


def tidy(paths: list[str]) -> None:
    """Remove what the parent would have removed: files, sockets, empty folders."""
    for path in map(Path, paths):
        with contextlib.suppress(FileNotFoundError):
            (path.rmdir if path.is_dir() else path.unlink)()


def unlock(descriptor: int, path: str) -> None:
    """Let go of the lock and remove its file unless another process still holds it or holds it again."""
    os.close(descriptor)
    with contextlib.suppress(FileNotFoundError, BlockingIOError):
        again = os.open(path, os.O_RDWR)
        fcntl.flock(again, fcntl.LOCK_EX | fcntl.LOCK_NB)
        if os.fstat(again).st_ino == Path(path).stat().st_ino:
            Path(path).unlink()


def main(arguments: list[str]) -> int:
    """Read the command line described above and do it."""
    split = arguments.index("--")
    grace_s, parent, descriptor, lock_path, *paths = arguments[:split]
    leash = Leash(float(grace_s), int(parent), arguments[split + 1 :])
    status = leash.watch()
    if leash.orphaned:
        tidy(paths)
        unlock(int(descriptor), lock_path)
    return status


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
