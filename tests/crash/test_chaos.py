"""Workers, sweeper, tool servers and Valkey killed one after the other for a minute: `python -m benchmarks.chaos`."""

from collections.abc import Iterable
from pathlib import Path

import pytest

from benchmarks.chaos.audit import violations
from benchmarks.chaos.run import Conditions, play
from tools.testing import Recorded

MINUTE = Conditions(jobs=120, seed=7, spread_s=55.0, work_s=0.3, tool_s=2.0, tool_servers=1, kills=24)
"""A kill every 1-3 s while jobs are submitted; so many that they end on a slow machine too."""


@pytest.mark.timeout(300)
def test_nothing_is_lost_doubled_overspent_or_left_behind(tmp_path: Path) -> None:
    outcome = play(tmp_path, MINUTE, print)
    assert not outcome.violations
    assert {kill.kind for kill in outcome.kills} == {"worker", "sweeper", "tool server", "valkey"}
    assert len(outcome.effects) == 3 * MINUTE.jobs

    stories, effects, attempts = outcome.stories, outcome.effects, outcome.attempts
    assert noticed(effects[0], violations(stories, effects[1:], attempts)), "an effect that is missing"
    assert noticed(effects[0], violations(stories, [effects[0], *effects], attempts)), "one that is doubled"
    assert noticed(attempts[0], violations(stories, effects, [*attempts, *[attempts[0]] * 100])), "calls not paid"


def noticed(one: Recorded, wrong: Iterable[str]) -> bool:
    """Whether the audit names the job of this effect or call, and no other."""
    lines = list(wrong)
    return bool(lines) and all(str(one.key).partition(".")[0] in line for line in lines)
