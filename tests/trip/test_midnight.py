"""Midnight passes between a job's submission and its steps: what was accepted stays accepted."""

from datetime import timedelta
from typing import Any

import pytest
from pydantic import ValidationError

from orchestrator import intake
from orchestrator.workflow import catalogue
from workers.specialist import specialists
from workers.trip import request
from workers.trip.request import FARTHEST_DAYS, TripRequest

TODAY = request.today()
LAST_MINUTE, FAR_AHEAD = TODAY, TODAY + timedelta(days=FARTHEST_DAYS)
PERFORMING = sorted(name for name, one in specialists.items() if one.profile.request is TripRequest)


def accepted(start: Any) -> dict[str, Any]:
    fields = {"origin": "NYC", "destination": "DEN", "start_date": str(start), "nights": 3, "travellers": 2}
    taken = intake.take(catalogue.workflow("trip"), fields, 200_000)
    assert taken.model is not None, taken.questions
    return taken.fields


@pytest.mark.parametrize(("start", "days"), [(LAST_MINUTE, 1), (LAST_MINUTE, 400), (FAR_AHEAD, -1)])
def test_workers_read_what_the_intake_accepted_on_another_day(
    monkeypatch: pytest.MonkeyPatch, start: Any, days: int
) -> None:
    stored = accepted(start)
    monkeypatch.setattr(request, "today", lambda: TODAY + timedelta(days=days))

    assert len(PERFORMING) >= 4
    for name in PERFORMING:
        assert specialists[name].parse(stored).start_date == start
    asked = intake.take(catalogue.workflow("trip"), stored, 200_000).questions
    assert [question.field for question in asked] == ["start_date"], "a new submission is asked again"


def test_workers_still_refuse_another_shape() -> None:
    stored = accepted(LAST_MINUTE)
    for wrong in ({**stored, "nights": "many"}, {**stored, "colour": "red"}, {"origin": "NYC"}):
        with pytest.raises(ValidationError):
            specialists[PERFORMING[0]].parse(wrong)
