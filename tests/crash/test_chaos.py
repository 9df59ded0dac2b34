"""Workers, sweeper, tool servers and Valkey killed one after the other for a minute: `python -m benchmarks.chaos`."""

from collections.abc import Iterable
from functools import partial
from pathlib import Path

import pytest

from benchmarks.chaos.audit import violations
from benchmarks.chaos.driver import Driver, Target
from benchmarks.chaos.run import Conditions, play
from tests.support.waiting import wait_until
from tools.testing import Recorded

MINUTE = Conditions(
    jobs=120, seed=7, spread_s=55.0, work_s=0.3, tool_s=2.0, tool_servers=1, kills=24, appendfsync="always"
)
"""A kill every 1-3 s while jobs are submitted; so many that they end on a slow machine too."""


@pytest.mark.timeout(300)
def test_nothing_is_lost_doubled_overspent_or_left_behind(tmp_path: Path) -> None:
    outcome = play(tmp_path, MINUTE, print)
    assert not outcome.violations
    assert {kill.kind for kill in outcome.kills} == {"worker", "sweeper", "tool server", "valkey"}
    assert len(outcome.effects) == 3 * MINUTE.jobs
    assert all(took < 60 for took in outcome.recovery_s), "far more than the 3 s it takes: --only-workers measures it"

    stories, effects, attempts = outcome.stories, outcome.effects, outcome.attempts
    assert noticed(effects[0], violations(stories, effects[1:], attempts)), "an effect that is missing"
    assert noticed(effects[0], violations(stories, [effects[0], *effects], attempts)), "one that is doubled"
    assert noticed(attempts[0], violations(stories, effects, [*attempts, *[attempts[0]] * 100])), "calls not paid"


def test_the_last_of_a_kind_that_is_up_can_be_spared() -> None:
    up = {1, 2, 3}
    least: list[int] = []

    def kill(number: int) -> int:
        up.remove(number)
        least.append(len(up))
        return number

    targets = [Target("worker", partial(kill, number), partial(up.add, number)) for number in (1, 2, 3)]
    with Driver(targets, seed=1, every_s=(0.001, 0.002), most=20, spared=1) as driver:
        wait_until(lambda: len(driver.kills) == 20, "all kills")
    assert min(least) >= 1
    assert up == {1, 2, 3}


def noticed(one: Recorded, wrong: Iterable[str]) -> bool:
    """Whether the audit names the job of this effect or call, and no other."""
    lines = list(wrong)
    return bool(lines) and all(str(one.key).partition(".")[0] in line for line in lines)
