"""Starts the embedded server, keeps it running, and takes it along when we end."""

import math
import os
import shutil
from collections.abc import Mapping
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType
from typing import Self

from orchestrator.embedded import address, announcement, binary
from orchestrator.errors import SurefootError
from orchestrator.fleet.child import Child, ChildFailed, Command
from orchestrator.fleet.interrupts import deferred
from orchestrator.fleet.lock import HomeLock
from orchestrator.fleet.process import Estate

_STOP_GRACE_S = 15.0  # to write the last of the append-only file
_ORPHAN_GRACE_S = 3.0  # a kill loses nothing that was written
_READY_S = 60.0
_LOADING_PINGS = 5
_DISK_BYTES = 32 * 1024 * 1024


class EmbeddedServerError(SurefootError):
    """The embedded server cannot run here."""


class EmbeddedServer:
    """A Valkey whose data is in `home`.

    with EmbeddedServer(Path(".surefoot")) as server:
        server.redis_url

    It is restarted when it dies, and it ends with us even if we are killed. `options` are further lines of its
    configuration.
    """

    def __init__(self, home: Path, options: Mapping[str, str] | None = None) -> None:
        self.home = home.resolve()
        self._options = dict(options or {})
        self._lock = HomeLock(self.home / "embedded.lock")
        self._address: address.Address | None = None
        self._child: Child | None = None

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    @property
    def redis_url(self) -> str:
        """For Redis clients: unix:///path."""
        return self._running_address.redis_url

    @property
    def broker_url(self) -> str:
        """For Celery: redis+socket:///path?virtual_host=0."""
        return self._running_address.broker_url

    @property
    def pid(self) -> int:
        """The server's own process id; another one after a restart, 0 between."""
        return self._running_child.pid

    @property
    def files(self) -> tuple[Path, ...]:
        """The socket, and the folder made for it if there is one: both are removed at the stop."""
        return self._running_address.files

    def start(self) -> None:
        """Start and wait until the data is loaded.

        Raises:
            HomeInUse: another process runs on this home.
            NoServerBinary: there is no server program.
            EmbeddedServerError: the home cannot be used.
            ChildFailed: the server does not start; says why.
        """
        program = binary.find()
        try:
            _prepare(self.home)
            self._lock.acquire()
            self._open(program)
        except OSError as error:
            self.stop()
            raise EmbeddedServerError(f"cannot use the folder {self.home} (SUREFOOT_HOME): {error}") from error
        except BaseException:
            self.stop()
            raise

    def stop(self) -> None:
        """Stop the server, its file flushed, and remove all but the data; may be called again.

        Ctrl-C meanwhile ends the patience, not the work.
        """
        if not self._lock.held:
            return  # the files of this home are another's
        child, place = self._child, self._address
        with deferred(hurry=child.kill if child else None), ExitStack() as last_first:  # all, even if a part fails
            last_first.callback(self._lock.release)
            if place:
                last_first.callback(place.remove)
            if child:
                last_first.callback(child.stop)
            announcement.withdraw(self.home)
            self._child = self._address = None

    def restart(self) -> None:
        """Stop the server in order, start it again at the same address and wait until it has loaded its data."""
        self._running_child.restart()
        self.wait_ready()

    def kill(self) -> None:
        """SIGKILL the server as a crash would; it comes back by itself at the same address."""
        self._running_child.kill()

    def wait_ready(self, timeout_s: float = _READY_S) -> None:
        """Wait until the server answers; one that loads a long file may take any time while it says so."""
        while True:
            try:
                return self._running_child.wait_ready(timeout_s)
            except ChildFailed:
                # while it loads it answers only now and then: one silent ping says nothing
                pings = (self._running_address.ping() for _ in range(_LOADING_PINGS))
                if not any(answer.startswith(("-LOADING", "+PONG")) for answer in pings):
                    raise

    def _open(self, program: binary.ServerBinary) -> None:
        with deferred():
            announcement.withdraw(self.home)
            self._address = address.choose(self.home)
        command = Command(
            name="valkey",
            argv=lambda: _command_line(program.path, self.home, self._running_address.path, self._options),
            ready=lambda _child: self._running_address.ping() == "+PONG",
            grace_s=_STOP_GRACE_S,
            short_lives=math.inf,  # everything waits for it: once it has run, it is tried again for ever
            longest_backoff_s=1.0,
        )
        files = (*announcement.files(self.home), *self._address.files)
        self._child = Child(command, self.home / "logs", Estate(self._lock, files, grace_s=_ORPHAN_GRACE_S))
        self._child.start()
        self.wait_ready()
        announcement.publish(self.home, redis_url=self.redis_url, broker_url=self.broker_url)

    @property
    def _running_address(self) -> address.Address:
        if self._address is None:
            raise EmbeddedServerError("the embedded server is not running")
        return self._address

    @property
    def _running_child(self) -> Child:
        if self._child is None:
            raise EmbeddedServerError("the embedded server is not running")
        return self._child


def _prepare(home: Path) -> None:
    """Make the folders, for our eyes only, and see that something can be written there."""
    home.mkdir(mode=0o700, parents=True, exist_ok=True)
    for folder in ("valkey", "logs"):
        (home / folder).mkdir(mode=0o700, exist_ok=True)
    if not os.access(home / "valkey", os.W_OK | os.X_OK):
        raise PermissionError(f"{home / 'valkey'} is not writable")
    free = shutil.disk_usage(home).free
    if free < _DISK_BYTES:
        raise OSError(f"only {free // 1024} KiB are free on its disk")


def _command_line(program: Path, home: Path, socket: Path, more: Mapping[str, str]) -> list[str]:
    """No TCP port; every write in an append-only file, on disk within a second; nothing is ever evicted."""
    options = {
        "port": "0",
        "unixsocket": str(socket),
        "unixsocketperm": "700",
        "protected-mode": "yes",
        "dir": str(home / "valkey"),
        "appendonly": "yes",
        "appendfsync": "everysec",
        "save": "",
        "maxmemory-policy": "noeviction",
        "daemonize": "no",
        "always-show-logo": "no",
        **more,
    }
    return [str(program), *(part for name, value in options.items() for part in (f"--{name}", value))]
