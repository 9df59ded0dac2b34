"""One stage with one asyncio worker for the module's tests, on each broker."""

from collections.abc import Iterator

import pytest

from tests.support.stage import BROKERS, Stage, stage_on


@pytest.fixture(scope="module", params=BROKERS)
def played(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    folder = tmp_path_factory.mktemp("stage")
    prices = folder / "prices.json"
    prices.write_text('{"tools": {"desk.book": 0.01, "desk.[!g]*": 0}, "unknown": {"tools": "refuse"}}')
    with stage_on(request.param, folder, prices=prices) as here:
        here.worker("--concurrency", "200")
        yield here
