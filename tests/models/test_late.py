"""A model that does not answer in time: the only tests that wait for a limit, on a worker whose limit is short."""

import pytest

from orchestrator.telemetry import names
from tests.models.conftest import Scripted, chat
from tests.support.waiting import wait_until
from tools.testing.model import Says, answers

pytestmark = pytest.mark.xdist_group("models")
SETTINGS = {"model_timeout_s": 2.0}
LATE = Says("too late", after_s=600)
OSLO = {"city": "Oslo", "nights": 2}


def test_a_slow_model_is_given_up_and_its_reservation_counts_as_spent(play: Scripted) -> None:
    play.first.says(LATE)
    play.second.says(Says("suite"))
    job = play.submit("thrifty")
    assert job.result(30) == {"said": "suite"}
    assert (len(play.first.requests), len(play.second.requests), job.steps[0].attempts) == (1, 1, 1)
    assert 50 < job.spend.tokens.spent < 1_500
    assert job.spend.tokens.reserved == 0
    wait_until(lambda: play.first.abandoned == 1, "the model hears that nobody waits any more")


def test_where_all_models_are_slow_the_step_comes_back(play: Scripted) -> None:
    play.first.says(LATE, answers(**OSLO))
    play.second.says(LATE)
    job = play.submit("agent")
    assert job.result(30) == OSLO
    assert (len(play.first.requests), len(play.second.requests), job.steps[0].attempts) == (2, 1, 2)
    (call,) = job.calls
    assert (call["state"], call["sends"], call["out"]["model"]) == ("done", "3", f"{play.first.url}#first")
    assert (job.spend.tokens.spent > 50, job.spend.tokens.reserved) == (True, 0)
    first = chat(job, 0, of=2)
    failed = [event for event in first["events"] if event["name"] == names.Happening.MODEL_FAILED]
    assert (len(failed), first["attributes"][names.OUTCOME]) == (2, names.Outcome.RETRY)
