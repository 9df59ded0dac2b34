"""One stage with one worker for the tutorial of the patterns, on each broker."""

from collections.abc import Iterator

import pytest

from tests.support.stage import BROKERS, Stage, stage_on

FLOWS = "tests.patterns.flows"


@pytest.fixture(scope="package", params=BROKERS)
def played(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    with stage_on(request.param, tmp_path_factory.mktemp("patterns"), workflows=FLOWS, trace=True) as here:
        __import__(FLOWS)
        here.worker("--concurrency", "50")
        yield here
