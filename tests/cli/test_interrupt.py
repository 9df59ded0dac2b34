"""Ctrl-C while Python still imports: status 130, no traceback."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.stage import ROOT
from tests.support.waiting import wait_until

SLOW_IMPORT = """
import sys, time
class Slow:
    def find_spec(self, name, path=None, target=None):
        if name == "pydantic":
            print("importing", flush=True)
            time.sleep(600)
sys.meta_path.insert(0, Slow())
"""


@pytest.mark.parametrize("words", ["demo", "up", "worker", "-m workers", "-m workers.sweeper"])
def test_ctrl_c_while_importing_is_quiet(tmp_path: Path, words: str) -> None:
    (tmp_path / "sitecustomize.py").write_text(SLOW_IMPORT)
    said = tmp_path / "said"
    with said.open("wb") as output:
        process = subprocess.Popen(
            [sys.executable, "-m", "surefoot", *words.split()],
            env={**os.environ, "PYTHONPATH": f"{tmp_path}:{ROOT}"},
            cwd=ROOT,
            stdout=output,
            stderr=output,
        )
    try:
        wait_until(lambda: b"importing" in said.read_bytes(), "it imports")
        process.send_signal(signal.SIGINT)
        assert process.wait(60) == 130
        assert said.read_bytes() == b"importing\n"
    finally:
        process.kill()
        process.wait()
