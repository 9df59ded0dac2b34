"""One desk for all tests that do not kill it; after every test nothing that it started may run."""

import asyncio
from collections.abc import AsyncGenerator, Generator
from pathlib import Path

import pytest
import pytest_asyncio

from tests.tools_client.stage import Desk, offspring


@pytest.fixture(scope="session")
def desk(tmp_path_factory: pytest.TempPathFactory) -> Generator[Desk]:
    one = Desk(tmp_path_factory.mktemp("desk") / "log").start()
    yield one
    one.kill()


@pytest.fixture
def mortal(tmp_path: Path) -> Generator[Desk]:
    """A desk that a test may kill."""
    one = Desk(tmp_path / "log").start()
    yield one
    one.kill()


@pytest_asyncio.fixture(autouse=True)
async def nothing_is_left_behind(desk: Desk) -> AsyncGenerator[None]:
    del desk  # it was started before we count
    before = offspring()
    yield
    await asyncio.sleep(0)
    left = [task.get_name() for task in asyncio.all_tasks() if task.get_name().startswith(("mcp-", "list-"))]
    assert not left
    assert offspring() <= before
