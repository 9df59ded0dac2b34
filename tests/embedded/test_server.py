"""The embedded server keeps its data, its address and its promises about who may use a home."""

import json
import os
import signal
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
import redis

from orchestrator.embedded import EmbeddedServer, EmbeddedServerError, endpoint
from orchestrator.fleet import ChildFailed, HomeInUse
from tests.support.waiting import wait_until


@pytest.fixture
def home() -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="sf-") as folder:  # short: unix sockets
        yield Path(folder) / "home"


def client(server: EmbeddedServer) -> redis.Redis:
    return redis.Redis.from_url(server.redis_url)


def names(home: Path) -> set[str]:
    return {path.name for path in home.iterdir()}


def test_it_is_announced_while_it_runs_and_only_then(home: Path) -> None:
    assert endpoint(home) is None
    with EmbeddedServer(home) as server:
        told = json.loads((home / "embedded.json").read_text())
        assert told == {"redis_url": server.redis_url, "broker_url": server.broker_url, "pid": os.getpid()}
        assert endpoint(home) == server.redis_url == f"unix://{home}/valkey.sock"
        assert server.broker_url == f"redis+socket://{home}/valkey.sock?virtual_host=0"
    assert endpoint(home) is None
    assert names(home) == {"logs", "valkey"}


def test_it_writes_every_change_to_disk_and_never_evicts(home: Path) -> None:
    with EmbeddedServer(home) as server:
        wanted = {
            "appendonly": "yes",
            "appendfsync": "everysec",
            "save": "",
            "maxmemory-policy": "noeviction",
            "port": "0",
        }
        assert client(server).config_get(*wanted) == wanted


def test_data_is_there_after_a_stop_and_a_start(home: Path) -> None:
    with EmbeddedServer(home) as server:
        client(server).set("kept", "yes")
    with EmbeddedServer(home) as server:
        assert client(server).get("kept") == b"yes"


def test_data_and_address_survive_a_kill_of_the_server(home: Path) -> None:
    with EmbeddedServer(home) as server:
        url, pid = server.redis_url, server.pid
        for n in range(200):
            client(server).set(f"key{n}", n)
        os.kill(pid, signal.SIGKILL)
        wait_until(lambda: server.pid not in {0, pid}, "another server runs")
        server.wait_ready()
        assert server.redis_url == url == endpoint(home)
        assert client(server).dbsize() == 200


def test_restart_keeps_the_data(home: Path) -> None:
    with EmbeddedServer(home) as server:
        client(server).set("kept", "yes")
        before = server.pid
        server.restart()
        assert server.pid != before
        assert client(server).get("kept") == b"yes"


def test_loading_a_long_file_is_not_taken_for_a_failure(home: Path) -> None:
    with EmbeddedServer(home) as server:
        with client(server).pipeline(transaction=False) as pipe:
            for n in range(20_000):
                pipe.set(f"key{n}", n)
            pipe.execute()
        client(server).config_set("key-load-delay", 200)
    with EmbeddedServer(home, options={"key-load-delay": "200"}) as server:  # microseconds a key: 4 s
        assert client(server).dbsize() == 20_000
        killed = server.pid
        server.kill()
        wait_until(lambda: server.pid not in {0, killed}, "the server is back")
        server.wait_ready(timeout_s=2.0)
        assert client(server).dbsize() == 20_000


def test_a_second_one_on_the_same_home_is_refused_by_name(home: Path) -> None:
    with EmbeddedServer(home) as server:
        with pytest.raises(HomeInUse, match=rf"already runs on {home} \(process {os.getpid()}\)"):
            EmbeddedServer(home).start()
        assert endpoint(home) == server.redis_url
        assert client(server).ping()


def test_what_a_crash_left_is_cleaned_at_the_next_start(home: Path) -> None:
    home.mkdir()
    dead = 2**22 - 3
    (home / "embedded.json").write_text(json.dumps({"redis_url": "unix:///gone", "broker_url": "", "pid": dead}))
    (home / "embedded.lock").write_text(f"{dead}\n")
    (home / "valkey.sock").touch()
    assert endpoint(home) is None
    with EmbeddedServer(home) as server:
        assert client(server).ping()
    assert names(home) == {"logs", "valkey"}


@pytest.mark.parametrize("text", ["", "{", "[]", '{"redis_url": "unix:///x"}', '{"redis_url": "x", "pid": "y"}'])
def test_a_damaged_announcement_names_no_server(home: Path, text: str) -> None:
    home.mkdir()
    (home / "embedded.json").write_text(text)
    assert endpoint(home) is None


@pytest.mark.parametrize("name", ["l" * 150, "with space", "per%20cent", "questi?n#mark", "ünï"])
def test_any_home_path_gets_a_working_address(home: Path, name: str) -> None:
    with EmbeddedServer(home / name) as server:
        socket = server.files[0]
        assert client(server).ping()
        assert server.redis_url.startswith("unix:///")
    assert not socket.exists()
    assert name[0] != "l" or not socket.parent.exists(), "the private folder is removed"


def test_a_home_that_is_a_file_is_named(home: Path) -> None:
    home.write_text("")
    with pytest.raises(EmbeddedServerError, match=f"cannot use the folder {home} "):
        EmbeddedServer(home).start()


def test_a_home_nobody_can_write_to_is_named() -> None:
    with pytest.raises(EmbeddedServerError, match="cannot use the folder /proc/nowhere"):
        EmbeddedServer(Path("/proc/nowhere")).start()


def test_a_server_that_cannot_write_says_its_last_words(home: Path) -> None:
    (home / "valkey").mkdir(parents=True)
    (home / "valkey" / "appendonlydir").write_text("in the way")
    with pytest.raises(ChildFailed, match=r"valkey does not start; its log is .*\n(.*\n)*.*appendonly"):
        EmbeddedServer(home).start()
    assert names(home) == {"logs", "valkey"}


def test_stop_may_be_called_at_any_time(home: Path) -> None:
    server = EmbeddedServer(home)
    server.stop()
    server.start()
    server.stop()
    server.stop()
    with pytest.raises(EmbeddedServerError, match="not running"):
        server.redis_url.strip()
