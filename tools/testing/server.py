"""A fault server as a test holds it: started, killed and started again on the same port and ledger."""

import json
import select
import subprocess
import sys
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, Self
from urllib.parse import urlsplit

from tools.testing.faults import AnyFault, Mix
from tools.testing.ledger import Ledger, Recorded

READY_S = 60.0


class _Process:
    """The process behind a fault server."""

    def __init__(self, folder: Path, target: str, path: str) -> None:
        """`folder` keeps ledger and log; `path` is where MCP is served."""
        folder.mkdir(parents=True, exist_ok=True)
        self.log, self._file, self._target, self._path = folder / "faults.log", folder / "faults.sqlite", target, path
        self.ledger = Ledger(self._file)
        self._process: subprocess.Popen[bytes] | None = None
        self._port = 0

    @property
    def url(self) -> str:
        """Where clients reach it; the same after a restart."""
        return f"http://127.0.0.1:{self._port}{self._path}"

    def start(self) -> Self:
        """Start it, and wait until it accepts connections.

        Raises:
            RuntimeError: it did not; the message ends with its log.
        """
        words = ["--ledger", str(self._file), "--port", str(self._port), "--target", self._target]
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(  # noqa: S603 - our own module
                [sys.executable, "-m", "tools.testing.serve", *words],
                stdin=subprocess.PIPE,  # its end tells the process that we have gone
                stdout=subprocess.PIPE,
                stderr=log,
            )
        assert self._process.stdout is not None
        ready, _, _ = select.select([self._process.stdout], [], [], READY_S)
        line = self._process.stdout.readline() if ready else b""
        if not line:
            self.kill()
            raise RuntimeError(f"the fault server did not start: {self.log.read_text()[-2_000:]}")
        self._port = json.loads(line)["port"]
        return self

    def kill(self) -> None:
        """SIGKILL it; connections are refused until `start`."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            for pipe in (self._process.stdin, self._process.stdout):
                assert pipe is not None
                pipe.close()
            self._process = None

    def restart(self) -> None:
        """SIGKILL it, and start it on the same port and ledger."""
        self.kill()
        self.start()

    def close(self) -> None:
        """End it for good. The ledger's file stays."""
        self.kill()
        self.ledger.close()

    def fail(
        self, tool: str, fault: AnyFault | Mix, *, times: int | None = 1, match: Mapping[str, Any] | None = None
    ) -> None:
        """Let the next calls go wrong. Faults that fit the same call happen one after the other, a call each.

        Args:
            tool: a tool's name or glob; "*" is every tool. Other requests by their method: "tools/list".
            fault: what is to happen.
            times: to so many calls; None: to all until `heal`.
            match: only to calls with these arguments.
        """
        self.ledger.plan(tool, fault, times, match or {})

    def heal(self) -> None:
        """Let nothing go wrong any more."""
        self.ledger.heal()

    def attempts(self, tool: str = "*") -> list[Recorded]:
        """The calls that reached the server, in their order, of tools of this name or glob."""
        return self.ledger.attempts(tool)

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


class FaultServer(_Process):
    """An MCP server with a tool of each effect, whose effects are counted, and which fails when told to.

    Tools: `search` (READ), `put` (IDEMPOTENT), `book` (KEYED), `pay` (UNSAFE, with the look-up `find_payment`) and
    `send` (UNSAFE, without one). Each takes an `item`.
    """

    def __init__(self, folder: Path) -> None:
        """`folder` keeps the ledger, so that another server there goes on with it."""
        super().__init__(folder, "", "/mcp")

    def entry(self, **surefoot: Any) -> dict[str, Any]:
        """Its entry for an mcp.json; `surefoot` adds to the block of that name, e.g. timeout_s."""
        effects = {"search": "read", "find_*": "read", "put": "idempotent", "book": "keyed", "*": "unsafe"}
        block = {"protocol": "2026-07-28", "effects": effects, "lookup": {"pay": "find_payment"}}
        return {"url": self.url, "surefoot": block | surefoot}

    def effects(self, tool: str = "*") -> list[Recorded]:
        """What the tools of this name or glob really did, in its order."""
        return self.ledger.effects(tool)

    def doubled(self) -> list[tuple[str, str | None]]:
        """Tool and key of each effect that happened more than once."""
        times = Counter((one.tool, one.key) for one in self.effects())
        return [what for what, number in times.items() if number > 1]


class FaultProxy(_Process):
    """Stands before a streamable-HTTP MCP server, and lets calls to it fail when told to."""

    def __init__(self, url: str, folder: Path) -> None:
        """`url` is the server's, as its clients would use it."""
        parts = urlsplit(url)
        super().__init__(folder, f"{parts.scheme}://{parts.netloc}", parts.path or "/")

    def entry(self, **surefoot: Any) -> dict[str, Any]:
        """The server's entry for an mcp.json, through the proxy; `surefoot` is the block of that name."""
        return {"url": self.url, "surefoot": surefoot}
