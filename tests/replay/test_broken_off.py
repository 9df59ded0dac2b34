"""A call whose caller waits no more gives back what its answer held; who needs it asks ever more seldom."""

import asyncio
from typing import Any

import pytest

from orchestrator.state.calls import Cost, State
from orchestrator.state.client import without_loop as do
from orchestrator.state.steps import Lease
from orchestrator.telemetry import Span
from orchestrator.telemetry.names import Happening
from tests.replay import world as module
from tests.replay.test_any_replay import JOB, Play
from tests.replay.world import World
from tests.state.conftest import Stores
from workers.record import LEAVING_S
from workers.replay import Call

WANTED = Cost(answer_bytes=1_000)


def test_a_call_that_is_cancelled_lets_the_next_one_go_at_once(stores: Stores) -> None:
    play, module.world = Play(stores, answer_bytes=1_000), World(silent="A")
    claim = do(stores.steps.claim(JOB, "a"))
    lease = Lease(JOB, "a", claim.fence)

    async def hedge() -> Any:
        journal = play.journal(lease, claim, play.record(lease, claim))
        slow = asyncio.ensure_future(play.call(journal, ("search", "A")))
        await module.world.reached.wait()  # it was sent, and holds all bytes that the job has
        slow.cancel()
        await asyncio.wait([slow])
        assert slow.cancelled()
        async with asyncio.timeout(60):
            return await play.call(journal, ("search", "B"))

    assert asyncio.run(hedge()) == {"found": "B"}
    assert [(call["number"], call["state"]) for call in do(stores.jobs.calls(JOB))] == [(1, "unknown"), (2, "done")]
    spend = do(stores.jobs.read(JOB)).spend
    assert (spend.tool_calls.spent, spend.answer_bytes.spent, spend.answer_bytes.reserved) == (
        2,
        len('{"found":"B"}'),
        0,
    )


def test_a_call_that_is_cancelled_before_its_begin_is_answered_holds_nothing(
    stores: Stores, monkeypatch: pytest.MonkeyPatch
) -> None:
    play = Play(stores, answer_bytes=1_000)
    claim = do(stores.steps.claim(JOB, "a"))
    lease, span, begin = Lease(JOB, "a", claim.fence), Told(), play.calls.begin

    async def unanswered(*words: Any) -> Any:
        await begin(*words)
        await asyncio.Event().wait()

    async def cut_off() -> None:
        record = play.record(lease, claim)
        monkeypatch.setattr(play.calls, "begin", unanswered)
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.01):
                await record.begin(Call("desk.x", "p", 1), WANTED, "keyed", span)
        monkeypatch.setattr(play.calls, "begin", begin)
        assert (await record.begin(Call("desk.x", "q", 2), WANTED, "keyed", span)).answer == "GO"

    asyncio.run(cut_off())
    assert [(call["number"], call["state"]) for call in do(stores.jobs.calls(JOB))] == [(1, "unsent"), (2, "begun")]
    spend = do(stores.jobs.read(JOB)).spend
    assert (spend.tool_calls.spent, spend.tool_calls.reserved) == (0, 1)


def test_a_call_that_is_cancelled_before_its_begin_is_answered_is_not_held_up_where_redis_is_away(
    stores: Stores, monkeypatch: pytest.MonkeyPatch
) -> None:
    play = Play(stores)
    claim = do(stores.steps.claim(JOB, "a"))
    lease, asked = Lease(JOB, "a", claim.fence), list[str]()

    def away(name: str) -> Any:
        async def unanswered(*_: Any) -> Any:
            asked.append(name)
            await asyncio.Event().wait()

        return unanswered

    async def cut_off() -> float:
        record, loop = play.record(lease, claim), asyncio.get_running_loop()
        for name in ("begin", "settle"):
            monkeypatch.setattr(play.calls, name, away(name))
        call = asyncio.ensure_future(record.begin(Call("desk.x", "p", 1), WANTED, "keyed", Told()))
        await asyncio.sleep(0)
        began = loop.time()
        call.cancel()
        await asyncio.wait([call])
        return loop.time() - began

    assert asyncio.run(cut_off()) < LEAVING_S / 2
    assert asked == ["begin", "settle"]


@pytest.mark.parametrize(("effect", "state"), [("keyed", "unknown"), ("idempotent", "unknown"), ("unsafe", "unsent")])
def test_what_may_have_been_sent_stays_so_when_the_next_sending_certainly_is_not(
    stores: Stores, effect: str, state: str
) -> None:
    Play(stores)
    lease = stores.claim(JOB, "a")
    outcomes: list[State] = ["unknown", "unsent", "unsent"]
    for outcome in outcomes:
        assert do(stores.calls.begin(lease, 1, "p", "desk.x", Cost(), effect)).answer in {"GO", "AGAIN"}
        assert do(stores.calls.settle(lease, 1, outcome, None, Cost())) == "OK"
    assert [call["state"] for call in do(stores.jobs.calls(JOB))] == [state]
    assert do(stores.jobs.read(JOB)).spend.tool_calls.spent == 1
    assert do(stores.calls.begin(lease, 1, "p", "desk.x", Cost(), effect)).answer == "AGAIN"
    do(stores.calls.settle(lease, 1, "done", {}, Cost()))
    assert [call["state"] for call in do(stores.jobs.calls(JOB))] == ["done"]


class Told(Span):
    """Notes what happens in it."""

    def __init__(self) -> None:
        super().__init__(None)
        self.events = list[tuple[Happening, dict[str, Any]]]()

    def event(self, what: Happening, **said: Any) -> None:
        self.events.append((what, said))


def test_who_waits_for_bytes_says_so_once_and_asks_ever_more_seldom(
    stores: Stores, monkeypatch: pytest.MonkeyPatch
) -> None:
    play = Play(stores, answer_bytes=1_000)
    claim = do(stores.steps.claim(JOB, "a"))
    lease, span, waits = Lease(JOB, "a", claim.fence), Told(), list[float]()

    async def wait(seconds: float) -> None:
        waits.append(seconds)
        if len(waits) == 8:
            await play.calls.settle(lease, 1, "unknown", None, Cost())

    async def two() -> None:
        record = play.record(lease, claim)
        await record.begin(Call("desk.x", "p", 1), WANTED, "read", span)
        monkeypatch.setattr(asyncio, "sleep", wait)
        await record.begin(Call("desk.x", "q", 2), WANTED, "read", span)

    asyncio.run(two())
    assert waits == [0.05, 0.1, 0.2, 0.4, 0.8, 1.0, 1.0, 1.0]
    assert span.events == [(Happening.BUDGET_BUSY, {"ceiling": "answer bytes"})]
