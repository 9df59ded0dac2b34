"""One stage with one asyncio worker for the module's tests."""

from collections.abc import Iterator

import pytest

from tests.support.stage import Stage, stage


@pytest.fixture(scope="module")
def played(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    with stage(tmp_path_factory.mktemp("stage")) as here:
        here.worker("--concurrency", "200")
        yield here
