"""What a killed fleet leaves is removed; what is alive, or a person's own, is not."""

import json
from pathlib import Path

from orchestrator.embedded import EmbeddedServer, leftovers
from orchestrator.embedded.announcement import publish
from orchestrator.fleet.lock import HomeLock
from orchestrator.fleet.roster import write_mcp_config


def killed(home: Path) -> None:
    """As a power cut, or a SIGKILL of everything, leaves it."""
    home.mkdir(exist_ok=True)
    publish(home, redis_url=f"unix://{home}/valkey.sock", broker_url="")
    for name in ("valkey.sock", "embedded.json.draft", "mcp.draft", "embedded.lock", "fleet.lock"):
        (home / name).touch()
    (home / "valkey").mkdir(exist_ok=True)
    (home / "valkey" / "appendonly.aof").touch()


def test_what_a_killed_fleet_left_is_removed_and_the_data_stays(tmp_path: Path) -> None:
    home = tmp_path / "home"
    killed(home)
    write_mcp_config(home / "mcp.json", [])
    removed = leftovers.clear(home)
    assert {path.name for path in removed} >= {
        "valkey.sock",
        "embedded.json",
        "mcp.json",
        "embedded.lock",
        "fleet.lock",
    }
    assert [path.name for path in home.iterdir()] == ["valkey"]
    assert leftovers.clear(home) == []
    assert leftovers.clear(tmp_path / "nothing") == []


def test_a_persons_own_mcp_json_stays(tmp_path: Path) -> None:
    killed(tmp_path)
    for own in ('{"mcpServers": {}}', "not JSON"):
        (tmp_path / "fleet.lock").touch()
        (tmp_path / "mcp.json").write_text(own)
        leftovers.clear(tmp_path)
        assert (tmp_path / "mcp.json").read_text() == own


def test_what_is_alive_stays(tmp_path: Path) -> None:
    with EmbeddedServer(tmp_path) as server:
        fleet = HomeLock(tmp_path / "fleet.lock")
        fleet.acquire()
        write_mcp_config(tmp_path / "mcp.json", [])
        assert leftovers.clear(tmp_path) == []
        assert server.files[0].is_socket()
        assert "mcpServers" in json.loads((tmp_path / "mcp.json").read_text())
        fleet.release()


def test_a_home_that_is_cleared_starts_again(tmp_path: Path) -> None:
    killed(tmp_path)
    (tmp_path / "valkey" / "appendonly.aof").unlink()
    leftovers.clear(tmp_path)
    with EmbeddedServer(tmp_path) as server:
        assert server.pid
