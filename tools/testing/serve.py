"""The fault server's process: python -m tools.testing.serve --ledger FILE [--port N] [--target URL]."""

import argparse
import asyncio
import json
import os
import socket
import sys
import threading
from pathlib import Path
from typing import NoReturn

from tools.testing.ledger import Ledger
from tools.testing.proxy import Proxy

HOST = "127.0.0.1"


def main() -> None:
    """Serve until killed, or until standard input ends: that is how the end of who started us shows."""
    parser = argparse.ArgumentParser(prog="python -m tools.testing.serve", description=__doc__)
    parser.add_argument("--ledger", type=Path, required=True, help="SQLite file: schedule, attempts and effects")
    parser.add_argument("--port", type=int, default=0, help="port; 0 takes a free one (default)")
    parser.add_argument("--target", default="", help="server to stand before; default: one of our own")
    options = parser.parse_args()
    threading.Thread(target=_end_with_input, name="input", daemon=True).start()
    asyncio.run(_serve(options.ledger, options.port, options.target))


async def _serve(path: Path, port: int, target: str) -> None:
    ledger = Ledger(path)
    own = None if target else socket.create_server((HOST, 0))
    if own is not None:
        own.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)  # else each answer waits 40 ms for a delayed ACK

    def restart() -> NoReturn:
        words = ["--ledger", str(path), "--port", str(port), "--target", target]
        os.execv(sys.executable, [sys.executable, "-m", "tools.testing.serve", *words])  # noqa: S606 - all is lost, as by SIGKILL

    if own is not None:
        target = f"http://{HOST}:{own.getsockname()[1]}"
        await _started(ledger, own)
    proxy = Proxy(target, ledger, restart)
    serving = await asyncio.start_server(proxy.connected, HOST, port)
    port = serving.sockets[0].getsockname()[1]
    if own is not None:
        target = ""  # a new one at every start
    sys.stdout.write(json.dumps({"port": port}) + "\n")
    sys.stdout.flush()
    async with serving:
        await serving.serve_forever()


async def _started(ledger: Ledger, listening: socket.socket) -> None:
    """Serve our own tools in this loop."""
    import uvicorn  # noqa: PLC0415 - neither is needed before a server of the user's own

    from tools.testing.desk import desk  # noqa: PLC0415

    app = desk(ledger).streamable_http_app()
    runner = uvicorn.Server(uvicorn.Config(app, log_config=None, log_level="warning", lifespan="on", access_log=False))
    serving = asyncio.create_task(runner.serve([listening]), name="desk")
    while not runner.started:  # uvicorn has no event for it
        if serving.done():
            serving.result()
        await asyncio.sleep(0.005)


def _end_with_input() -> NoReturn:
    sys.stdin.buffer.read()
    os._exit(0)


if __name__ == "__main__":
    main()
