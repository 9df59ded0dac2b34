"""What the documents say is what the code does."""

import json
import re
import sys
from pathlib import Path
from typing import Any

from pydantic import SecretStr

from orchestrator import Orchestrator
from orchestrator.settings import Settings
from orchestrator.status import JOB_MOVES
from tests.support.stage import ROOT, stage
from tools.config import Extras
from tools.travel.settings import TravelSettings

README = (ROOT / "README.md").read_text()


def blocks(language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", README, re.DOTALL)


def test_every_setting_has_its_row() -> None:
    text = (ROOT / "docs/configuration.md").read_text()
    rows = re.findall(r"^\| `SUREFOOT_(\w+)` \| (?:`(.+?)` )?\| (.+) \|$", text, re.MULTILINE)
    fields = {**TravelSettings.model_fields, **Settings.model_fields}
    said = [(name.upper(), written(field.default), field.description) for name, field in fields.items()]
    assert sorted(rows) == sorted(said)
    shared = TravelSettings.model_fields.keys() & Settings.model_fields.keys()
    assert {name: TravelSettings.model_fields[name].default for name in shared} == {
        name: Settings.model_fields[name].default for name in shared
    }


def written(default: Any) -> str:
    """A default as it stands in the environment."""
    if isinstance(default, SecretStr):
        return default.get_secret_value()
    return "" if default is None else ",".join(default) if isinstance(default, tuple) else str(default)


def test_every_field_of_the_surefoot_block_has_its_row() -> None:
    text = (ROOT / "docs/configuration.md").read_text().partition("`surefoot` block per server")[2]
    assert set(re.findall(r"^\| `(\w+)`", text, re.MULTILINE)) == set(Extras.model_fields)


def test_the_drawn_status_machine_is_the_one_in_the_code() -> None:
    drawn = set(re.findall(r"^    (\w+) --> (\w+)$", (ROOT / "docs/guarantees.md").read_text(), re.MULTILINE))
    assert drawn == {(str(one), str(other)) for one, others in JOB_MOVES.items() for other in others}


def test_every_test_that_a_page_names_is_there() -> None:
    pages = [*ROOT.glob("docs/*.md"), ROOT / "README.md", ROOT / "CONTRIBUTING.md"]
    named = {name for page in pages for name in re.findall(r"\btests/[\w/.]*\w", page.read_text())}
    assert len(named) > 50
    assert [name for name in sorted(named) if not (ROOT / name).exists()] == []


def test_the_example_in_the_readme_is_the_example() -> None:
    example = (ROOT / "examples/clock.py").read_text()
    assert blocks("python")[1] in example


def test_the_example_of_a_step_that_asks_is_one_that_is_tested() -> None:
    text = (ROOT / "docs/questions.md").read_text()
    example = re.findall(r"```python\n(.*?)```", text, re.DOTALL)[0]
    assert example in (ROOT / "tests/support/flows.py").read_text()


def test_the_example_runs_on_a_foreign_tool_server(tmp_path: Path) -> None:
    config = json.loads(blocks("json")[0])
    config["mcpServers"]["time"]["command"] = sys.executable
    (tmp_path / "time.json").write_text(json.dumps(config))
    more = {"mcp_config": tmp_path / "time.json", "workflows": "examples.clock"}
    with stage(tmp_path, **more) as played:
        played.worker()
        app = Orchestrator(redis_url=played.server.url, workflows=("examples.clock",), trace=False)
        assert "timezone" in app.submit({"timezone": "Europe/Vienna"}, workflow="clock").result(90)["now"]
