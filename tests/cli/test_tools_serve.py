"""`surefoot tools serve`: a tool server that others reach under its name."""

import json
import subprocess
import sys
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import httpx2

from tests.support.stage import ROOT

if TYPE_CHECKING:
    from collections.abc import Generator

SUREFOOT = str(Path(sys.executable).with_name("surefoot"))


@contextmanager
def served(home: Path, *words: str) -> "Generator[subprocess.Popen[str]]":
    command = [SUREFOOT, "tools", "serve", "hotels", "--host", "0.0.0.0", *words]
    environment = {"SUREFOOT_HOME": str(home), "PYTHONPATH": str(ROOT)}
    with subprocess.Popen(
        command, cwd=ROOT, env=environment, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
    ) as process:
        try:
            yield process
        finally:
            process.kill()


def answered(url: str, host: str) -> int:
    """The status of a request for this host."""
    return httpx2.post(url, json={}, headers={"host": host}, timeout=60).status_code


def test_a_server_for_others_answers_to_the_names_it_is_given(tmp_path: Path) -> None:
    with served(tmp_path, "--allow-host", "hotels.internal", "--allow-host", "backup") as process:
        assert process.stdout is not None
        url = json.loads(process.stdout.readline())["url"]
        for host in ("hotels.internal", f"backup:{httpx2.URL(url).port}", "127.0.0.1"):
            assert answered(url, host) != 421, host
        assert answered(url, "stranger") == 421
        process.terminate()
        assert process.wait(60) == 0


def test_a_server_for_others_without_a_name_is_refused_with_the_way_out(tmp_path: Path) -> None:
    with served(tmp_path) as process:
        said, _ = process.communicate(timeout=60)
    assert "--host 0.0.0.0 needs --allow-host NAME" in said
    assert process.returncode == 2
