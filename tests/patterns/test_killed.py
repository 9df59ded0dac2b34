"""Nothing of a pattern lives outside of the job's record: killed workers change no decision, and none is made twice."""

from collections import Counter
from pathlib import Path

from tests.patterns.conftest import FLOWS
from tests.support.stage import Stage, stage
from tests.support.waiting import wait_until


def decisions(played: Stage) -> Counter[str]:
    notes = played.folder / "decisions"
    return Counter(notes.read_text().split("\n")[:-1]) if notes.exists() else Counter()


def test_a_supervisor_survives_its_workers_and_no_round_is_decided_again(tmp_path: Path) -> None:
    with stage(tmp_path, workflows=FLOWS) as played:
        __import__(FLOWS)
        first = played.worker()
        job = played.app.submit({"rounds": 5}, workflow="supervised-gated")
        wait_until(lambda: any(step.name == "gate" and step.state == "running" for step in job.steps), "round 2 works")
        assert decisions(played) == {"gated 1": 1, "gated 2": 1}
        played.kill(first)
        played.open_gate()
        second = played.worker()
        wait_until(lambda: len(job.steps) > 2 * 3 or job.status.final, "round 4 is planned")
        played.kill(second)  # wherever it is by then
        played.worker()

        assert job.result(60)["result"] == 5
        made = decisions(played)
        assert {made[f"gated {n}"] for n in (1, 2, 3)} == {1}, "what was committed is not asked again"
        assert set(made) == {f"gated {n}" for n in range(1, 7)}
        rounds = [step.output["round"] for step in job.steps if step.specialist == "supervisor"]
        assert sorted(rounds) == list(range(1, 7)), "each round is on record once"
