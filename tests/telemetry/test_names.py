"""The table of names: no name twice, no name unused, and no name anywhere else."""

import re
from enum import StrEnum
from itertools import chain
from pathlib import Path

from opentelemetry.semconv._incubating.attributes import gen_ai_attributes

from orchestrator.telemetry import names

ROOT = Path(__file__).parents[2]
NAMES = ROOT / "orchestrator/telemetry/names.py"
CONSTANTS = {name: value for name, value in vars(names).items() if name.isupper() and isinstance(value, str)}
ENUMS = [found for found in vars(names).values() if isinstance(found, type) and issubclass(found, StrEnum)]


def source_files() -> list[Path]:
    return [path for room in ("orchestrator", "workers") for path in (ROOT / room).rglob("*.py") if path != NAMES]


def test_no_name_stands_for_two_things() -> None:
    assert len(set(CONSTANTS.values())) == len(CONSTANTS)
    for enum in ENUMS:
        assert len({member.value for member in enum}) == len(list(enum))


def test_every_name_is_used_in_code() -> None:
    code = "\n".join(path.read_text() for path in source_files())
    unused = [name for name in CONSTANTS if not re.search(rf"\b{name}\b", code)]
    assert unused == []


def test_every_happening_and_stage_happens_somewhere() -> None:
    code = "\n".join(path.read_text() for path in source_files())
    named = [
        f"{enum.__name__}.{member.name}" for enum in (names.Happening, names.Stage, names.Metric) for member in enum
    ]
    assert [name for name in named if not re.search(rf"\b{re.escape(name)}\b", code)] == []


def test_no_other_module_spells_a_name_out() -> None:
    spelled = re.compile("|".join(re.escape(f'"{value}"') for value in CONSTANTS.values() if "." in value))
    found = {str(path): spelled.findall(path.read_text()) for path in source_files()}
    assert {path: names for path, names in found.items() if names} == {}


def test_the_genai_names_are_those_of_the_convention() -> None:
    official = {value for name, value in vars(gen_ai_attributes).items() if name.startswith("GEN_AI_")}
    values = gen_ai_attributes.GenAiOperationNameValues  # pyright: ignore[reportDeprecated]
    operations = {member.value for member in values}
    ours = {value for value in CONSTANTS.values() if value.startswith("gen_ai.")}
    assert ours <= official
    assert {names.INVOKE_WORKFLOW, names.INVOKE_AGENT, names.EXECUTE_TOOL} <= operations


def test_what_is_ours_says_so() -> None:
    ours = chain(CONSTANTS.values(), names.Happening, names.Metric)
    dotted = [name for name in ours if "." in name]
    assert all(re.match(r"surefoot\.|gen_ai\.|error\.|exception\.|service\.", name) for name in dotted)


def test_the_docs_page_lists_every_name_and_no_other() -> None:
    page = (ROOT / "docs/telemetry.md").read_text()
    shown = set(re.findall(r"`([^`]+)`", page))
    ours = {value for value in CONSTANTS.values() if "." in value}
    members = {member.value for enum in ENUMS for member in enum}
    assert {name for name in ours | members if name not in shown} == set()
    table = set(re.findall(r"(?m)^\| `([a-z_]+(?:\.[a-z_]+)+)` \|", page))
    assert table == ours | set(names.Metric)
