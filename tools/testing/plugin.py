"""The pytest plugin: fixtures that start a fault server, a proxy before a user's own, or a scripted model."""

from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:  # every pytest run of whoever installs Surefoot loads this file
    from collections.abc import Callable, Iterator

    from tools.testing import FaultProxy, FaultServer
    from tools.testing.model import ModelServer


@pytest.fixture
def fault_server(tmp_path: Path) -> "Iterator[FaultServer]":
    """An MCP server of the test's own, with one tool of each effect."""
    from tools.testing import FaultServer  # noqa: PLC0415 - only when used

    with FaultServer(tmp_path / "fault-server") as server:
        yield server


@pytest.fixture
def model_server() -> "Iterator[ModelServer]":
    """A language model that says what the test wrote."""
    from tools.testing.model import ModelServer  # noqa: PLC0415 - only when used

    with ModelServer() as server:
        yield server


@pytest.fixture
def fault_proxy(tmp_path: Path) -> "Iterator[Callable[[str], FaultProxy]]":
    """Puts a proxy before the server of a URL, as its clients would use it."""
    from tools.testing import FaultProxy  # noqa: PLC0415 - only when used

    with ExitStack() as proxies:

        def before(url: str) -> "FaultProxy":
            number = len(list(tmp_path.glob("fault-proxy-*"))) + 1
            return proxies.enter_context(FaultProxy(url, tmp_path / f"fault-proxy-{number}"))

        yield before
