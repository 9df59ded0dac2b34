"""An orchestrator on a real server, with workflows that only these tests know."""

from collections.abc import Iterator

import pytest

from orchestrator import Orchestrator
from orchestrator.workflow import Profile, catalogue
from tests.support.valkey import Valkey, valkey


@pytest.fixture(scope="package")
def server() -> Iterator[Valkey]:
    with valkey() as one:
        yield one


@pytest.fixture(scope="package")
def front(server: Valkey) -> Iterator[Orchestrator]:
    """The front door; nobody works, so each job stays where it was put."""
    for name in "abcd":
        catalogue.profiles[name] = Profile(name)
    door = Orchestrator(redis_url=server.url, workflows=(), trace=False)
    yield door
    door.close()
