"""One stage with one worker for the tests of a module, on each broker."""

from collections.abc import Iterator

import pytest

from orchestrator import Orchestrator
from tests.support.stage import BROKERS, Stage, stage_on

FLOWS = "tests.undo.flows"


@pytest.fixture(scope="module", params=BROKERS)
def played(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    with stage_on(request.param, tmp_path_factory.mktemp("stage"), workflows=FLOWS, attempts=4) as here:
        here.app.close()
        here.app = Orchestrator(
            redis_url=here.server.url, broker_url=here.broker_url or None, workflows=(FLOWS,), trace=False
        )
        here.worker("--concurrency", "50")
        yield here
