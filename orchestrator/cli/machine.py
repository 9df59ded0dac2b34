"""Commands about this machine: up, worker, sweeper, tools, model, flower."""

import os
import signal
import sys
import threading
from typing import Annotated, NoReturn

import typer
from rich.text import Text

from orchestrator import connect
from orchestrator.cli import render
from orchestrator.cli.terminal import console
from orchestrator.embedded import EmbeddedServer, leftovers
from orchestrator.errors import InvalidRequest, SurefootError
from orchestrator.fleet import Fleet, Roster
from orchestrator.settings import load

PASS_ON = {"ignore_unknown_options": True, "allow_extra_args": True}
SERVERS = ("flights", "hotels", "weather", "restaurants", "database")


def up(
    workers: Annotated[int, typer.Option(min=1, max=64, help="worker processes")] = 1,
    flower_port: Annotated[int, typer.Option(min=0, max=65535, help="Flower's port; 0 takes a free one")] = 0,
    without_flower: Annotated[bool, typer.Option("--without-flower", help="no Flower")] = False,
) -> None:
    """Start everything here: embedded Valkey, tool servers, workers, sweeper, Flower. Ctrl-C stops it all."""
    settings = load()
    _stop_on_sigterm()
    render.leftovers(leftovers.clear(settings.home))
    with EmbeddedServer(settings.home) as server:
        own = load(redis_url=server.redis_url)
        with Fleet(own, Roster(workers=workers, flower_port=None if without_flower else flower_port)) as fleet:
            console.print(Text.assemble(("Surefoot is up", "bold green"), f" in {settings.home}; Ctrl-C stops it"))
            console.print(f"  SUREFOOT_REDIS_URL={server.redis_url}")
            if fleet.flower:
                console.print(f"  Flower  {fleet.flower.url}  {fleet.flower.credentials}")
            console.print(
                '  try     surefoot submit --wait "Three nights in Denver from New York, 12 March, two people"',
                soft_wrap=True,
            )
            fleet.wait()


def _stop_on_sigterm() -> None:
    if threading.current_thread() is threading.main_thread():
        signal.signal(signal.SIGTERM, signal.default_int_handler)


def worker(
    concurrency: Annotated[int, typer.Option(min=0, help="steps at once; 0: 200 asyncio, cores prefork")] = 0,
    pool: Annotated[str, typer.Option(help="asyncio, or prefork for CPU-heavy specialists")] = "asyncio",
    queues: Annotated[str, typer.Option(help="specialists' queues, comma separated; empty: all")] = "",
    name: Annotated[str, typer.Option(help="shown in Flower")] = "",
    events: Annotated[bool, typer.Option("--events", help="send worker events, for Flower")] = False,
) -> None:
    """Run steps until SIGTERM: running ones end, then the worker."""
    words = ["--concurrency", str(concurrency), "--pool", pool, "--queues", queues, "--name", name]
    _become("workers", *words, *(["--events"] if events else []))


def sweeper(
    once: Annotated[bool, typer.Option("--once", help="sweep once, print the report, end")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="with --once: for programs")] = False,
) -> None:
    """Put right what a crash left, as a service of its own, until SIGTERM. Every worker sweeps as well."""
    _become("workers.sweeper", *(["--once"] if once else []), *(["--json"] if as_json else []))


def tools(
    server: Annotated[str, typer.Argument(help="with serve: which server")] = "",
    name: Annotated[str, typer.Argument(help="flights, hotels, weather, restaurants or database")] = "",
    port: Annotated[int, typer.Option(min=0, max=65535, help="with serve: 0 takes a free one")] = 0,
    host: Annotated[str, typer.Option(help="with serve: address to listen on")] = "127.0.0.1",
    allow_host: Annotated[
        list[str] | None,
        typer.Option(metavar="NAME", help="with serve: a name under which clients reach it; repeatable"),
    ] = None,
    stdio: Annotated[bool, typer.Option("--stdio", help="with serve: over stdin and stdout")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="for programs")] = False,
    digests: Annotated[bool, typer.Option("--digests", help="what each tool is, as mcp.json takes it")] = False,
) -> None:
    """List the configured tools and their effects, or run one of our tool servers: surefoot tools serve flights."""
    if server == "serve":
        if name not in SERVERS:
            raise InvalidRequest(f"surefoot tools serve: unknown server {name!r}; one of {', '.join(SERVERS)}")
        names = [word for each in allow_host or () for word in ("--allow-host", each)]
        options = ["--host", host, "--port", str(port), *names, *(["--stdio"] if stdio else [])]
        _become(f"tools.travel.{name}", *options)
    if server:
        raise InvalidRequest(f"surefoot tools: unknown word {server!r}; did you mean: surefoot tools serve {server}")
    settings = load()
    config = settings.mcp_config or settings.home / "mcp.json"
    if not config.exists():
        raise SurefootError(f"no {config}: start `surefoot up`, or set SUREFOOT_MCP_CONFIG")
    form = [*(["--json"] if as_json else []), *(["--digests"] if digests else [])]
    _become("tools", "--config", str(config), *form)


def model(
    what: Annotated[str, typer.Argument(help="serve")] = "serve",
    file: Annotated[str, typer.Option(help="a model's GGUF file; empty: SmolLM2 of the extra local-llm")] = "",
    port: Annotated[int, typer.Option(min=0, max=65535, help="0 takes a free one")] = 8090,
    context: Annotated[int, typer.Option(min=256, help="tokens of prompt and answer together, at most")] = 8192,
    waiting: Annotated[int, typer.Option(min=0, help="requests that wait while one is answered; more get 429")] = 16,
) -> None:
    """Serve a small language model to this machine, in OpenAI's protocol: surefoot model serve."""
    if what != "serve":
        raise InvalidRequest(f"surefoot model: unknown word {what!r}; did you mean: surefoot model serve")
    options = ["--port", str(port), "--context", str(context), "--waiting", str(waiting)]
    _become("tools.model", *options, *(["--file", file] if file else []))


def flower(
    port: Annotated[int, typer.Option(min=0, max=65535)] = 5555,
    address: Annotated[str, typer.Option(help="beyond loopback only if you say so")] = "127.0.0.1",
) -> None:
    """Open Flower on this broker, with a password that is printed."""
    from orchestrator.fleet.roster import Flower  # noqa: PLC0415 - only here

    settings = load()
    env = {**os.environ, "SUREFOOT_REDIS_URL": connect.state_url(settings)}
    served = Flower.at(address, port, env)
    console.print(f"Flower  {served.url}  {served.credentials}")
    argv = served.command.argv
    os.execve(sys.executable, argv() if callable(argv) else list(argv), dict(served.command.env))  # noqa: S606


def _become(module: str, *words: str) -> NoReturn:
    """Become another program of ours: signals and exit codes are its own."""
    os.execv(sys.executable, [sys.executable, "-m", "surefoot", "-m", module, *words])  # noqa: S606 - our own module, no shell


COMMANDS = (up, worker, sweeper, tools, model, flower)
