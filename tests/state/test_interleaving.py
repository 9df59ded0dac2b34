"""Workers that claim, call, crash, come back late and are cancelled, in any order: promises hold after each move.

Nobody is told what there is to do except by the broker's lists, so a job that ends here lost no message either.
"""

import random
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field

import pytest

from orchestrator import Plan, Step
from orchestrator.state import keys
from orchestrator.state.calls import Cost, State
from orchestrator.state.client import without_loop as do
from orchestrator.state.steps import Lease
from orchestrator.status import JobStatus
from tests.state.conftest import Stores, nothing_left_behind
from tests.state.play import JOB, Play, some_plan
from tests.support.waiting import wait_until

MOVES = {
    Play.receive: 10, Play.call: 8, Play.commit: 6, Play.release: 2, Play.stop: 1, Play.ask: 1, Play.answer: 2,
    Play.nobody_answers: 1, Play.tell: 1,
    Play.renew: 2, Play.crash: 3, Play.overtaken: 1, Play.sweep: 2, Play.lose: 1, Play.resume: 1,
}  # fmt: skip
ENDS: list[State | None] = ["done", "rejected", "unknown", "unsent", None]
DONE = object()


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


@dataclass
class Ledger:
    """What the calls of three workers have reserved and cost, counted beside the scripts."""

    play: Play
    leases: list[Lease]
    tops: dict[str, int] = field(default_factory=dict[str, int])
    spent: Counter[str] = field(default_factory=Counter[str])
    held: dict[tuple[str, int], Counter[str]] = field(default_factory=dict[tuple[str, int], Counter[str]])
    dead: set[tuple[str, int]] = field(default_factory=set[tuple[str, int]])

    def call(self, place: int, number: int, ends: State | None) -> Iterator[None]:
        """One call; at each yield others do something. None: its worker dies meanwhile, and comes back late."""
        stores, lease, rolled = self.play.stores, self.leases[place], self.play.rolled
        amounts = Counter(tool_calls=1, input_tokens=rolled.randrange(20), usd=rolled.randrange(200))
        used = sum(self.held.values(), self.spent)
        fits = all(used[kind] + amounts[kind] <= top for kind, top in self.tops.items())
        begun = do(stores.calls.begin(lease, number, "p", "t.x", cost(amounts)))
        assert begun.answer == ("GO" if fits else "OVER"), "never one too many, and never one too few"
        if not fits:
            return
        own = lease.step, number
        self.held[own] = amounts
        yield
        if ends is None:
            yield from self.crash(place, own)
        actual = Counter({kind: rolled.randint(0, amount) for kind, amount in amounts.items()})
        answer = do(stores.calls.settle(lease, number, ends or "done", 1, cost(actual)))
        assert answer.startswith("STALE") == (ends is None), answer
        if ends is not None:
            self.spent += Counter() if ends == "unsent" else actual
            del self.held[own]

    def crash(self, place: int, own: tuple[str, int]) -> Iterator[None]:
        """Another one has the step, and a sweep finds what was reserved."""
        self.play.lease_ends(own[0])
        self.leases[place] = self.play.stores.claim(JOB, own[0])
        self.dead.add(own)
        yield
        do(self.play.stores.sweeper.orphaned_reservations())
        for one in self.dead:
            self.spent += self.held.pop(one)
        self.dead.clear()
        yield

    def look(self) -> None:
        """The record says the same, and never more than the ceilings."""
        kinds = list(self.tops)
        held = sum(self.held.values(), Counter[str]())
        fields = [f"{what}:{kind}" for what in ("spent", "held") for kind in kinds]
        found = [int(amount) for amount in self.play.stores.command("HMGET", keys.job(JOB), *fields)]
        assert found == [counted[kind] for counted in (self.spent, held) for kind in kinds]
        assert all(self.spent[kind] + held[kind] <= top for kind, top in self.tops.items())


def cost(amounts: Counter[str]) -> Cost:
    return Cost(amounts["tool_calls"], amounts["input_tokens"], amounts["usd"])


@pytest.mark.parametrize("seed", range(10))
def test_a_thousand_interleavings_of_calls_and_crashes_and_the_ledger_is_exact_after_each_move(
    quick: Stores, seed: int
) -> None:
    rolled = random.Random(seed)
    quick.open(Plan([Step("a", f"s{place}") for place in range(3)]), JOB, tool_calls=1, input_tokens=1, usd=1)
    ledger = Ledger(Play(quick, rolled), [quick.claim(JOB, f"s{place}") for place in range(3)])
    for number in range(1_000):
        ledger.tops = {"tool_calls": rolled.randint(1, 4), "input_tokens": rolled.randint(9, 60), "usd": 300}
        ledger.spent.clear()
        words = [word for kind, top in ledger.tops.items() for word in (f"max:{kind}", top, f"spent:{kind}", 0)]
        quick.command("HSET", keys.job(JOB), *words)
        calls = [ledger.call(place, number, rolled.choice(ENDS)) for place in range(3)]
        while calls:
            moved = rolled.choice(calls)
            if next(moved, DONE) is DONE:
                calls.remove(moved)
            ledger.look()
        assert ledger.held == {}
        lines = do(quick.jobs.read(JOB)).spend.lines
        sums = {kind: lines[kind].spent + lines[kind].reserved + (lines[kind].free or 0) for kind in ledger.tops}
        assert sums == ledger.tops
