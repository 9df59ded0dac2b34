"""`surefoot doctor`: what is wrong with this installation, and what to do about it."""

import json
import shutil
import socket
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Callable
from typing import Annotated
from urllib.parse import urlsplit

import typer
from rich.table import Table
from rich.text import Text

from orchestrator import connect
from orchestrator.application import application
from orchestrator.canvas import Canvas
from orchestrator.cli.overview import PATIENCE_S
from orchestrator.cli.terminal import console
from orchestrator.errors import BrokerUnavailable, SurefootError
from orchestrator.settings import InvalidSettings, Settings, load
from orchestrator.state.client import SyncClient, without_loop
from orchestrator.state.durability import dangers, info
from orchestrator.state.presence import PresenceStore
from orchestrator.state.scripts import Scripts
from orchestrator.state.sweeping import SweepStore
from orchestrator.telemetry.redaction import know, redact_text
from orchestrator.telemetry.timeline import duration
from orchestrator.workflow import catalogue

LEAST_FREE = 100 * 1_048_576
ANSWER_S = 60
BROKER_AWAY = "start it, or correct SUREFOOT_BROKER_URL; no job is lost, they go on when it answers"
MOST_USED, LONGEST_WAIT_S = 0.8, 30.0
"""Of Redis's memory, and of a step for a worker: beyond that something is wrong."""


def doctor(as_json: Annotated[bool, typer.Option("--json", help="for programs")] = False) -> None:
    """Check that everything Surefoot needs here is in order; says what to do where it is not.

    Exit codes: 0 all is in order, 1 something is wrong, 2 a setting is nonsense, so that nothing else was looked at.
    """
    try:
        settings = load()
    except InvalidSettings as error:
        checks, code = [("settings", False, redact_text(str(error)))], 2
    else:
        know(settings.given)
        checks = [_check(name, look, settings) for name, look in LOOKS]
        code = 0 if all(ok for _, ok, _ in checks) else 1
    if as_json:
        print(json.dumps([{"check": name, "ok": ok, "said": said} for name, ok, said in checks], indent=2))  # noqa: T201
    else:
        table = Table(box=None, show_header=False)
        for name, ok, said in checks:
            table.add_row(Text("ok", "green") if ok else Text("wrong", "red"), name, said)
        console.print(table)
    if code:
        raise typer.Exit(code)


def _check(name: str, look: Callable[[Settings], str], settings: Settings) -> tuple[str, bool, str]:
    try:
        return name, True, redact_text(look(settings))
    except SurefootError as error:
        return name, False, redact_text(str(error))
    except Exception as error:  # noqa: BLE001 - a module of the user's, a broker's client: whatever it is, it is the finding
        return name, False, redact_text(f"{type(error).__name__}: {error}")


def _home(settings: Settings) -> str:
    free = shutil.disk_usage(settings.home if settings.home.exists() else ".").free
    if free < LEAST_FREE:
        raise SurefootError(f"only {free // 1_048_576} MiB are free where {settings.home} is: make room")
    return f"home {settings.home}"


def _redis(settings: Settings) -> str:
    client = SyncClient(connect.state_url(settings), patience_s=0)
    known = without_loop(info(client))
    if known.get("role", "master") != "master":
        raise SurefootError("it is a replica that takes no writes: let SUREFOOT_REDIS_URL name the primary")
    if found := dangers(known):
        raise SurefootError("; ".join(found))
    used, most = int(known["used_memory"]), int(known.get("maxmemory", 0))
    if used > MOST_USED * most > 0:
        raise SurefootError(
            f"it uses {used:,} of {most:,} bytes and then takes no more: raise maxmemory, or lower SUREFOOT_RETENTION_S"
        )
    version = known.get("valkey_version", known["redis_version"])
    return f"{known.get('server_name', 'redis')} {version}, append-only file on"


def broker(settings: Settings) -> str:
    """What to say of the broker.

    Raises:
        SurefootError: it does not answer; says where it should be, and what to do.
    """
    if settings.outbox:
        return "the same Redis"
    try:
        Canvas(application(settings)).empty(["surefoot.doctor"])
    except BrokerUnavailable as error:
        url = urlsplit(settings.broker_url)
        raise SurefootError(f"{error} at {url.hostname}:{url.port or 5672}; {BROKER_AWAY}") from error
    return "answers"


def _workflows(settings: Settings) -> str:
    catalogue.load(settings.workflows)
    return f"{', '.join(catalogue.workflows)} with {len(catalogue.profiles)} specialists"


def _tools(settings: Settings) -> str:
    config = settings.mcp_config or settings.home / "mcp.json"
    command = [sys.executable, "-m", "tools", "--json", "--config", str(config)]
    listed = subprocess.run(command, capture_output=True, text=True, timeout=ANSWER_S, check=False)  # noqa: S603 - our module
    if listed.returncode:
        said = listed.stderr.strip().splitlines()[-1] if listed.stderr.strip() else "no answer"
        where = "" if str(config) in said else f"; look at that server, {config} says where it is"
        raise SurefootError(said.removeprefix("surefoot tools: ") + where)
    return f"{len(json.loads(listed.stdout))} tools"


def _port(settings: Settings) -> str:
    host, port = settings.metrics_host, settings.metrics_port
    if not port:
        return "no metrics port is set"
    with socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError as error:
            return _taken(port, error)
    return f"{port} is free"


def _taken(port: int, error: OSError) -> str:
    """By one of us, or by a stranger."""
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/healthz", timeout=PATIENCE_S) as answer:
            return f"{port} is served: {answer.read(100).decode().strip()}"
    except (OSError, ValueError) as why:
        said = why.read(1000).decode().strip() if isinstance(why, urllib.error.HTTPError) else str(why)
        raise SurefootError(
            f"SUREFOOT_METRICS_PORT={port} cannot be taken ({error.strerror}), and /healthz there says: {said}"
        ) from error


def _workers(settings: Settings) -> str:
    scripts = Scripts(SyncClient(connect.state_url(settings), patience_s=0))
    alive = [one for one in without_loop(PresenceStore(scripts).fleet()).processes if one.alive]
    workers = [one for one in alive if one.facts["kind"] == "worker"]
    if not workers:
        waiting = sum(depth for depth, _ in without_loop(_sweeps(scripts, settings).census()).queues.values())
        if waiting:
            raise SurefootError(f"none is alive, and steps wait ({waiting:,}): start one with surefoot worker")
        return "none is alive: start one with surefoot worker"
    return f"{len(workers)} alive, versions: {', '.join(sorted({str(one.facts['version']) for one in workers}))}"


def _queues(settings: Settings) -> str:
    """Whether a step has waited for so long that nobody can be serving its queue, or too few do."""
    scripts = Scripts(SyncClient(connect.state_url(settings), patience_s=0))
    queues = without_loop(_sweeps(scripts, settings).census()).queues
    late = {name: old_s for name, (_, old_s) in queues.items() if old_s > LONGEST_WAIT_S}
    if late:
        name = max(late, key=late.__getitem__)
        told = (
            f"a step in queue {name} has waited for {duration(1000 * late[name])}: too few workers, or none serves it"
        )
        raise SurefootError(f"{told} (surefoot worker --queues {name}); late queues: {', '.join(sorted(late))}")
    return f"{sum(depth for depth, _ in queues.values()):,} steps wait"


def _sweeps(scripts: Scripts, settings: Settings) -> SweepStore:
    return SweepStore(scripts, settings.grace_s, settings.retention_s)


LOOKS: tuple[tuple[str, Callable[[Settings], str]], ...] = (
    ("settings", _home),
    ("Redis", _redis),
    ("broker", broker),
    ("workflows", _workflows),
    ("tools", _tools),
    ("port", _port),
    ("workers", _workers),
    ("queues", _queues),
)
COMMANDS = (doctor,)
