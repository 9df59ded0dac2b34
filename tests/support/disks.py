"""Disks that are really full: a small file system of the test's own, and a limit on what a process may write."""

import os
import resource
import shutil
import subprocess
import tempfile
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

BLOCK = 4_096


@dataclass(frozen=True)
class Disk:
    """A file system of a megabyte."""

    folder: Path

    def fill(self) -> None:
        """Leave not one block free."""
        with (self.folder / "filling").open("wb", buffering=0) as filling:
            try:
                while filling.write(b"x" * BLOCK):
                    pass
            except OSError:
                return

    def free(self) -> None:
        """Make room again."""
        (self.folder / "filling").unlink()


@contextmanager
def small_disk() -> Generator[Disk]:
    """A disk that can be filled. It needs the right to mount: else a failure in CI, and a skip that says so."""
    folder = Path(tempfile.mkdtemp(prefix="sf-disk-"))
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=1m,mode=755", "tmpfs", folder], capture_output=True, text=True, check=False
    )
    try:
        if mounted.returncode:
            missing = f"no right to mount a small disk: {mounted.stderr.strip()}"
            if os.environ.get("CI"):
                pytest.fail(f"{missing}, and this is CI")
            pytest.skip(missing)
        yield Disk(folder)
    finally:
        if not mounted.returncode:
            subprocess.run(["umount", "-l", folder], check=True)
        shutil.rmtree(folder)


@dataclass(frozen=True)
class Limited:
    """A process that may write files of one block only: for it, every disk is full."""

    pid: int

    def fill(self) -> None:
        self._allow(BLOCK)

    def free(self) -> None:
        self._allow(resource.RLIM_INFINITY)

    def _allow(self, size: int) -> None:
        resource.prlimit(self.pid, resource.RLIMIT_FSIZE, (size, resource.RLIM_INFINITY))
