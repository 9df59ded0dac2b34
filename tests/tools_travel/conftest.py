"""The five servers as real processes, on one ledger of the test's own."""

from collections.abc import Iterator

import pytest

from tests.tools_travel import postgres
from tests.tools_travel.serving import SERVERS, Served, Travel


@pytest.fixture(scope="session")
def travel(tmp_path_factory: pytest.TempPathFactory, flight_data: object) -> Iterator[Travel]:
    """One set for all tests of a process: mark those that use it with xdist_group("travel")."""
    home = tmp_path_factory.mktemp("travel")
    started = {name: Served.started(name, home) for name in SERVERS}
    yield Travel(home, {name: served.url for name, served in started.items()})
    for served in started.values():
        served.process.terminate()
    assert [served.process.wait(10) for served in started.values()] == [0] * len(started)


@pytest.fixture(scope="session")
def postgres_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The URL of a PostgreSQL server."""
    with postgres.server(tmp_path_factory.mktemp("postgres")) as url:
        yield url


@pytest.fixture
def postgres_url(postgres_server: str) -> Iterator[str]:
    """The URL of a database of the test's own."""
    with postgres.database(postgres_server) as url:
        yield url


@pytest.fixture(params=["sqlite", "postgres"])
def ledger_url(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> str:
    """One contract, two databases."""
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path_factory.mktemp('ledger') / 'ledger.sqlite'}"
    return request.getfixturevalue("postgres_url")
