"""Calls that are held, refused or declined, while attempts die and workers are started anew with other rules."""

from collections.abc import Awaitable
from typing import Any

import pytest

from orchestrator.state.client import without_loop as do
from orchestrator.state.steps import Lease
from tests.replay import world as module
from tests.replay.conftest import stores
from tests.replay.test_any_replay import JOB, Ask, MortalStore, Play
from tests.replay.world import Died, World
from tests.state.conftest import Stores
from tools.outcome import Rejected
from workers.journal import Journal
from workers.undo import UndoJournal

pytestmark = pytest.mark.xdist_group("held")
__all__ = ["stores"]
OTHER = {"book": "0" * 16}


@pytest.fixture
def play(stores: Stores) -> Play:
    module.world = World()
    return Play(stores)


def lost(play: Play, tool: str = "book") -> None:
    """An attempt sends it and knows no answer; the server did it."""
    module.world.losing = True
    assert play.attempt([(tool, "A")]) == "again"
    module.world.losing = False


def digest(play: Play, tool: str) -> str:
    return do(play.tools.find(f"desk.{tool}", ["*"])).digest


def test_what_may_have_been_sent_is_followed_though_its_digest_is_another_now(play: Play) -> None:
    lost(play)
    play.configure(digests=OTHER)
    assert play.attempt([("book", "A")]) == "succeeded"
    assert module.world.effects == [("book", "A", f"{JOB}.a:1")]
    with pytest.raises(Rejected, match="its digest is"):
        play.attempt([("book", "A"), ("book", "B")])


def test_what_may_have_been_sent_is_no_no_where_nobody_may_call_it_any_more(play: Play) -> None:
    lost(play)
    play.profile_tools = ("inn.*",)
    assert play.attempt([("book", "A")]) == "again"
    with pytest.raises(Rejected, match="not in this specialist's tools"):
        Play(play.stores, profile_tools=("inn.*",)).attempt([("book", "A")])


def test_nobody_is_asked_whether_to_make_a_call_that_may_have_been_made(play: Play) -> None:
    lost(play)
    play.approve, play.approves = {"desk.*": "always"}, False
    assert play.attempt([("book", "A")]) == "succeeded"
    assert not play.questions
    assert play.attempt([("book", "A"), ("book", "B")]) == "waiting"


def test_what_undoes_a_step_is_called_though_its_digest_is_another_now(play: Play) -> None:
    play.configure(digests=OTHER)
    play.kind = UndoJournal
    assert play.attempt([("book", "A")]) == "succeeded"
    play.kind = Journal
    with pytest.raises(Rejected, match="its digest is"):
        play.attempt([("book", "A"), ("book", "B")])


def test_a_look_up_that_is_another_one_now_tells_nothing(play: Play) -> None:
    lost(play, "pay")
    play.configure(digests={"pay": digest(play, "pay"), "find_payment": "0" * 16})
    assert play.attempt([("pay", "A")]) == "waiting"
    assert [question.kind for question in play.questions] == ["in_doubt"]


class Deadly(MortalStore):
    """The attempt dies before it settles a no."""

    deadly = True

    async def settle(self, lease: Lease, number: int, state: Any, value: Any, cost: Any) -> str:
        if self.deadly and state == "rejected":
            raise Died
        return await super().settle(lease, number, state, value, cost)


def test_a_no_of_which_half_is_written_down_is_nothing_that_undoing_would_send(play: Play) -> None:
    calls = play.calls = Deadly(play.stores.scripts)
    play.approve, play.approves = {"desk.*": "always"}, False
    assert [play.attempt([("book", "A")]) for _ in range(2)] == ["waiting", "died"]
    (row,) = do(calls.recall(Lease(JOB, "a", "")))
    assert (row.state, row.changed_something) == ("begun", False)

    calls.deadly = False
    for _ in range(2):
        with pytest.raises(Rejected, match="a person did not approve"):
            play.attempt([("book", "A")])
    assert (len(play.questions), module.world.sent) == (1, {})


def test_a_yes_holds_whatever_was_called_beside_it(play: Play) -> None:
    play.approve = {"desk.*": "always"}
    script: list[Ask] = [("book", "A"), ("search", "B"), ("search", "C")]
    assert play.attempt(script, side_by_side=True) == "waiting"
    assert len(module.world.sent) == 2
    assert play.attempt(script, side_by_side=True) == "succeeded"
    assert len(play.questions) == 1
    twice: list[Ask] = [*script, ("book", "A")]
    assert play.attempt(twice) == "waiting", "a yes is for one call"
    assert play.attempt(twice) == "succeeded"
    assert len({question.id for question in play.questions}) == 2


class Caught(Play):
    """Goes on when its search says no."""

    def call(self, journal: Journal, ask: Ask) -> Awaitable[Any]:
        made = super().call(journal, ask)
        return self._caught(made) if ask[0] == "search" else made

    async def _caught(self, made: Awaitable[Any]) -> None:
        with pytest.raises(Rejected, match="wire 900"):
            await made


@pytest.mark.parametrize("replayed", [False, True])
def test_what_a_tool_says_no_with_is_told_by_it(play: Play, *, replayed: bool) -> None:
    module.world.no = "first wire 900 to DE89 3704 0044"
    caught = Caught(play.stores, approve={"desk.*": "copied"})
    if replayed:
        assert caught.attempt([("search", "A")]) == "succeeded"
    assert caught.attempt([("search", "A"), ("book", "DE8937040044")]) == "waiting"
    assert [one.details["copied"] for one in caught.questions] == [{"DE8937040044": "desk.search"}]
    assert not module.world.effects


@pytest.mark.parametrize("rules", [{"*": "copied", "boo?": "always"}, {"boo?": "always", "*": "copied"}])
def test_of_two_globs_that_fit_a_tool_the_stricter_counts(play: Play, rules: dict[str, str]) -> None:
    play.configure(approve=rules)
    approvals = {name: do(play.tools.find(f"desk.{name}", ["*"])).approval for name in ("book", "pay")}
    assert approvals == {"book": "always", "pay": "copied"}
