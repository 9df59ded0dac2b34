"""Routing by a real embedding: in a worker, offline; imported late, and missed with a clear word."""

import importlib.util
import os
import subprocess
import sys

import pytest

from orchestrator import InvalidRequest
from orchestrator.patterns import wordllama
from tests.support.stage import ROOT, Stage


@pytest.mark.xdist_group("patterns")
def test_a_request_goes_to_the_part_whose_examples_are_near(played: Stage) -> None:
    job = played.app.submit({"text": "is it going to rain on Sunday?"}, workflow="routed-by-embedding")

    assert job.result(60)["who"] == "sky"
    decided = job.steps[0].output
    assert decided["confidence"]["sky"] > 0.4 > max(decided["confidence"][other] for other in ("air", "bed"))
    assert "sky: 'will it rain?'" in decided["why"]


@pytest.mark.xdist_group("patterns")
def test_it_may_be_near_to_several_parts_or_to_none(played: Stage) -> None:
    both = played.app.submit({"text": "a flight there and a room in a hotel"}, workflow="routed-by-embedding")
    none = [played.app.submit({"text": text}, workflow="routed-by-embedding") for text in ("explain tax law", "", "🦩")]

    assert sorted(both.result(60)) == ["air", "bed"]
    for job in none:
        assert job.result(60) == ["router"]
        assert job.steps[0].output["fallback"] is True


def test_without_the_extra_it_is_refused_where_it_is_defined(monkeypatch: pytest.MonkeyPatch) -> None:
    def nothing(name: str) -> None:
        assert name == "wordllama"

    monkeypatch.setattr(importlib.util, "find_spec", nothing)
    with pytest.raises(InvalidRequest, match=r"pip install 'surefoot\[router\]'"):
        wordllama()


def test_it_is_imported_when_the_first_text_is_compared_and_leaves_logging_alone() -> None:
    code = """
import asyncio, logging, sys
from orchestrator.patterns import wordllama
embed = wordllama()
assert "wordllama" not in sys.modules and "numpy" not in sys.modules
one, other = asyncio.run(embed(["a plane", "a plane"]))
assert one == other and len(one) == 256 and "wordllama" in sys.modules
assert logging.getLogger().handlers == []
"""
    ran = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, env=os.environ, capture_output=True, text=True, check=False
    )
    assert ran.returncode == 0, ran.stderr
