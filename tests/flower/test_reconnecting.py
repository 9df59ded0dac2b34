"""Last of this folder, by its name: it kills the Redis of the fleet that all others look at."""

import pytest

from tests.flower.conftest import Page
from tests.support.flows import Order
from tests.support.waiting import wait_until

pytestmark = pytest.mark.xdist_group("flower")


def test_flower_hears_of_steps_again_after_redis_was_killed(page: Page, cancelled: str) -> None:
    page.stage.server.kill()
    page.stage.server.start()

    def heard() -> bool:
        """What happens before Flower listens again it never hears of."""
        job = page.stage.app.submit(Order(item="bed"), workflow="journey")
        job.result(60)
        return any(one["state"] == "SUCCESS" for one in page.found(job.id))

    wait_until(heard, "Flower shows a job that ran after the kill")
