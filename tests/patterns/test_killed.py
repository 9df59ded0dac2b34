"""Nothing of a pattern lives outside of the job's record: killed workers change no decision, and none is made twice."""

import json
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from tests.patterns.conftest import FLOWS
from tests.patterns.flows import BEFORE, PLACES
from tests.support.stage import BROKERS, Stage, stage, stage_on
from tests.support.waiting import wait_until
from tools.testing.model import ModelServer, Says, answers

PLANNED = [
    {"specialist": "halt", "name": name, "arguments": {"place": place}, "after": BEFORE.get(name, [])}
    for name, place in PLACES.items()
]


def decisions(played: Stage) -> Counter[str]:
    notes = played.folder / "decisions"
    return Counter(notes.read_text().split("\n")[:-1]) if notes.exists() else Counter()


@pytest.mark.parametrize("broker", BROKERS)
def test_a_supervisor_survives_its_workers_and_no_round_is_decided_again(tmp_path: Path, broker: str) -> None:
    with stage_on(broker, tmp_path, workflows=FLOWS) as played:
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


def decides(body: Mapping[str, Any]) -> Says:
    """A model that decides for any pattern: the same steps in the same order."""
    wanted = body["tools"][0]["function"]["parameters"]["properties"]
    if "labels" in wanted:
        return answers(labels=[{"route": "way", "confidence": 1.0}])
    if "steps" in wanted:
        return answers(steps=PLANNED)
    called = str(body["messages"][-1]["content"]).count('"to":')
    calls = [{"to": step["specialist"], "arguments": step["arguments"]} for step in PLANNED]
    return answers(calls=calls[called : called + 1])


def test_all_four_survive_a_kill_between_any_two_of_their_steps_and_no_model_is_asked_again(tmp_path: Path) -> None:
    with ModelServer(otherwise=decides) as model, stage(tmp_path, workflows=FLOWS, model=f"{model.url}#m") as played:
        patterns = ("plain", "router", "planner", "supervisor")
        jobs = {name: played.app.submit({}, workflow=f"halting-{name}") for name in patterns}
        for halted, place in PLACES.items():
            worker = played.worker("--concurrency", "50")
            for name, job in jobs.items():
                wait_until(
                    lambda job=job, halted=halted: any(s.name == halted and s.state == "running" for s in job.steps),
                    f"{name} is at place {place}",
                )
            played.kill(worker)
            (tmp_path / f"pass-{place}").touch()
        played.worker("--concurrency", "50")
        for name, job in jobs.items():
            assert "halt-4" in job.result(60), name
            attempts = {step.name: step.attempts for step in job.steps}
            assert {step for step, count in attempts.items() if count > 1} == {*PLACES}, name
        asked = Counter(json.dumps(body["messages"]) for body in model.requests)
        assert set(asked.values()) == {1}, "no decision was made twice"
        assert len(asked) == 1 + 1 + 5
        spent = {name: job.spend.tokens.spent for name, job in jobs.items()}
        assert spent == {"plain": 0, "router": 50, "planner": 50, "supervisor": 250}
