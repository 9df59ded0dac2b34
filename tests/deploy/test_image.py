"""The Dockerfile installs what the Makefile installs, and copies everything the processes need."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.deploy.plain import SERVICES
from tests.support.stage import ROOT

TEXT = (ROOT / "Dockerfile").read_text()
COPIED = [word for line in re.findall(r"^COPY (.+)$", TEXT, re.MULTILINE) for word in line.split()[:-1]]


def test_it_installs_the_locks_in_the_makefiles_two_steps() -> None:
    wanted = re.findall(
        r"install (--require-hashes .+|--no-deps --no-build-isolation -e \.)$", _first_steps(), re.MULTILINE
    )
    assert len(wanted) == 3
    for step in wanted:
        assert f"pip install {step}" in TEXT


def _first_steps() -> str:
    makefile = (ROOT / "Makefile").read_text()
    return makefile[makefile.index(".venv/installed:") : makefile.index(".venv/installed-dev:")]


def test_what_it_copies_is_in_the_context_and_nothing_else_is() -> None:
    rules = [line for line in (ROOT / ".dockerignore").read_text().splitlines() if line and not line.startswith("#")]
    assert rules[0] == "*"
    assert {rule.removeprefix("!") for rule in rules if rule.startswith("!")} == set(COPIED)
    assert all((ROOT / name).exists() for name in COPIED)


def test_the_user_is_not_root_and_owns_the_volumes_it_writes() -> None:
    assert re.search(r"^USER surefoot$", TEXT, re.MULTILINE)
    owned = re.search(r"chown surefoot (.+)$", TEXT, re.MULTILINE)
    assert owned
    ours = [service for service in SERVICES.values() if service["image"] == "surefoot"]
    mounts = {mount.split(":")[1] for each in ours for mount in each.get("volumes", []) if not mount.endswith(":ro")}
    assert mounts <= set(owned[1].split())


@pytest.mark.parametrize("module", ["workers", "workers.sweeper", "tools.travel.flights", "orchestrator.cli"])
def test_what_is_copied_is_enough(module: str, tmp_path: Path) -> None:
    """Only the copied files are on the path: imports, Lua scripts and package data must be among them."""
    for name in COPIED:
        source, target = ROOT / name, tmp_path / name
        if source.is_dir():
            shutil.copytree(source, target, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copy(source, target)
    program = f"import {module} as found, orchestrator.state.scripts; print(found.__file__)"
    environment = {**os.environ, "PYTHONPATH": str(tmp_path), "PYTHONDONTWRITEBYTECODE": "1"}
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=tmp_path, env=environment, capture_output=True, text=True, check=False
    )
    assert done.stdout.startswith(str(tmp_path)), done.stderr
