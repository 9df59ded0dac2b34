"""`surefoot doctor`: each thing that may be wrong with an installation is named, with what to do."""

import json
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest
from typer.testing import CliRunner

from orchestrator.cli import app
from orchestrator.state import keys
from orchestrator.state.client import SyncClient
from orchestrator.state.client import without_loop as do
from orchestrator.state.durability import foreseen
from tests.support.valkey import Valkey, valkey

MCP = {"mcpServers": {"desk": {"module": "tests.support.ledger"}}}


@pytest.fixture(scope="module")
def server() -> Iterator[Valkey]:
    with valkey("--appendonly", "yes") as one:
        client = SyncClient(one.url)
        do(client.command("CONFIG", "SET", "requirepass", "right"))
        client.close()
        yield one


@pytest.fixture
def sound(server: Valkey, tmp_path: Path) -> dict[str, str]:
    """The environment of an installation that is in order."""
    (tmp_path / "mcp.json").write_text(json.dumps(MCP))
    return {
        "SUREFOOT_REDIS_URL": f"unix://:right@{server.socket}",
        "SUREFOOT_WORKFLOWS": "tests.support.flows",
        "SUREFOOT_MCP_CONFIG": str(tmp_path / "mcp.json"),
        "SUREFOOT_HOME": str(tmp_path),
        "SUREFOOT_METRICS_PORT": "0",
    }


def findings(environment: dict[str, str], code: int) -> dict[str, str]:
    """What is wrong, by check."""
    done = CliRunner().invoke(app, ["doctor", "--json"], env=environment)
    assert done.exit_code == code, done.output
    return {one["check"]: one["said"] for one in json.loads(done.output) if not one["ok"]}


def test_an_installation_in_order_has_no_finding(sound: dict[str, str]) -> None:
    assert findings(sound, 0) == {}


def test_each_fault_is_a_finding_of_its_own(sound: dict[str, str], server: Valkey, tmp_path: Path) -> None:
    (tmp_path / "broken.json").write_text('{"mcpServers": {"x": {}}}')
    with socket.create_server(("127.0.0.1", 0)) as taken:
        taken.settimeout(0)
        port = str(taken.getsockname()[1])
        wrong = {
            "SUREFOOT_REDIS_URL": f"unix://:wrong-secret@{server.socket}",
            "SUREFOOT_BROKER_URL": "amqp://guest:hidden@127.0.0.1:1//",
            "SUREFOOT_WORKFLOWS": "no.such.module",
            "SUREFOOT_MCP_CONFIG": str(tmp_path / "broken.json"),
            "SUREFOOT_METRICS_PORT": port,
        }
        found = findings(sound | wrong, 1)
    assert set(found) == {"Redis", "broker", "workflows", "tools", "port", "workers", "queues"}
    assert "wrong or missing password" in found["Redis"]
    assert "the broker does not answer" in found["broker"]
    assert "'no.such.module', which cannot be imported" in found["workflows"]
    assert "broken.json" in found["tools"]
    assert port in found["port"]
    assert "hidden" not in json.dumps(found)
    assert "wrong-secret" not in json.dumps(found)


def test_a_redis_that_would_lose_jobs_or_is_away_is_named(sound: dict[str, str]) -> None:
    with valkey() as forgetful:
        assert "appendonly yes" in findings(sound | {"SUREFOOT_REDIS_URL": forgetful.url}, 1)["Redis"]
    with valkey("--appendonly", "yes", "--maxmemory", "100mb", "--maxmemory-policy", "allkeys-lru") as evicting:
        assert "set noeviction" in findings(sound | {"SUREFOOT_REDIS_URL": evicting.url}, 1)["Redis"]
        client = SyncClient(evicting.url)
        assert len(do(foreseen(client))) == 1, "the same is said at the start of a worker"
        do(client.command("ACL", "SETUSER", "default", "-info"))
        assert do(foreseen(client)) == [], "where INFO is not ours to ask, work goes on"
        client.close()
    assert "Redis does not answer" in findings(sound | {"SUREFOOT_REDIS_URL": "redis://127.0.0.1:1"}, 1)["Redis"]


def test_a_setting_that_is_nonsense_is_named_at_once(sound: dict[str, str]) -> None:
    found = findings(sound | {"SUREFOOT_LEASE_S": "soon"}, 2)
    assert list(found) == ["settings"]
    assert "SUREFOOT_LEASE_S='soon'" in found["settings"]


def test_a_redis_that_is_almost_full_and_a_rule_for_no_tool_are_named(sound: dict[str, str], tmp_path: Path) -> None:
    idle = {"mcpServers": {"desk": {"module": "tests.support.ledger", "surefoot": {"approve": {"bok": "always"}}}}}
    (tmp_path / "idle.json").write_text(json.dumps(idle))
    with valkey("--appendonly", "yes", "--maxmemory", "2mb") as full:
        client = SyncClient(full.url)
        do(client.command("CONFIG", "SET", "maxmemory", 1_000_000))
        client.close()
        wrong = {"SUREFOOT_REDIS_URL": full.url, "SUREFOOT_MCP_CONFIG": str(tmp_path / "idle.json")}
        found = findings(sound | wrong, 1)
    assert "raise maxmemory" in found["Redis"]
    assert found["tools"].endswith("idle.json: rules for tools that there are not: server 'desk': approve 'bok'")


def test_steps_that_nobody_takes_are_named_with_their_queue(sound: dict[str, str]) -> None:
    with valkey("--appendonly", "yes") as server:
        environment = sound | {"SUREFOOT_REDIS_URL": server.url}
        client = SyncClient(server.url)
        do(client.command("SADD", keys.INDEXES["queues"], "slow"))
        do(client.command("ZADD", keys.FAMILIES["ready"] + "slow", 1, "0.a"))  # since 1970
        client.close()
        found = findings(environment, 1)
    assert "steps wait (1): start one with surefoot worker" in found["workers"]
    assert "a step in queue slow has waited for" in found["queues"]
    assert "surefoot worker --queues slow" in found["queues"]
