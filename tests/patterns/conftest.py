"""One stage with one worker for the tutorial of the patterns."""

from collections.abc import Iterator

import pytest

from tests.support.stage import Stage, stage

FLOWS = "tests.patterns.flows"


@pytest.fixture(scope="package")
def played(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    with stage(tmp_path_factory.mktemp("patterns"), workflows=FLOWS, trace=True) as here:
        __import__(FLOWS)
        here.worker("--concurrency", "50")
        yield here
