"""A job, its workers who claim, call, crash, come back late and stop, and what must be true of them at any moment."""

import json
import random
import re
from dataclasses import dataclass, field, replace

import pytest

from orchestrator import InvalidRequest, Plan, Step
from orchestrator.state import keys
from orchestrator.state.calls import NOTHING, Cost, State
from orchestrator.state.client import without_loop as do
from orchestrator.state.records import JobRecord, Question
from orchestrator.state.steps import Ending, Lease
from orchestrator.state.undo import Undone, is_work, work
from orchestrator.status import JOB_MOVES, JobStatus, StepState
from tests.state.conftest import NAMES, Stores, nothing_left_behind

JOB = "0" * 31 + "4"
COUNTERS = ("live", "active", "left", "parked", "total")
KINDS = ("steps", "tool_calls", "tokens", "usd", "answer_bytes")
COST, UNDOING = Cost(1, 10, 100, answer_bytes=100), Cost(0, undo=1)
OUTCOMES: list[State | None] = ["done", "rejected", "asked", "unknown", "unsent", None]
LEARNED: list[State] = ["done", "asked", "unknown"]


def some_plan(rolled: random.Random) -> Plan:
    """Two to eight steps, each after some of those before it, all joined by the last."""
    steps: list[Step] = []
    for i in range(rolled.randrange(1, 7)):
        before = [step.name for step in steps]
        after = rolled.sample(before, rolled.randrange(min(3, len(before)) + 1))
        steps.append(Step(rolled.choice(NAMES), f"s{i}", after, optional=rolled.random() < 0.3))
    return Plan([*steps, Step("a", "join", [step.name for step in steps])])


@dataclass
class Play:
    """One job, its workers, and what has been seen of it."""

    stores: Stores
    rolled: random.Random
    job: str = JOB
    leases: list[Lease] = field(default_factory=list[Lease])
    holders: dict[str, Lease] = field(default_factory=dict[str, Lease])
    committed: dict[str, str] = field(default_factory=dict[str, str])
    record: JobRecord = field(init=False)

    def __post_init__(self) -> None:
        self.record = do(self.stores.jobs.read(self.job))

    def receive(self) -> None:
        """A worker takes a message, and claims its step unless it dies at once."""
        lists = sorted(self.stores.command("KEYS", "[^s]*{0}"))
        if not lists:
            return
        message = json.loads(self.stores.command("RPOP", self.rolled.choice(lists)))
        if self.rolled.random() < 0.1:  # it died between the message and the claim
            return
        self.claim(message["headers"]["id"].partition(".")[2])

    def claim(self, step: str) -> None:
        if is_work(step):
            self.claim_undo(step)
            return
        claim = do(self.stores.steps.claim(self.job, step))
        if claim.answer == "CLAIMED":
            assert step not in self.committed, "a step that has its output is never run again"
            assert set(claim.inputs) == {
                d for d in self.record.step(step).after if self.committed.get(d) == "succeeded"
            }
            before = self.holders.get(step)
            assert before is None or int(claim.fence) > int(before.fence), "a fence only grows"
            self.holders[step] = Lease(self.job, step, claim.fence)
            self.leases.append(self.holders[step])

    def claim_undo(self, undo: str) -> None:
        """A worker undoes a step of a job that has ended."""
        if do(self.stores.undos.claim(self.job, undo)).claim.answer == "CLAIMED":
            assert self.record.status.final
            steps = self.record.undo.steps
            newer = steps[: steps.index(undo.removeprefix(keys.UNDO))]
            assert {self.record.fields[f"{work(step)}.state"] for step in newer} <= {"succeeded"}, "newest first"
            fence = do(self.stores.jobs.read(self.job)).fields[f"{undo}.fence"]
            self.holders[undo] = Lease(self.job, undo, fence)
            self.leases.append(self.holders[undo])

    def call(self) -> None:
        if self.leases:
            lease, number = self.rolled.choice(self.leases), self.rolled.randrange(1, 4)
            cost = UNDOING if is_work(lease.step) else COST
            if self.rolled.random() < 0.2:  # what became of a call of an earlier attempt is learned
                do(self.stores.calls.settle(lease, number, self.rolled.choice(LEARNED), 1, NOTHING))
            elif (begun := do(self.stores.calls.begin(lease, number, "p", "t.x", cost))).answer in {"GO", "AGAIN"}:
                assert lease == self.holders[lease.step], "only the holder calls"
                state = self.rolled.choice(OUTCOMES)
                if state:
                    do(self.stores.calls.settle(lease, number, state, {"n": number}, begun.cost))

    def commit(self) -> None:
        if self.leases:
            lease = self.rolled.choice(self.leases)
            if is_work(lease.step):
                if do(self.stores.undos.commit(lease, Undone())).answer == "OK":
                    assert lease == self.holders[lease.step], "only the holder commits"
                return
            risk = 0.4 if self.record.step(lease.step).optional else 0.03
            outcome = "failed" if self.rolled.random() < risk else "succeeded"
            before = self.messages()
            rollback = [{"tool": "t.undo", "arguments": {}}] if self.rolled.random() < 0.5 else []
            answer = do(self.stores.steps.commit(lease, Ending(outcome, {"by": lease.fence}, rollback=rollback)))
            if answer.answer == "OK":
                assert lease == self.holders[lease.step], "only the holder commits"
                assert lease.step not in self.committed
                undoing = answer.why == "failed" and bool(do(self.stores.jobs.read(self.job)).undo.pending)
                sent = before + len(answer.ready) + undoing
                assert self.messages() == sent, "what is ready, or is to be undone first, has its message at once"
                self.committed[lease.step] = outcome
                assert all(self.record.step(name).state is StepState.PENDING for name in answer.ready)

    def tell(self) -> None:
        """What changes nothing but the events, and what is known of tools."""
        if self.leases:
            lease = self.rolled.choice(self.leases)
            do(self.stores.calls.emit(lease, "hello"))
            do(self.stores.calls.pin(lease, {"t.x": self.rolled.choice("cd")}))

    def unknown(self) -> None:
        """A step comes to a worker that does not know its specialist; seldom has it been so for too long."""
        undone = [work(step) for step in self.record.undo.steps]
        step = self.rolled.choice(undone or self.record.step_names())
        over = self.rolled.random() < 0.2
        answer = do(self.stores.steps.refuse(self.job, step, "nobody knows it", 0 if over else 900))
        assert answer in {"LEFT", "NOTHING", "GIVE_UP" if undone else "FAILED"}
        assert over or answer in {"LEFT", "NOTHING"}
        if answer == "GIVE_UP":
            self.claim_undo(step)

    def messages(self) -> int:
        return sum(self.stores.command("LLEN", name) for name in self.stores.command("KEYS", "[^s]*{0}"))

    def stop(self) -> None:
        """A worker stops, and gives back what it may hold."""
        if self.leases:
            do(self.stores.steps.give_back(self.rolled.choice(self.leases), grace_s=0))

    def release(self) -> None:
        if self.leases:
            do(self.stores.steps.release(self.rolled.choice(self.leases), delay_s=0, grace_s=0, why={"message": "x"}))

    def ask(self) -> None:
        asking = [lease for lease in self.leases if not is_work(lease.step)]
        if asking:
            lease = self.rolled.choice(asking)
            day = Question(f"{lease.step}/day", "day", "which?", step=lease.step)
            if self.rolled.random() < 0.5:
                day = replace(day, deadline_s=900, otherwise="2")
            do(self.stores.steps.park(lease, [day]))

    def nobody_answers(self) -> None:
        """The time of the job's questions is over; the next sweep finds that."""
        for member in self.stores.command("ZRANGE", keys.INDEXES["deadlines"], 0, -1):
            if member.startswith(f"{self.job} ".encode()):
                self.stores.command("ZADD", keys.INDEXES["deadlines"], 1, member)

    def answer(self) -> None:
        for question in self.record.questions:
            if not self.record.status.final:
                do(self.stores.jobs.answer(self.job, {question.id: 1}))

    def renew(self) -> None:
        do(self.stores.steps.renew(self.rolled.sample(self.leases, min(3, len(self.leases)))))

    def crash(self) -> None:
        """Some holder does nothing until its lease has run out; it may still come back late."""
        if self.leases:
            step = self.rolled.choice(self.leases).step
            if self.stores.command("ZSCORE", keys.INDEXES["leases"], f"{self.job}.{step}") is not None:
                self.lease_ends(step)

    def overtaken(self) -> None:
        """Some holder is paused until its lease has run out, and another one takes the step by a doubled message."""
        if self.leases:
            step = self.rolled.choice(self.leases).step
            if self.stores.command("ZSCORE", keys.INDEXES["leases"], f"{self.job}.{step}") is not None:
                self.lease_ends(step)
                self.claim(step)

    def lease_ends(self, step: str) -> None:
        self.stores.command("ZADD", keys.INDEXES["leases"], 1, f"{self.job}.{step}")
        self.stores.command("HSET", keys.job(self.job), f"{step}.until", 1)
        for call in self.stores.command("ZRANGE", keys.INDEXES["begun"], 0, -1):
            if call.startswith(f"{self.job}.{step}:".encode()):
                self.stores.command("ZADD", keys.INDEXES["begun"], 1, call)

    def sweep(self) -> None:
        do(self.stores.sweeper.sweep())

    def lose(self) -> None:
        """The broker forgets a queue."""
        self.stores.command("DEL", f"{self.rolled.choice(NAMES)}.{{0}}")

    def cancel(self) -> None:
        do(self.stores.jobs.cancel(self.job))

    def deadline_passes(self) -> None:
        if self.stores.command("ZSCORE", keys.INDEXES["deadlines"], self.job) is not None:
            self.stores.command("ZADD", keys.INDEXES["deadlines"], 1, self.job)
            self.stores.command("HSET", keys.job(self.job), "deadline", 1)

    def resume(self) -> None:
        if self.record.undo.steps:
            with pytest.raises(InvalidRequest):
                do(self.stores.jobs.resume(self.job, {}, None))
        elif self.record.status is JobStatus.FAILED and self.rolled.random() < 0.5:
            for step in do(self.stores.jobs.resume(self.job, {}, None)):
                assert self.committed.pop(step, "failed") == "failed"

    def look(self) -> None:
        """What holds at any moment."""
        was, self.record = self.record, do(self.stores.jobs.read(self.job))
        fields = self.record.fields
        assert all(int(fields[counter]) >= 0 for counter in COUNTERS), {c: fields[c] for c in COUNTERS}
        for kind in KINDS:
            line = getattr(self.record.spend, kind)
            assert line.spent >= 0
            assert line.reserved >= 0
            assert line.free is None or line.free >= 0
        for name, outcome in self.committed.items():
            assert fields[f"{name}.state"] == outcome
            if outcome == "succeeded" and name in was.step_names() and f"{name}.out" in was.fields:
                assert fields[f"{name}.out"] == was.fields[f"{name}.out"], "an output is stored once"
        if self.record.status.final:
            nothing_left_behind(self.stores)
            self.undoing_agrees(was)
        else:
            self.counts_agree()
        if self.record.status is not was.status:
            assert self.record.status in JOB_MOVES[was.status]

    def undoing_agrees(self, was: JobRecord) -> None:
        """What is undone stays undone, each step once, and is counted apart."""
        now, calls = self.record.undo, do(self.stores.jobs.calls(self.job))
        assert was.undo.steps in {(), now.steps}
        assert now.pending == len([step for step in now.steps if f"{work(step)}.out" not in self.record.fields])
        begun = [call for call in calls if is_work(call["step"]) and call["state"] == "begun"]
        assert self.record.spend.undo.reserved == len(begun)

    def counts_agree(self) -> None:
        """The counters are what counting gives."""
        fields = self.record.fields
        states = [fields[f"{name}.state"] for name in self.record.step_names()]
        assert int(fields["active"]) == states.count("running")
        assert int(fields["parked"]) == states.count("waiting")
        if "failing" not in fields:
            assert int(fields["live"]) == sum(states.count(state) for state in ("ready", "running", "retrying"))
            assert int(fields["left"]) == len(states) - states.count("succeeded") - states.count("failed")
        begun = [call for call in do(self.stores.jobs.calls(self.job)) if call["state"] == "begun"]
        assert self.record.spend.tool_calls.reserved == len(begun), "what is reserved is what the journal reserves"
        assert self.record.spend.usd.reserved == 100 * len(begun)
        sizes = [re.search(r"answer_bytes=(\d+)", call["held"]) for call in begun]
        assert self.record.spend.answer_bytes.reserved == sum(int(size[1]) for size in sizes if size)

    def all_die(self) -> None:
        """Whoever holds a step is gone for good."""
        for member in self.stores.command("ZRANGE", keys.INDEXES["leases"], 0, -1):
            job_id, _, step = member.decode().rpartition(".")
            if job_id == self.job:
                self.lease_ends(step)
        self.leases.clear()

    def ended_well(self) -> None:
        """A job that succeeded has all its outputs, and was joined once."""
        assert set(self.committed) == set(self.record.step_names())
        assert self.committed["join"] == "succeeded"
        joins = [e for e in do(self.stores.jobs.events(self.job)) if (e.type, e.step) == ("succeeded", "join")]
        assert len(joins) == 1
