"""A RabbitMQ virtual host of the test's own, on the server that is reachable. In CI a missing server is a failure."""

import os
import shutil
import socket
import subprocess
import uuid
from collections.abc import Generator
from contextlib import contextmanager

import pytest


def _rabbitmqctl(*words: str) -> None:
    subprocess.run(["rabbitmqctl", "-q", *words], check=True, timeout=60, capture_output=True)


def _reachable() -> bool:
    try:
        socket.create_connection(("127.0.0.1", 5672), timeout=2).close()
    except OSError:
        return False
    return shutil.which("rabbitmqctl") is not None


@contextmanager
def rabbitmq() -> Generator[str]:
    """The URL of a virtual host that is made for this test and removed after it."""
    if not _reachable():
        if os.environ.get("CI"):
            pytest.fail("no RabbitMQ on 127.0.0.1:5672 (or no rabbitmqctl), and this is CI")
        pytest.skip("no RabbitMQ on 127.0.0.1:5672, or no rabbitmqctl")
    name = f"surefoot-{uuid.uuid4().hex[:12]}"
    _rabbitmqctl("add_vhost", name)
    try:
        _rabbitmqctl("set_permissions", "-p", name, "guest", ".*", ".*", ".*")
        yield f"amqp://guest:guest@127.0.0.1:5672/{name}"
    finally:
        _rabbitmqctl("delete_vhost", name)
