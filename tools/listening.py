"""Serves an ASGI application on a port until SIGTERM or Ctrl-C; what runs then has a few seconds to end."""

import asyncio
import contextlib
import signal
import socket
import sys
from collections.abc import Callable
from typing import Any, NoReturn

DRAIN_S = 5


def listen(host: str, port: int) -> socket.socket:
    """Listen on a port; 0 takes a free one.

    Raises:
        SystemExit: it cannot be had; says why.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        listening = socket.create_server((host, port), family=family)
    except OSError as error:
        raise SystemExit(f"cannot listen on {host} port {port}: {error.strerror or error}") from None
    # Without it head and body of an answer, written one after the other, wait 40 ms for the client's delayed ACK:
    # asyncio sets it only on sockets whose protocol is named, and those of create_server have none.
    listening.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return listening


def serve(app: Any, listening: socket.socket, ready: Callable[[], None]) -> None:
    """Serve; `ready` is called once requests are answered."""
    signal.signal(signal.SIGTERM, _leave)  # uvicorn raises it again when it has shut down
    with contextlib.suppress(KeyboardInterrupt), listening:
        asyncio.run(_serve(app, listening, ready))


def _leave(_number: int, _frame: object) -> NoReturn:
    sys.exit(0)


async def _serve(app: Any, listening: socket.socket, ready: Callable[[], None]) -> None:
    import uvicorn  # noqa: PLC0415 - only who serves needs it

    config = uvicorn.Config(
        app, log_config=None, log_level="warning", timeout_graceful_shutdown=DRAIN_S, lifespan="on", access_log=False
    )
    runner = uvicorn.Server(config)
    serving = asyncio.create_task(runner.serve([listening]))
    while not runner.started and not serving.done():  # noqa: ASYNC110 - uvicorn has no event for it
        await asyncio.sleep(0.005)
    if runner.started:
        ready()
    await serving
