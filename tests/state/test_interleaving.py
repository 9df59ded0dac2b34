"""Workers that claim, call, crash, come back late and are cancelled, in any order: promises hold after each move.

Nobody is told what there is to do except by the broker's lists, so a job that ends here lost no message either.
"""

import random

import pytest

from orchestrator.status import JobStatus
from tests.state.conftest import Stores, nothing_left_behind
from tests.state.play import JOB, Play, some_plan
from tests.support.waiting import wait_until

MOVES = {
    Play.receive: 10, Play.call: 8, Play.commit: 6, Play.release: 2, Play.stop: 1, Play.ask: 1, Play.answer: 2,
    Play.nobody_answers: 1, Play.tell: 1,
    Play.renew: 2, Play.crash: 3, Play.overtaken: 1, Play.sweep: 2, Play.lose: 1, Play.resume: 1,
}  # fmt: skip


@pytest.mark.parametrize("seed", range(40))
def test_any_interleaving_keeps_its_promises(quick: Stores, seed: int) -> None:
    rolled = random.Random(seed)
    ceiling = rolled.choice([3, 10, 1000])
    on_failure = "undo" if seed % 3 == 0 else "keep"
    ceilings = {"tool_calls": ceiling, "tokens": 10 * ceiling, "usd": 100 * ceiling, "answer_bytes": 50 * ceiling}
    quick.open(some_plan(rolled), JOB, on_failure=on_failure, **ceilings)
    play = Play(quick, rolled)
    moves = dict(MOVES) | ({Play.cancel: 1} if seed % 5 == 0 else {}) | ({Play.unknown: 1} if seed % 4 == 0 else {})
    for move in rolled.choices(list(moves), list(moves.values()), k=250):
        move(play)
        play.look()

    play.all_die()

    def moved_on() -> bool:
        """Others work off what the sweeper brings."""
        play.sweep()
        play.receive()
        play.answer()
        play.commit()
        play.look()
        return play.record.status.final and not play.record.undo.pending

    wait_until(moved_on, f"the job ends, seed {seed}: {play.record.fields}")
    if play.record.status is JobStatus.SUCCEEDED:
        play.ended_well()
    nothing_left_behind(quick)
