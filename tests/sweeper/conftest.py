"""A real server, stores on it, and sweepers as processes of their own."""

import os
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.error import HTTPError, URLError
from urllib.request import urlopen

import pytest

from orchestrator.workflow import Profile, catalogue
from tests.state.conftest import NAMES, Stores, stores_on
from tests.support.stage import ROOT
from tests.support.valkey import Valkey, valkey
from tests.support.waiting import wait_until
from tests.tools_client.test_servers import free_port


@dataclass
class Service:
    """Sweepers on one server."""

    server: Valkey
    stores: Stores
    folder: Path
    running: list[subprocess.Popen[bytes]] = field(default_factory=list[subprocess.Popen[bytes]])

    def environment(self, **settings: Any) -> dict[str, str]:
        kept = {name: value for name, value in os.environ.items() if not name.startswith("SUREFOOT_")}
        given = {"redis_url": self.server.url, "home": self.folder / "home", "trace": False, **settings}
        return {**kept, "PYTHONPATH": str(ROOT), **{f"SUREFOOT_{k.upper()}": str(v) for k, v in given.items()}}

    def command(self, *words: str, **settings: Any) -> subprocess.CompletedProcess[str]:
        """Run `surefoot sweeper` to its end."""
        command = [sys.executable, "-m", "workers.sweeper", *words]
        env = self.environment(**settings)
        return subprocess.run(command, cwd=ROOT, env=env, capture_output=True, text=True, timeout=100, check=False)

    def start(self, **settings: Any) -> tuple[subprocess.Popen[bytes], int]:
        """A sweeper with a page; returns it and its port when it is well."""
        port = free_port()
        log = (self.folder / f"sweeper-{len(self.running)}.log").open("wb")
        process = subprocess.Popen(
            [sys.executable, "-m", "workers.sweeper"],
            cwd=ROOT,
            env=self.environment(metrics_port=port, **settings),
            stdout=log,
            stderr=log,
        )
        self.running.append(process)
        wait_until(lambda: get(port, "/healthz")[0] == 200, f"the sweeper is well: {log.name}", 60)
        return process, port

    def stop(self) -> None:
        for process in self.running:
            process.kill()
            process.wait()


def get(port: int, path: str) -> tuple[int, str]:
    """Status and text of a page; 0 where nobody answers."""
    try:
        with urlopen(f"http://127.0.0.1:{port}{path}", timeout=40) as answer:
            return answer.status, answer.read().decode()
    except HTTPError as error:
        return error.code, error.read().decode()
    except URLError as error:
        return 0, str(error)


@pytest.fixture
def service(tmp_path: Path) -> Iterator[Service]:
    for name in NAMES:
        catalogue.profiles[name] = Profile(name)
    with valkey() as server:
        stores = stores_on(server.url)
        one = Service(server, stores, tmp_path)
        yield one
        one.stop()
        stores.client.close()
