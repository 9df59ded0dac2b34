"""Two workflows of one name, in different files, are a mistake that is named; the same file may be imported again."""

import importlib
import sys
from pathlib import Path

import pytest

from orchestrator import InvalidRequest
from orchestrator.workflow import catalogue

MODULE = """
from pydantic import BaseModel
from orchestrator import Plan, Workflow
class Request(BaseModel):
    item: str
Workflow("twice", request=Request, plan=lambda _: Plan.chain("a"))
"""


def test_two_files_with_one_name_are_refused_and_a_reload_is_not(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setattr(catalogue, "workflows", dict(catalogue.workflows))
    for name in ("flows_one", "flows_two"):
        (tmp_path / f"{name}.py").write_text(MODULE)
    one = importlib.import_module("flows_one")
    importlib.reload(one)
    sys.modules.pop("flows_one")
    importlib.import_module("flows_one")

    with pytest.raises(
        InvalidRequest, match=r"two workflows are named 'twice', in .*flows_one\.py and .*flows_two\.py"
    ):
        catalogue.load(["flows_two"])
    assert catalogue.workflow("twice").defined_in.endswith("flows_one.py")
