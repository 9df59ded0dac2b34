"""The pytest plugin, and the documented example as whoever follows it runs it."""

import subprocess
import sys
import tomllib

import pytest

from tests.support.stage import ROOT

HEAVY = ("mcp", "httpx2", "uvicorn", "h11", "pydantic", "starlette", "orchestrator", "workers", "celery", "asyncio")


def test_the_plugin_is_announced_and_loads_nothing_heavy() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    (plugin,) = project["entry-points"]["pytest11"].values()
    source = f"import sys, pytest; before = set(sys.modules); import {plugin}; print(*(set(sys.modules) - before))"
    said = subprocess.run([sys.executable, "-c", source], cwd=ROOT, capture_output=True, text=True, check=True)
    loaded = {name.partition(".")[0] for name in said.stdout.split()}
    assert "tools" in loaded
    assert loaded & set(HEAVY) == set()


@pytest.mark.timeout(300)
def test_the_documented_example_is_the_example_and_passes() -> None:
    text = (ROOT / "docs/testing.md").read_text()
    blocks = [block.partition("```")[0] for block in text.split("```python\n")[1:]]
    assert blocks[0] in (ROOT / "examples/shop.py").read_text()
    assert blocks[1] == (ROOT / "examples/test_shop.py").read_text()
    command = [sys.executable, "-m", "pytest", "-q", "-p", "tools.testing.plugin", "examples/test_shop.py"]
    ran = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert ran.returncode == 0, ran.stdout
    assert "2 passed" in ran.stdout
