"""Who belongs to the fleet, and the command line of each."""

import json
import secrets
import socket
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from orchestrator.fleet.child import Child, Command

_EFFECTS: Mapping[str, dict[str, Any]] = {
    "flights": {"effects": {"book": "keyed", "cancel": "idempotent"}, "lookup": {"book": "lookup"}},
    "hotels": {"effects": {"book": "keyed", "cancel": "idempotent"}, "lookup": {"book": "lookup"}},
    "restaurants": {"effects": {"reserve": "keyed", "cancel": "idempotent"}, "lookup": {"reserve": "lookup"}},
}
_OURS: Mapping[str, Any] = {"writtenBy": "surefoot up"}
TRAVEL_SERVERS = ("flights", "hotels", "restaurants", "weather", "database")


@dataclass(frozen=True, kw_only=True)
class Roster:
    """What `Fleet` starts."""

    tools: tuple[str, ...] = TRAVEL_SERVERS
    workers: int = 1
    concurrency: int = 0  # 0: the worker's own default
    pool: Literal["asyncio", "prefork"] = "asyncio"
    queues: tuple[str, ...] = ()  # none: all
    events: bool = True
    sweeper: bool = True
    flower_port: int | None = None  # None: no Flower; 0: a free port
    flower_address: str = "127.0.0.1"


@dataclass
class ToolServer:
    """A travel tool server. Its first start takes a free port, each restart the same: mcp.json stays true."""

    name: str
    env: Mapping[str, str]
    url: str = ""
    _port: int = field(default=0, init=False)

    @property
    def command(self) -> Command:
        """How it is started."""
        return Command(name=self.name, argv=self._argv, env=self.env, ready=self._ready, grace_s=3.0)

    @property
    def entry(self) -> dict[str, Any]:
        """Its entry in mcp.json."""
        token = "Bearer ${SUREFOOT_TOOLS_TOKEN}" if self.env.get("SUREFOOT_TOOLS_TOKEN") else ""
        return {
            "url": self.url,
            **({"headers": {"Authorization": token}} if token else {}),
            "surefoot": {"trust": True, "protocol": "2026-07-28", **_EFFECTS.get(self.name, {})},
        }

    def _argv(self) -> list[str]:
        return [sys.executable, "-m", f"tools.travel.{self.name}", "--host", "127.0.0.1", "--port", str(self._port)]

    def _ready(self, child: Child) -> bool:
        """It prints one JSON line when it can be called."""
        for line in child.process.output().splitlines():
            if line.startswith('{"server"'):
                self.url = str(json.loads(line)["url"])
                self._port = int(self.url.split(":")[2].split("/")[0])
                return True
        return False


@dataclass(frozen=True)
class Flower:
    """Flower on one address, with a password made for this run unless the environment names one."""

    env: Mapping[str, str]
    address: str
    port: int
    credentials: str

    @classmethod
    def at(cls, address: str, port: int, env: Mapping[str, str]) -> "Flower":
        """A Flower on this port, 0 for a free one."""
        credentials = env.get("FLOWER_BASIC_AUTH") or f"surefoot:{secrets.token_urlsafe(12)}"
        return cls(env, address, port or free_port(address), credentials)

    @property
    def url(self) -> str:
        """Where people open it."""
        return f"http://{self.address}:{self.port}"

    @property
    def command(self) -> Command:
        """How it is started; the password is in the environment, since everyone can read command lines."""
        return Command(
            name="flower",
            argv=lambda: [*_CELERY, "flower", f"--address={self.address}", f"--port={self.port}", _COLUMNS],
            env={**self.env, "FLOWER_BASIC_AUTH": self.credentials},
            ready=self._ready,
            grace_s=3.0,
            essential=False,
        )

    def _ready(self, _child: Child) -> bool:
        with socket.socket() as connection:
            connection.settimeout(1.0)
            return connection.connect_ex((self.address, self.port)) == 0


_CELERY = [sys.executable, "-m", "celery", "--quiet", "-A", "workers.app"]
_COLUMNS = "--tasks_columns=state,args,uuid,exception,result,received,runtime,retries,worker"


def worker(name: str, roster: Roster, env: Mapping[str, str], grace_s: float) -> Command:
    """One worker process (with prefork: and its children)."""
    words = [sys.executable, "-m", "workers", "--name", name, "--pool", roster.pool]
    words += ["--concurrency", str(roster.concurrency)] if roster.concurrency else []
    words += ["--queues", ",".join(roster.queues)] if roster.queues else []
    words += ["--events"] if roster.events else []
    return Command(name=name, argv=lambda: words, env=env, grace_s=grace_s, stops_first=True)


def with_port(env: Mapping[str, str], number: int) -> Mapping[str, str]:
    """The environment of worker `number`: the sweeper's page is at SUREFOOT_METRICS_PORT, the workers' follow."""
    first = env.get("SUREFOOT_METRICS_PORT", "")
    return {**env, "SUREFOOT_METRICS_PORT": str(int(first) + number)} if first.strip("0") else env


def sweeper(env: Mapping[str, str]) -> Command:
    """The sweeper alone."""
    return Command(name="sweeper", argv=lambda: [sys.executable, "-m", "workers.sweeper"], env=env, grace_s=3.0)


def free_port(address: str) -> int:
    """A port that nobody listens on at the moment."""
    with socket.socket() as probe:
        probe.bind((address, 0))
        return int(probe.getsockname()[1])


def write_mcp_config(path: Path, servers: list[ToolServer]) -> None:
    """Write mcp.json in one move, readable for us alone."""
    draft = _draft(path)
    draft.touch(mode=0o600)
    written = {**_OURS, "mcpServers": {server.name: server.entry for server in servers}}
    draft.write_text(json.dumps(written, indent=2) + "\n")
    draft.replace(path)


def leftovers(path: Path) -> list[Path]:
    """Of an mcp.json and its draft, what a fleet wrote; a person's own file is none of ours."""
    ours = [path] if path.exists() and _OURS.items() <= _read(path).items() else []
    return [*ours, *(draft for draft in (_draft(path),) if draft.exists())]


def _draft(path: Path) -> Path:
    return path.with_suffix(".draft")


def _read(path: Path) -> dict[str, Any]:
    try:
        found = json.loads(path.read_text())
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}
