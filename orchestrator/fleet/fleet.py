"""Starts the processes of one machine, keeps them running, and takes them along when we end."""

import os
import threading
from collections.abc import Iterable
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType
from typing import Self

from orchestrator.errors import SurefootError
from orchestrator.fleet import roster as crew
from orchestrator.fleet.child import Child, ChildFailed, ChildState, ChildStatus, Command
from orchestrator.fleet.interrupts import deferred
from orchestrator.fleet.lock import HomeLock
from orchestrator.fleet.process import Estate
from orchestrator.fleet.roster import Flower, Roster, ToolServer
from orchestrator.settings import Settings

_LOOK_S = 0.1


class FleetError(SurefootError):
    """The fleet cannot run here."""


class Fleet:
    """Tool servers, workers, the sweeper and Flower, each restarted when it dies.

    with Fleet(load(home=home, redis_url=server.redis_url), Roster(workers=2, flower_port=0)) as fleet:
        fleet.wait()

    Nothing of it outlives us, even if we are killed. Each child's output is in `<home>/logs/<name>.log`.
    """

    def __init__(self, settings: Settings, roster: Roster | None = None) -> None:
        self.home = settings.home.resolve()
        self.roster = roster or Roster()
        self.flower: Flower | None = None
        self.env = _environment(settings, self.home)
        self._own_tools = () if settings.mcp_config else self.roster.tools  # a user's mcp.json says it all
        self._lock = HomeLock(self.home / "fleet.lock")
        self._children: dict[str, Child] = {}
        self._stopped = threading.Event()
        self._workers, self._hurried = 0, False
        self._worker_grace_s = settings.stopped_within_s

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def start(self) -> None:
        """Start all of the roster; returns when the tool servers can be called and the others have been started.

        Raises:
            HomeInUse: another fleet runs on this home.
            FleetError: the home cannot be used.
            ChildFailed: one does not start; the message has its last lines.
        """
        try:
            (self.home / "logs").mkdir(mode=0o700, parents=True, exist_ok=True)
            self._lock.acquire()
            self._start_all()
        except OSError as error:
            self.stop()
            raise FleetError(f"cannot use the folder {self.home} (SUREFOOT_HOME): {error}") from error
        except BaseException:
            self.stop()
            raise

    def add(self, command: Command) -> Child:
        """Start one more child."""
        if not self._lock.held or self._stopped.is_set():
            raise FleetError("the fleet is not running")
        if command.name in self._children:
            raise FleetError(f"the fleet already has a child named {command.name}")
        child = Child(command, self.home / "logs", Estate(self._lock, (self._mcp_config,) if self._own_tools else ()))
        self._children[command.name] = child
        child.start()
        return child

    def add_worker(self) -> Child:
        """Start one more worker."""
        self._workers += 1
        env = crew.with_port(self.env, self._workers)
        return self.add(crew.worker(f"worker-{self._workers}", self.roster, env, self._worker_grace_s))

    def child(self, name: str) -> Child:
        """The child of this name.

        Raises:
            FleetError: there is none; says which there are.
        """
        if name not in self._children:
            raise FleetError(f"no child named {name}; there are {', '.join(self._children) or 'none'}")
        return self._children[name]

    def kill(self, name: str) -> None:
        """SIGKILL a child as a crash would; it is restarted."""
        self.child(name).kill()

    def status(self) -> list[ChildStatus]:
        """How each child is."""
        return [child.status for child in list(self._children.values())]

    def wait(self) -> None:
        """Wait until `stop` is called elsewhere.

        Raises:
            ChildFailed: a child that the fleet needs gave up.
        """
        while not self._stopped.wait(_LOOK_S):
            for child in list(self._children.values()):
                if child.state is ChildState.GAVE_UP and child.command.essential:
                    raise ChildFailed(child.last_words("ended too often and is not restarted"))

    def stop(self) -> None:
        """Stop the workers in order, then the others; within their graces, then by force. May be called again.

        Ctrl-C meanwhile ends the patience: workers give back what they run, others are killed. Once more kills all.
        """
        if not self._lock.held:
            return
        children = list(self._children.values())
        with deferred(hurry=self._hurry), ExitStack() as last_first:  # all of it, even if a part fails
            self._stopped.set()
            last_first.callback(self._lock.release)
            if self._own_tools:
                last_first.callback(self._mcp_config.unlink, missing_ok=True)
            for child in children:
                last_first.callback(child.stop)
            _stop_together(child for child in children if child.command.stops_first)
            _stop_together(children)

    def _hurry(self) -> None:
        for child in list(self._children.values()):
            if child.command.stops_first and not self._hurried:
                child.tell_again()
            else:
                child.kill()
        self._hurried = True

    @property
    def _mcp_config(self) -> Path:
        return self.home / "mcp.json"

    def _start_all(self) -> None:
        self._start_tools()
        for _ in range(self.roster.workers):
            self.add_worker()
        if self.roster.sweeper:
            self.add(crew.sweeper(self.env))
        if self.roster.flower_port is not None:
            self.flower = Flower.at(self.roster.flower_address, self.roster.flower_port, self.env)
            self.add(self.flower.command)

    def _start_tools(self) -> None:
        """Side by side; mcp.json is written when all can be called."""
        servers = [ToolServer(name, self.env) for name in self._own_tools]
        for child in [self.add(server.command) for server in servers]:
            child.wait_ready()
        if servers:
            with deferred():
                crew.write_mcp_config(self._mcp_config, servers)


def _stop_together(children: Iterable[Child]) -> None:
    chosen = list(children)
    for child in chosen:
        child.ask_to_stop()
    for child in chosen:
        child.stop()


def _environment(settings: Settings, home: Path) -> dict[str, str]:
    """Our own environment with the settings that were given otherwise, so that all processes agree."""
    given = {name: getattr(settings, name) for name in settings.model_fields_set if name != "home"}
    words = {
        name: ",".join(value) if isinstance(value, tuple) else str(value)
        for name, value in given.items()
        if value is not None
    }
    ours = {f"SUREFOOT_{name.upper()}": value for name, value in words.items()}
    return {**os.environ, **ours, "SUREFOOT_HOME": str(home), "PYTHONUNBUFFERED": "1"}
