"""Python programs run as processes of their own, with a mark by which all that descends from them is found."""

import os
import signal
import subprocess
import sys
import tempfile
import uuid
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.support.waiting import wait_until

# A program that begins with this signals itself at its n-th call after `begin()`: arguments home, n, signal number.
# Where that is in a destructor, from which Python lets no exception out, it does at the first call behind it.
# `end()` prints how many calls there were, by which a test spreads its moments.
AT_A_MOMENT = """
import itertools, os, sys
moment, number = int(sys.argv[2]), int(sys.argv[3])
calls = itertools.count(1)
last = 0
def in_destructor(frame):
    return frame is not None and (frame.f_code.co_name == "__del__" or in_destructor(frame.f_back))
def profile(frame, event, argument):
    global last, moment
    last = next(calls)
    if 0 < moment <= last and not in_destructor(frame):
        moment = 0
        os.kill(os.getpid(), number)
def begin():
    sys.setprofile(profile)
def end():
    sys.setprofile(None)
    print(last)
"""


class Parent:
    """A program in its own process group, as a shell would start it; `home` is a path that carries the mark."""

    def __init__(self, folder: Path) -> None:
        self.mark = f"mark-{uuid.uuid4().hex[:12]}"
        self.home = folder / self.mark
        self.process: subprocess.Popen[str] | None = None

    def run(self, program: str, *arguments: str) -> "Parent":
        environment = {**os.environ, "TEST_MARK": self.mark, "PYTHONUNBUFFERED": "1"}
        self.process = subprocess.Popen(
            [sys.executable, "-c", program, str(self.home), *arguments],
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )
        return self

    def line(self) -> str:
        """The next line it prints."""
        assert self.process
        assert self.process.stdout
        return self.process.stdout.readline().strip()

    def signal_group(self, number: int) -> None:
        """What Ctrl-C in a terminal does."""
        assert self.process
        os.killpg(self.process.pid, number)

    def sigkill(self) -> None:
        assert self.process
        self.process.kill()
        self.process.wait()

    def wait(self) -> str:
        """Wait for its end; the rest of what it printed."""
        assert self.process
        return self.process.communicate(timeout=60)[0]

    def alive(self) -> dict[int, str]:
        """Every process that descends from it, it included, wherever it went: by its environment or command line."""
        return {pid: name for pid, name in _processes(self.mark) if pid != os.getpid()}

    def wait_all_gone(self, timeout_s: float = 15.0) -> None:
        try:
            wait_until(lambda: not self.alive(), "no process is left", timeout_s)
        except AssertionError:
            raise AssertionError(f"still there: {self.alive()}") from None


def _processes(mark: str) -> Iterator[tuple[int, str]]:
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            line = (folder / "cmdline").read_bytes()
            if mark.encode() in line or mark.encode() in (folder / "environ").read_bytes():
                yield int(folder.name), line.replace(b"\0", b" ").decode(errors="replace")[:200]
        except OSError:
            continue  # it has just ended


@contextmanager
def parent() -> Generator[Parent]:
    """A parent whose descendants are killed if a test fails."""
    with tempfile.TemporaryDirectory(prefix="sf-") as folder:  # short: unix sockets
        it = Parent(Path(folder))
        try:
            yield it
        finally:
            for pid in it.alive():
                with_luck(pid)
            if it.process:
                it.process.wait()
                assert it.process.stdout
                it.process.stdout.close()


def with_luck(pid: int) -> None:
    """Kill a process that may have ended."""
    try:
        os.kill(pid, signal.SIGKILL)
    except ProcessLookupError:
        return


def moments(program: str, count: int) -> list[int]:
    """Calls of a program that begins with AT_A_MOMENT, evenly spread."""
    with parent() as it:
        calls = int(it.run(program, "0", "0").wait())
    assert calls > 500
    return [1 + share * calls // count for share in range(count)]
