"""How long a step that meets nobody goes on trying."""

from hypothesis import given
from hypothesis import strategies as st

from orchestrator.settings import load
from workers.verdict import backoff_s


def test_by_default_a_step_outlasts_a_minute_without_its_tool_server_and_gives_up_within_two() -> None:
    usual = load()
    sums = [
        sum(
            backoff_s(attempt, usual.backoff_s, usual.backoff_max_s, at_least_s=0)
            for attempt in range(1, usual.attempts)
        )
        for _ in range(1_000)
    ]
    assert min(sums) >= 60
    assert max(sums) <= 122
    assert max(sums) - min(sums) > 5, "who failed together does not come back together"


@given(st.integers(1, 100), st.floats(0.01, 60), st.floats(0.01, 600), st.floats(0, 3_600))
def test_a_wait_is_at_least_half_of_its_turn_and_never_before_the_server_said(
    attempt: int, first_s: float, longest_s: float, retry_after_s: float
) -> None:
    turn_s = min(longest_s, first_s * 2 ** (attempt - 1))
    waited_s = backoff_s(attempt, first_s, longest_s, retry_after_s) - retry_after_s
    assert turn_s / 2 - 1e-6 <= waited_s <= turn_s + 1e-6
