"""Specialists that ask otherwise each time they run, and die anywhere: no effect is ever doubled.

The journal is the real one, on a real server; only the tools are of this process, so what really happened is known.
"""

import asyncio
import random
import time
from collections import Counter
from collections.abc import Awaitable, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, TypeVar

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from orchestrator import Plan
from orchestrator.prices import Prices
from orchestrator.state.calls import Begun, CallStore, Recorded
from orchestrator.state.client import without_loop as do
from orchestrator.state.keys import calls as calls_key
from orchestrator.state.keys import job as job_key
from orchestrator.state.records import Claim, Question
from orchestrator.state.steps import Lease
from orchestrator.telemetry import Spans
from orchestrator.telemetry.metrics import Metrics
from orchestrator.workflow import Profile
from tests.replay import world as module
from tests.replay.world import ROUNDS, Died, Tools, World
from tests.state.conftest import Stores
from tools.config import ToolConfig
from workers.approval import Approvals
from workers.asking import Asking
from workers.journal import Journal
from workers.leases import Held
from workers.meter import Meter
from workers.record import Record
from workers.verdict import Failed, Parked, Stop

JOB = "0" * 31 + "7"
EFFECTS = {"book", "pay", "send", *ROUNDS}
Ask = tuple[str, str]
Made = TypeVar("Made", bound=Journal)
Policy = Literal["stop", "recorded"]
SIMPLE: dict[str, Any] = {"deadline": None, "suppress_health_check": [HealthCheck.function_scoped_fixture]}
asks = st.tuples(st.sampled_from(["search", "book", "pay", "send", *ROUNDS]), st.sampled_from("AB"))
scripts = st.lists(asks, min_size=1, max_size=5)


class MortalStore(CallStore):
    """The attempt may die before and after each thing it does to the record."""

    begun = refunded = 0

    async def begin(self, *words: Any, **more: Any) -> Begun:
        module.world.fault([Died()])
        begun = await super().begin(*words, **more)
        self.begun += begun.answer in {"GO", "AGAIN"}
        module.world.fault([Died()])
        return begun

    async def settle(self, lease: Lease, number: int, state: Any, value: Any, cost: Any) -> str:
        module.world.fault([Died()])
        answer = await super().settle(lease, number, state, value, cost)
        self.refunded += answer == "OK" and state == "unsent"
        module.world.fault([Died()])
        return answer

    async def recall(self, lease: Lease) -> list[Recorded]:
        module.world.fault([Died()])
        return await super().recall(lease)


async def nobody(questions: Sequence[Question]) -> None:
    raise AssertionError(questions)


@dataclass
class Play:
    """One step, attempted again and again.

    Attributes:
        approve: the rules of its specialist.
        approves: what a person answers who is asked for an approval.
        questions: what was asked of people.
        kind: the journal it calls with.
        profile_tools: what its specialist may call.
    """

    stores: Stores
    policy: Policy = "stop"
    answer_bytes: int = -1
    approve: dict[str, Literal["copied", "always"]] = field(default_factory=dict[str, Literal["copied", "always"]])
    approves: bool = True
    questions: list[Question] = field(default_factory=list[Question])
    kind: type[Journal] = Journal
    profile_tools: tuple[str, ...] = ("desk.*", "inn.*")
    asked: list[Ask] = field(default_factory=list[Ask])

    def __post_init__(self) -> None:
        self.stores.command("FLUSHALL")
        self.stores.open(Plan.chain("a"), JOB, answer_bytes=self.answer_bytes)
        self.calls = MortalStore(self.stores.scripts)
        self.configure()

    def configure(self, **more: Any) -> None:
        """The workers are started anew, and the desk has this in mcp.json."""
        block = {"module": "tests.replay.world", "surefoot": {"lookup": {"pay": "find_payment"}, **more}}
        self.tools = Tools(ToolConfig.model_validate({"mcpServers": {"desk": block}}))

    def attempt(
        self, script: Sequence[Ask], *, side_by_side: bool = False, soon: bool = False, sure: bool = True
    ) -> str:
        """Run it once; answers succeeded, diverged, waiting, again or died.

        `soon`: what earlier attempts sent may still be under way. `sure`: it knows that it holds the step.
        """
        self.stores.command("HSET", job_key(JOB), "a.until", 0)  # whoever held it is gone
        if not soon:
            self.long_ago()
        claim = do(self.stores.steps.claim(JOB, "a"))
        assert claim.answer == "CLAIMED", claim
        lease, self.asked = Lease(JOB, "a", claim.fence), []
        try:
            asyncio.run(self.perform(lease, claim, script, side_by_side=side_by_side, lease_s=60 if sure else 0))
        except Died:
            return "died"
        except Stop as stop:
            if isinstance(stop.verdict, Parked):
                self.answer(lease, stop.verdict)
                return "waiting"
            return "diverged" if isinstance(stop.verdict, Failed) else "again"
        return "succeeded"

    def long_ago(self) -> None:
        """Nothing that was sent can be under way any more."""
        for name in self.stores.command("HKEYS", calls_key(JOB)):
            if name.endswith(b":at"):
                self.stores.command("HSET", calls_key(JOB), name, 0)

    async def perform(
        self, lease: Lease, claim: Claim, script: Sequence[Ask], *, side_by_side: bool, lease_s: float
    ) -> None:
        journal = self.journal(lease, claim, self.record(lease, claim, lease_s), self.kind)
        if side_by_side:
            for done in await asyncio.gather(*(self.call(journal, ask) for ask in script), return_exceptions=True):
                if isinstance(done, BaseException):
                    raise done
        else:
            for ask in script:
                await self.call(journal, ask)
        if (failed := await journal.left_out()) is not None:
            raise Stop(failed)

    def record(self, lease: Lease, claim: Claim, lease_s: float = 60) -> Record:
        task = asyncio.current_task()
        assert task is not None
        held = Held(task, lease_s)
        held.take(lease, time.monotonic())
        return Record(self.calls, held, claim, Meter(Metrics()))

    def journal(self, lease: Lease, claim: Claim, record: Record, kind: type[Made] = Journal) -> Made:
        profile = Profile("a", tools=self.profile_tools, diverged=self.policy, approve=self.approve)
        asking = Asking(self.calls, lease, lack)
        approvals = Approvals(profile, claim, asking, configured=False)
        return kind(record, asking, self.tools, Prices(None), Spans(None), profile, approvals, last=False)

    def call(self, journal: Journal, ask: Ask) -> Awaitable[Any]:
        self.asked.append(ask)
        server = "inn" if ask[0] in ROUNDS else "desk"
        return journal.call(f"{server}.{ask[0]}", {"item": ask[1]}, 60)

    def answer(self, lease: Lease, parked: Parked) -> None:
        """A person looks at the world, and says what is true."""
        if do(self.stores.steps.park(lease, parked.questions)) != "OK":
            return
        self.questions += parked.questions
        for question in parked.questions:
            if question.kind == "approval":
                do(self.stores.jobs.answer(JOB, {question.id: self.approves}))
                continue
            if question.kind == "form":
                do(self.stores.jobs.answer(JOB, {question.id: {"round": int(question.prompt)}}))
                continue
            result = module.world.happened(question.details["key"])
            said = {"happened": True, "result": result} if result else {"happened": False}
            do(self.stores.jobs.answer(JOB, {question.id: said}))

    def check(self) -> None:
        """What must be true at every moment."""
        effects = module.world.effects
        assert len({(name, key) for name, _, key in effects}) == len(effects), "an effect twice with one key"
        line = do(self.stores.jobs.read(JOB)).spend.tool_calls
        assert line.spent + line.reserved == self.calls.begun - self.calls.refunded, (
            "what may have been sent is charged"
        )

    def happened(self) -> Counter[Ask]:
        return Counter((name, item) for name, item, _ in module.world.effects)

    def wanted(self) -> Counter[Ask]:
        return Counter(ask for ask in self.asked if ask[0] in EFFECTS)


async def lack(questions: Sequence[Question]) -> None:
    raise Stop(Parked(questions))


@settings(max_examples=120, **SIMPLE)
@given(tries=st.lists(scripts, min_size=1, max_size=6), seed=st.integers(0, 2**32), quiet=st.booleans())
def test_whatever_it_asks_the_effects_are_those_of_the_attempt_that_succeeds(
    stores: Stores, tries: list[list[Ask]], seed: int, *, quiet: bool
) -> None:
    play = Play(stores)
    module.world = World(random.Random(seed), 0.0 if quiet else 0.15)
    wanted = list[Counter[Ask]]()
    for script in tries:
        ended = play.attempt(script)
        play.check()
        wanted.append(play.wanted())
        assert any(not play.happened() - each for each in wanted), "effects that no one attempt asked for together"
        if ended == "succeeded":
            assert play.happened() == play.wanted()
            return


@settings(max_examples=60, **SIMPLE)
@given(tries=st.lists(scripts, min_size=1, max_size=6), seed=st.integers(0, 2**32))
def test_where_answers_on_record_stand_for_others_there_are_as_many_effects_as_asked_for(
    stores: Stores, tries: list[list[Ask]], seed: int
) -> None:
    play = Play(stores, "recorded")
    module.world = World(random.Random(seed), 0.15)
    for script in tries:
        if play.attempt(script) == "succeeded":
            assert Counter(name for name, _, _ in module.world.effects) == Counter(
                n for n, _ in play.wanted().elements()
            )
            return
        play.check()


@settings(max_examples=50, **SIMPLE)
@given(script=scripts, seed=st.integers(0, 2**32), side_by_side=st.booleans())
def test_who_asks_the_same_again_never_diverges_and_ends(
    stores: Stores, script: list[Ask], seed: int, *, side_by_side: bool
) -> None:
    play = Play(stores)
    module.world = World(random.Random(seed), 0.2)
    ended = ""
    for _ in range(300):  # with bad luck it takes more than 60
        ended = play.attempt(script, side_by_side=side_by_side)
        play.check()
        assert ended != "diverged"
        if ended == "succeeded":
            break
    assert ended == "succeeded"
    assert play.happened() == Counter(ask for ask in script if ask[0] in EFFECTS)


def test_a_look_up_that_finds_nothing_is_not_believed_while_the_call_may_be_under_way(stores: Stores) -> None:
    play, module.world = Play(stores), World()
    module.world.losing = True
    assert play.attempt([("pay", "A")]) == "again"
    assert play.attempt([("pay", "A")], soon=True) == "again"
    assert not module.world.effects

    module.world.losing = False
    module.world.effects.append(("pay", "A", f"{JOB}.a:1"))  # the server comes to it
    assert play.attempt([("pay", "A")], soon=True) == "succeeded"
    assert module.world.effects == [("pay", "A", f"{JOB}.a:1")]


def test_what_the_look_up_does_not_find_long_after_is_sent_again(stores: Stores) -> None:
    play, module.world = Play(stores), World()
    module.world.losing = True
    assert play.attempt([("pay", "A")]) == "again"
    module.world.losing = False
    assert play.attempt([("pay", "A")]) == "succeeded"
    assert module.world.effects == [("pay", "A", f"{JOB}.a:1")]


def test_who_may_have_lost_its_step_sends_nothing_and_pays_nothing(stores: Stores) -> None:
    play, module.world = Play(stores), World()
    for tool in ("search", "book", "pay", "send"):
        assert play.attempt([(tool, "A")], sure=False) == "again"
    play.check()
    assert not module.world.sent
    assert do(stores.jobs.read(JOB)).spend.tool_calls.spent == 0
