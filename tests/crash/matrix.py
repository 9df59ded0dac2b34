"""The kill matrix: every boundary x whom x broker x effect, what is expected of each cell, and how one is played."""

import itertools
import os
import signal
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from orchestrator import Job, Orchestrator
from tests.support.stage import Stage
from tests.support.waiting import wait_until
from tools.testing import FaultServer, HalfOpen, Recorded

SENT, EFFECT_DONE = "call sent", "effect done, answer not received"
BOUNDARIES = (
    "claimed", "call recorded", SENT, EFFECT_DONE, "answer received", "settled", "before commit", "committed",
    "join not published", "join published",
)  # fmt: skip
WHOM = ("asyncio worker", "prefork child", "prefork worker")
BROKERS = ("redis", "rabbitmq")
EFFECTS = {"search": "READ", "book": "KEYED", "pay": "UNSAFE, look-up", "send": "UNSAFE"}
MAY_BE_DONE = {"call recorded", SENT, EFFECT_DONE, "answer received"}
"""The call is on record as begun, and its answer is not: only the tool can know."""


@dataclass(frozen=True)
class Cell:
    """One kill."""

    boundary: str
    whom: str
    broker: str
    tool: str

    def __str__(self) -> str:
        return f"{self.boundary} / {self.whom} / {self.broker} / {EFFECTS[self.tool]}"

    @property
    def stage(self) -> tuple[str, str]:
        """Broker and pool: where it can be played."""
        return self.broker, self.whom.partition(" ")[0]

    @property
    def in_doubt(self) -> bool:
        """Whether a person must be asked."""
        return self.tool == "send" and self.boundary in MAY_BE_DONE

    @property
    def cannot_be(self) -> str:
        """Why there is no such cell, or ''."""
        if self.boundary.startswith("join"):
            if self.broker == "redis":
                return "one script commits the last header and enqueues the join"
            if self.tool != "book":
                return "no call is under way at the join: one tool stands for all"
        return ""


ALL = [Cell(*words) for words in itertools.product(BOUNDARIES, WHOM, BROKERS, EFFECTS)]
CELLS = [cell for cell in ALL if not cell.cannot_be]
NOTES = {
    "committed": "on RabbitMQ before the acknowledgement; on Redis there is none, the commit enqueued what comes next"
}


def pairwise(cells: Sequence[Cell]) -> list[Cell]:
    """Few cells in which every pair of values meets that meets at all: greedily the one with most new pairs."""
    left = {pair for cell in cells for pair in _pairs(cell)}
    chosen: list[Cell] = []
    while left:
        best = max(cells, key=lambda cell: len(left & _pairs(cell)))
        chosen.append(best)
        left -= _pairs(best)
    return sorted(chosen, key=lambda cell: (cell.broker, cell.whom, BOUNDARIES.index(cell.boundary)))


def _pairs(cell: Cell) -> set[tuple[str, str]]:
    return set(itertools.combinations((cell.boundary, cell.whom, cell.broker, cell.tool), 2))


@dataclass
class Theatre:
    """A stage with a fault server whose process outlives every worker."""

    stage: Stage
    app: Orchestrator
    faults: FaultServer
    armed: Path

    def worker(self, cell: Cell) -> None:
        """Have a living worker of the cell's pool."""
        if not any(process.poll() is None for process in self.stage.workers):
            self.another(cell)

    def another(self, cell: Cell) -> None:
        """Have one worker more."""
        pool = cell.stage[1]
        self.stage.worker("--pool", pool, "--concurrency", "4" if pool == "prefork" else "20")

    def end_all(self) -> None:
        """Tell all workers to stop, and wait until they have ended what they do."""
        alive = [process for process in self.stage.workers if process.poll() is None]
        for process in alive:
            process.terminate()
        for process in alive:
            process.wait(60)

    def play(self, cell: Cell, item: str) -> None:
        """Kill in this cell, and check all that must be true afterwards.

        Raises:
            AssertionError: something was lost, doubled, wrongly in doubt, or left behind.
        """
        self.worker(cell)
        outside = cell.boundary in {SENT, EFFECT_DONE}
        if outside:
            self.faults.fail(cell.tool, HalfOpen(after_effect=cell.boundary == EFFECT_DONE), match={"item": item})
        else:
            self.arm(cell.boundary, "process" if cell.whom == "prefork child" else "group", signal.SIGKILL)
        job = self.app.submit({"tool": cell.tool, "item": item}, workflow="struck")
        if outside:
            arrived = (
                self.faults.effects if cell.boundary == EFFECT_DONE and cell.tool != "search" else self.faults.attempts
            )
            wait_until(lambda: of(arrived(cell.tool), item), f"{cell}: the call has arrived")
            self.kill(cell)
        else:
            wait_until(self.reached, f"{cell}: the boundary is reached")
        if cell.whom != "prefork child":
            wait_until(lambda: all(process.poll() is not None for process in self.stage.workers), f"{cell}: it is dead")
            self.worker(cell)
        if cell.in_doubt:
            self.answer(cell, job, item)
        self.check(cell, job, item)

    def arm(self, boundary: str, whom: str, number: signal.Signals) -> None:
        """Let the next worker that reaches this boundary send itself ("process"), or its group, this signal."""
        for before in self.reached():
            before.unlink()
        text = self.armed.with_suffix(".written")
        text.write_text(f"{boundary}:{whom}:{number.value}")
        text.rename(self.armed)  # whole, whoever looks

    def reached(self) -> list[Path]:
        """Empty until somebody has reached the boundary; then one file, its name ends with who: `-<process id>`."""
        return list(self.armed.parent.glob(f"{self.armed.name}.by-*"))

    def kill(self, cell: Cell) -> None:
        """Kill who makes the call, from outside."""
        pid = int(Path(f"{self.armed}.calls").read_text())
        os.kill(pid, signal.SIGKILL) if cell.whom == "prefork child" else os.killpg(os.getpgid(pid), signal.SIGKILL)

    def answer(self, cell: Cell, job: Job, item: str) -> None:
        """As a person who looks into the ledger would."""
        wait_until(lambda: job.status == "waiting", f"{cell}: the job waits for a person")
        assert [question.kind for question in job.questions] == ["in_doubt"], cell
        assert {step.name: step.state for step in job.steps}["beside"] == "succeeded", (
            "what does not depend on it goes on"
        )
        done = of(self.faults.effects(cell.tool), item)
        result = {"result": {"tool": cell.tool, "item": item, "key": done[0].key}} if done else {}
        job.answer({job.questions[0].id: {"happened": bool(done), **result}})

    def check(self, cell: Cell, job: Job, item: str) -> None:
        """Nothing lost, nothing doubled, nothing in doubt that need not be, nothing left behind."""
        said = job.result(120)
        assert set(said) == {"victim", "beside"}, cell
        once = 0 if cell.tool == "search" else 1
        assert len(of(self.faults.effects(), item)) == once, cell
        assert len(of(self.faults.effects("book"), f"{item}-beside")) == 1, cell
        kinds = [(event.type, event.step) for event in job.events()]
        assert [kinds.count(("succeeded", name)) for name in ("victim", "beside", "join")] == [1, 1, 1], cell
        assert kinds.count(("question", "victim")) == cell.in_doubt, cell
        assert job.spend.steps.spent == 3, cell
        assert all(line.reserved == 0 for line in job.spend.lines.values()), cell
        sent = len(of(self.faults.attempts(), item)) + len(of(self.faults.attempts("book"), f"{item}-beside"))
        sent += sum(str(one.arguments["key"]).startswith(job.id) for one in self.faults.attempts("find_payment"))
        may_have_been_sent = 2  # one of each step that was on record when its worker died
        assert sent <= job.spend.tool_calls.spent <= sent + may_have_been_sent, cell


def of(recorded: Iterable[Recorded], item: str) -> list[Recorded]:
    """Those of one item."""
    return [one for one in recorded if one.arguments.get("item") == item]
