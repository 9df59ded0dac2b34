"""Web applications over real HTTP, in a thread of the tests' process."""

import threading
from collections.abc import Generator
from contextlib import contextmanager
from typing import Any

import uvicorn

from tests.support.waiting import wait_until
from tools.listening import listen


@contextmanager
def served(application: Any) -> Generator[str]:
    """Serve it on a free port; its URL. The process's loggers stay as they are: other tests look at them."""
    listening = listen("127.0.0.1", 0)
    server = uvicorn.Server(uvicorn.Config(application, log_config=None, lifespan="on"))
    thread = threading.Thread(target=server.run, args=([listening],), daemon=True)
    thread.start()
    try:
        wait_until(lambda: server.started, "it is served")
        yield f"http://127.0.0.1:{listening.getsockname()[1]}"
    finally:
        server.should_exit = True
        thread.join()
        listening.close()
