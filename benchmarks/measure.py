"""CPU and memory of process trees, from /proc."""

import os
import threading
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Self

PROC = Path("/proc")
TICKS_A_SECOND = os.sysconf("SC_CLK_TCK")
EVERY_S = 0.2


@dataclass(frozen=True)
class Usage:
    """What some processes used while they were watched."""

    cpu_s: float
    pss_mb: float


@dataclass(frozen=True)
class Process:
    """One line of /proc/<pid>/stat; `started` tells two processes of the same id apart."""

    pid: int
    parent: int
    started: int
    cpu_s: float


class Watch:
    """Watches the trees of some processes: `with Watch(pids) as watch: ...; watch.usage`.

    CPU is read at the start and the end, and in between for children that do not live to the end.
    Memory is the peak of the summed PSS: shared pages count once.
    """

    def __init__(self, roots: Iterable[int]) -> None:
        self._roots = set(roots)
        self._before: dict[tuple[int, int], float] = {}
        self._last: dict[tuple[int, int], float] = {}
        self._pss_kb = 0
        self._done = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)

    def __enter__(self) -> Self:
        self._before = {(one.pid, one.started): one.cpu_s for one in trees(self._roots)}
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._done.set()
        self._thread.join()
        self._look()

    @property
    def usage(self) -> Usage:
        """The figures, once the watch has ended."""
        cpu_s = sum(cpu_s - self._before.get(key, 0.0) for key, cpu_s in self._last.items())
        return Usage(cpu_s, self._pss_kb / 1024)

    def _run(self) -> None:
        while not self._done.wait(EVERY_S):
            self._look()

    def _look(self) -> None:
        seen = trees(self._roots)
        self._last.update({(one.pid, one.started): one.cpu_s for one in seen})
        self._pss_kb = max(self._pss_kb, sum(_pss_kb(one.pid) for one in seen))


def trees(roots: Iterable[int]) -> list[Process]:
    """These processes and all their descendants, of those that live."""
    processes = {one.pid: one for path in PROC.iterdir() if path.name.isdigit() and (one := _process(path))}
    found = set(roots) & processes.keys()
    while more := {pid for pid, one in processes.items() if one.parent in found} - found:
        found |= more
    return [_finer(processes[pid]) for pid in found]


def _process(folder: Path) -> Process | None:
    try:
        stat = (folder / "stat").read_text()
    except OSError:  # it has ended
        return None
    words = stat.rsplit(")", 1)[1].split()
    return Process(int(folder.name), int(words[1]), int(words[19]), (int(words[11]) + int(words[12])) / TICKS_A_SECOND)


def _finer(process: Process) -> Process:
    """With the scheduler's own count of its threads: nanoseconds, where a tick is 10 ms; but of those that live."""
    spent_ns = 0
    for thread in (PROC / str(process.pid)).glob("task/*/schedstat"):
        with suppress(OSError):  # it has ended
            spent_ns += int(thread.read_text().split()[0])
    return replace(process, cpu_s=max(process.cpu_s, spent_ns / 1e9))


def _pss_kb(pid: int) -> int:
    try:
        rollup = (PROC / str(pid) / "smaps_rollup").read_text()
    except OSError:  # it has ended
        return 0
    return next((int(line.split()[1]) for line in rollup.splitlines() if line.startswith("Pss:")), 0)
