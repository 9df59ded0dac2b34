"""A call that was under way at a job's end, cleared up while the job is undone: its tool wants to be called again."""

import asyncio

from orchestrator.state.calls import Recorded
from orchestrator.state.client import without_loop as do
from orchestrator.state.keys import calls as calls_key
from orchestrator.state.keys import job as job_key
from orchestrator.state.steps import Lease
from tests.replay import world as module
from tests.replay.test_any_replay import JOB, Play
from tests.replay.world import World
from tests.state.conftest import Stores
from workers.doubt import Known
from workers.undo import UndoJournal
from workers.verdict import Later, Stop, Verdict


def test_that_its_tool_is_another_one_now_is_told_and_it_is_followed_nevertheless(stores: Stores) -> None:
    play, module.world = Play(stores), World()
    stores.command("HSET", calls_key(JOB), "@inn.queue", "what it was")
    assert cleared_up(play) == Later("inn.queue: it wants to be called again")
    changed = [event.data for event in do(stores.jobs.events(JOB)) if event.type == "changed"]
    assert [(one["tool"], one["first"]) for one in changed] == [("inn.queue", "what it was")]


PAST = Recorded(3, "p", "inn.queue", "keyed", "unknown")


def cleared_up(play: Play) -> Known | Verdict:
    """One attempt to clear up what a step left unsettled."""
    play.stores.command("HSET", job_key(JOB), "a.until", 0)  # whoever held it is gone
    claim = do(play.stores.steps.claim(JOB, "a"))
    lease = Lease(JOB, "a", claim.fence)

    async def again() -> Known:
        journal = play.journal(lease, claim, play.record(lease, claim), UndoJournal)
        return await journal.again(PAST, "past", {"item": "A"}, 60, None)

    try:
        return asyncio.run(again())
    except Stop as stop:
        return stop.verdict


def test_that_it_wants_to_be_called_again_does_not_say_that_it_did_not_happen(stores: Stores) -> None:
    play, module.world = Play(stores), World()
    assert cleared_up(play) == Later("inn.queue: it wants to be called again")
    happened = Known(happened=True, result={"item": "A", "key": f"{JOB}.a:2"})
    assert cleared_up(play) == happened
    assert cleared_up(play) == happened, "from the record"
    assert module.world.effects == [("queue", "A", f"{JOB}.a:2")]
    assert [(call["number"], call["state"]) for call in do(stores.jobs.calls(JOB))] == [(1, "asked"), (2, "done")]
