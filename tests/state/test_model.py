"""The model check: hypothesis chooses the moves of two jobs' workers, and shrinks what breaks a promise.

A rule is one script run by a worker that may be late, dead, doubled or paused; the invariants are looked at after each.
At the end everybody dies, and whoever comes next must bring every job to its end. SUREFOOT_TEST_EXAMPLES=1000: longer.
"""

import json
import os
import random
from collections.abc import Callable

import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule, run_state_machine_as_test

from orchestrator import InvalidRequest
from orchestrator.fork import fork
from orchestrator.state.client import without_loop as do
from orchestrator.state.jobs import NewJob
from orchestrator.status import JobStatus, StepState
from tests.state.conftest import NAMES, Stores, nothing_left_behind
from tests.state.play import KINDS, Play, some_plan
from tests.support.waiting import wait_until

JOBS, FORK = ("0" * 31 + "5", "0" * 31 + "6"), "0" * 31 + "7"
rolls = st.integers(0, 2**16).map(random.Random)
"""What depends on the store is rolled and not drawn: the sweeper looks at the time, so that the store differs."""
which = st.sampled_from((*JOBS, FORK))
WORK = [Play.call, Play.call, Play.commit, Play.commit, Play.overtaken, Play.overtaken, Play.crash]
SELDOM = [Play.release, Play.stop, Play.ask, Play.answer, Play.nobody_answers, Play.renew, Play.resume]
RARE = [Play.tell, Play.unknown]
SIZE = settings(
    max_examples=int(os.environ.get("SUREFOOT_TEST_EXAMPLES", "30")),
    stateful_step_count=50,
    phases=[phase for phase in Phase if phase is not Phase.shrink or "SUREFOOT_TEST_EXAMPLES" in os.environ],
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow],
)


class Fleet(RuleBasedStateMachine):
    """Two jobs in one store, perhaps a fork of one of them, and the workers of all."""

    stores: Stores

    @initialize(rolled=rolls, ceiling=st.sampled_from([3, 10, 1000]))
    def submit(self, rolled: random.Random, ceiling: int) -> None:
        self.stores.command("FLUSHALL")
        self.plays: dict[str, Play] = {}
        for job in JOBS:
            limits = {"tool_calls": ceiling, "tokens": 10 * ceiling, "usd": 100 * ceiling, "answer_bytes": 50 * ceiling}
            on_failure = rolled.choice(["undo", "keep"])
            self.stores.open(some_plan(rolled), job, seconds=3_600, on_failure=on_failure, **limits)
            self.plays[job] = Play(self.stores, rolled, job)

    @rule(rolled=rolls, times=st.integers(1, 3))
    def receive(self, rolled: random.Random, times: int) -> None:
        for _ in range(times):
            self.received(rolled)

    def received(self, rolled: random.Random) -> None:
        """A worker takes a message of whichever job, and claims its step unless it dies at once."""
        lists = sorted(self.stores.command("KEYS", "[^s]*{0}"))
        if not lists:
            return
        message = json.loads(self.stores.command("RPOP", rolled.choice(lists)))
        job, _, step = message["headers"]["id"].partition(".")
        for _ in range(rolled.choice([0, 1, 1, 1, 2])):  # lost, or doubled
            self.plays[job].claim(step)

    @rule(job=which, rolled=rolls, move=st.sampled_from(WORK))
    def work(self, job: str, rolled: random.Random, move: Callable[[Play], None]) -> None:
        play = self.plays.get(job) or self.plays[JOBS[0]]  # until there is a fork
        play.rolled = rolled
        move(play)

    @rule(job=which, rolled=rolls, move=st.sampled_from(SELDOM + RARE))
    def seldom(self, job: str, rolled: random.Random, move: Callable[[Play], None]) -> None:
        self.work(job, rolled, move)

    @rule(job=st.sampled_from(JOBS), rolled=rolls)
    def fork(self, job: str, rolled: random.Random) -> None:
        """Once, somebody goes on behind a finished step in a new job, and perhaps does not hear the answer."""
        source = self.plays[job].record
        done = [step.name for step in source.steps() if step.state is StepState.SUCCEEDED and step.name != "join"]
        if FORK in self.plays or not done:
            return
        try:
            made = fork(source, source.plan(), rolled.choice(done))
        except InvalidRequest:  # it comes after a step that was optional, and failed
            return
        ceilings: dict[str, int] = dict.fromkeys(KINDS, 1_000_000)
        new = NewJob(FORK, "w", "t", {"x": 2}, ceilings, key="fork", plan=made.rest, undo_calls=1_000)
        if any(name in source.undo.steps and f"{name}.undo" in source.fields for name in made.kept.by_name):
            with pytest.raises(InvalidRequest, match="what it did was undone"):
                do(self.stores.jobs.fork(job, new, made.kept, made.whole.numbers))
            return
        for _ in range(rolled.choice([1, 2])):
            assert do(self.stores.jobs.fork(job, new, made.kept, made.whole.numbers)) == FORK
        self.plays[FORK] = Play(self.stores, rolled, FORK, committed=dict.fromkeys(made.kept.by_name, "succeeded"))
        outputs = [self.plays[FORK].record.step(name).output for name in made.kept.by_name]
        assert outputs == [source.step(name).output for name in made.kept.by_name]
        assert do(self.stores.jobs.read(job)).fields["forks"] == FORK

    @rule()
    def sweep(self) -> None:
        do(self.stores.sweeper.sweep())

    @rule(job=which, rolled=rolls, name=st.sampled_from(NAMES))
    def calamity(self, job: str, rolled: random.Random, name: str) -> None:
        """Seldom, since little happens afterwards: the broker forgets a queue, a job is cancelled or out of time."""
        if rolled.random() < 0.15:
            fate = rolled.choice(["lost", "cancelled", "late"])
            if fate == "lost":
                self.stores.command("DEL", f"{name}.{{0}}")
            else:
                self.work(job, rolled, Play.cancel if fate == "cancelled" else Play.deadline_passes)

    @invariant()
    def promises(self) -> None:
        for play in getattr(self, "plays", {}).values():
            play.look()

    def teardown(self) -> None:
        """Everybody dies; whoever comes next brings every job to its end."""
        for play in self.plays.values():
            play.all_die()
            play.rolled = random.Random(0)
        wait_until(self.all_ended, "all jobs end", 20)
        for play in self.plays.values():
            if play.record.status is JobStatus.SUCCEEDED:
                play.ended_well()
        nothing_left_behind(self.stores)

    def all_ended(self) -> bool:
        for play in self.plays.values():
            play.answer()  # what was open at the last look: the sweep may take defaults
        self.sweep()
        self.promises()
        self.received(random.Random(0))
        self.promises()
        for play in self.plays.values():
            play.commit()
            play.look()
        return all(play.record.status.final and not play.record.undo.pending for play in self.plays.values())


def test_no_order_of_moves_breaks_a_promise(quick: Stores) -> None:
    Fleet.stores = quick
    run_state_machine_as_test(Fleet, settings=SIZE)
