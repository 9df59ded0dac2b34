"""Runs a travel server: over streamable HTTP on a port, or over stdio."""

import argparse
import asyncio
import hmac
import json
import logging
import os
import signal
import sys
import threading
from collections.abc import Callable
from typing import Any, NoReturn

from mcp.server.mcpserver import MCPServer
from mcp.server.transport_security import TransportSecuritySettings

from tools import listening, telemetry
from tools.travel.settings import TravelSettings

WILDCARDS = {"0.0.0.0": "127.0.0.1", "::": "::1"}  # noqa: S104 - compared, not bound
LOOK_S, GRACE_S = 0.2, 8.0
_log = logging.getLogger(__name__)


def serve(server: MCPServer, settings: TravelSettings, prepare: Callable[[], object] | None = None) -> None:
    """Parse the command line and serve until SIGTERM, SIGINT or, if asked for, the parent's end.

    Args:
        server: what to serve.
        settings: of this process.
        prepare: runs beside the server from its start on, so that the first call finds its facts ready.
    """
    options = _options(server)
    stop = telemetry.start(server.name or "", settings.otlp_endpoint)
    if options.with_parent is not None:
        _end_with(options.with_parent or os.getppid())
    if prepare is not None:
        threading.Thread(target=_prepare, args=(prepare,), name="prepare", daemon=True).start()
    try:
        if options.stdio:
            _stdio(server, stop)
        else:
            _http(server, settings, options)
    finally:
        stop()


def _options(server: MCPServer) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=f"MCP server {server.name}: {server.instructions}")
    parser.add_argument("--host", default="127.0.0.1", help="address to listen on (default: %(default)s)")
    parser.add_argument("--port", type=int, default=0, help="port; 0 takes a free one (default)")
    parser.add_argument(
        "--allow-host",
        action="append",
        default=[],
        metavar="NAME",
        help="name under which clients reach it; repeatable",
    )
    parser.add_argument("--stdio", action="store_true", help="serve one client over stdin and stdout")
    parser.add_argument(
        "--with-parent",
        nargs="?",
        type=int,
        const=0,
        metavar="PID",
        help="end when the process that started us ends; with its PID, even if that was before we could look",
    )
    options = parser.parse_args()
    if not 0 <= options.port <= 65_535:  # noqa: PLR2004 - what TCP has
        parser.error(f"--port: {options.port} is not between 0 and 65535")
    if options.host in WILDCARDS and not options.allow_host and not options.stdio:
        parser.error(f"--host {options.host} needs --allow-host NAME: requests for other names are refused")
    return options


def _stdio(server: MCPServer, stop: Callable[[], None]) -> None:
    """A thread waits in a read that nothing interrupts, so a signal ends the process itself; the ledger is atomic."""

    def leave(_number: int, _frame: object) -> NoReturn:
        stop()
        os._exit(0)

    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, leave)
    asyncio.run(server.run_stdio_async())


def _http(server: MCPServer, settings: TravelSettings, options: argparse.Namespace) -> None:
    taken = listening.listen(options.host, options.port)
    port = taken.getsockname()[1]

    def ready() -> None:
        host = WILDCARDS.get(options.host) or str(options.host)
        sys.stdout.write(json.dumps({"server": server.name, "url": f"http://{_in_url(host)}:{port}/mcp"}) + "\n")
        sys.stdout.flush()

    listening.serve(_guarded(_app(server, options, port), settings.tools_token), taken, ready)


def _app(server: MCPServer, options: argparse.Namespace, port: int) -> Any:
    from starlette.requests import Request  # noqa: PLC0415 - not over stdio
    from starlette.responses import JSONResponse  # noqa: PLC0415

    async def health(_: Request) -> JSONResponse:
        return JSONResponse({"server": server.name, "status": "ok"})

    server.custom_route("/health", methods=["GET"])(health)
    names = {"127.0.0.1", "localhost", "[::1]", *map(_in_url, options.allow_host)}
    names |= set() if options.host in WILDCARDS else {_in_url(options.host)}
    hosts = [allowed for name in sorted(names) for allowed in (name, f"{name}:{port}")]
    security = TransportSecuritySettings(allowed_hosts=hosts, allowed_origins=[f"http://{host}" for host in hosts])
    return server.streamable_http_app(transport_security=security, host=options.host)


def _in_url(host: str) -> str:
    return f"[{host}]" if ":" in host and not host.startswith("[") else host


def _guarded(app: Any, token: str) -> Any:
    """Ask for the bearer token, if there is one; /health needs none."""
    if not token:
        return app

    async def guarded(scope: dict[str, Any], receive: Any, send: Any) -> None:
        if scope["type"] == "http" and scope["path"] != "/health":
            given = dict(scope["headers"]).get(b"authorization", b"")
            if not hmac.compare_digest(given, f"Bearer {token}".encode()):
                headers = [(b"www-authenticate", b"Bearer"), (b"content-type", b"application/json")]
                await send({"type": "http.response.start", "status": 401, "headers": headers})
                await send({"type": "http.response.body", "body": b'{"error": "bearer token needed"}'})
                return
        await app(scope, receive, send)

    return guarded


def _prepare(prepare: Callable[[], object]) -> None:
    try:
        prepare()
    except Exception:  # noqa: BLE001 - a call that needs the facts tries again, and says it to its caller
        _log.exception("facts are not ready")


def _end_with(parent: int) -> None:
    """Terminate ourselves when the parent has gone: its end makes us another process's child.

    Not by PR_SET_PDEATHSIG: Linux sends that when the *thread* that started us ends, which may be one of a pool.
    """

    def watch() -> None:
        gone = threading.Event()
        while os.getppid() == parent:
            gone.wait(LOOK_S)
        os.kill(os.getpid(), signal.SIGTERM)
        gone.wait(GRACE_S)  # what does not end in order ends by force
        os.kill(os.getpid(), signal.SIGKILL)

    threading.Thread(target=watch, name="parent-watch", daemon=True).start()
