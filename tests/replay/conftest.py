"""One server a module, for specialists whose tools are of this process (`world.py`)."""

from collections.abc import Iterator

import pytest

from orchestrator.workflow import Profile, catalogue
from tests.state.conftest import Stores, stores_on
from tests.support.valkey import valkey


@pytest.fixture(scope="module")
def stores() -> Iterator[Stores]:
    catalogue.profiles["a"] = Profile("a")
    with valkey() as server:
        one = stores_on(server.url)
        yield one
        one.client.close()
