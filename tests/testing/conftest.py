"""One fault server for all tests that do not end it; a test begins with nothing scheduled, and keys of its own."""

import uuid
from collections.abc import Iterator

import pytest

from tools.testing import FaultServer


@pytest.fixture(scope="package")
def lasting(tmp_path_factory: pytest.TempPathFactory) -> Iterator[FaultServer]:
    with FaultServer(tmp_path_factory.mktemp("faults")) as one:
        yield one


@pytest.fixture
def server(lasting: FaultServer) -> FaultServer:
    lasting.heal()
    return lasting


@pytest.fixture
def key() -> str:
    return uuid.uuid4().hex
