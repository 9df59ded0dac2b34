"""A router whose decider asks for as few tokens as it needs."""

from typing import Literal

from pydantic import BaseModel

from orchestrator import Workflow
from orchestrator.patterns import Router, Routing, Situation
from tests.patterns.flows import Wish


class One(BaseModel):
    """The part that a request is about."""

    route: Literal["air", "sky", "bed"]


async def one_by_model(situation: Situation) -> Routing:
    assert situation.step is not None
    asked = f"air is about flights, sky about weather, bed about hotels. Which is this about? {situation.request.text}"
    return Routing.to((await situation.step.generate(asked, output=One)).route)


Workflow("one-by-model", request=Wish, plan=Router(["air", "sky", "bed"], decide=one_by_model, fallback="bed"))
