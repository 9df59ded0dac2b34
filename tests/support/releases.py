"""One workflow in two releases, as a team deploys them: TEST_RELEASE says which one this process runs."""

import os
from typing import Any, Self

from pydantic import BaseModel, Field, ValidationInfo, model_validator

from orchestrator import Plan, Step, Workflow
from orchestrator.workflow import accepted
from workers import StepContext, specialist

SECOND = os.environ.get("TEST_RELEASE") == "2"


class Parcel(BaseModel):
    """Its rule of the day differs: what the first release accepts, the second would refuse today."""

    item: str

    @model_validator(mode="after")
    def _may_be_sent(self, info: ValidationInfo) -> Self:
        if SECOND and not accepted(info):
            raise ValueError(f"no {self.item} is sent any more")
        return self


_OPTIONAL: dict[str, Any] = {} if SECOND else {"default": 0.0}


class Label(BaseModel):
    """Its field is required by the second release."""

    item: str
    weight: float = Field(**_OPTIONAL)


if not SECOND:

    @specialist("weigh", queue="parcels")
    async def weigh(step: StepContext, request: Parcel) -> dict[str, Any]:
        """Only the first release knows it; its queue is shared."""
        return {"grams": 100}


@specialist("pack", queue="parcels")
async def pack(step: StepContext, request: Parcel) -> dict[str, Any]:
    return {"packed": request.item, "release": 2 if SECOND else 1}


@specialist("label", queue="parcels")
async def label(step: StepContext, request: Label) -> dict[str, Any]:
    return {"label": request.item}


@specialist("send", queue="parcels")
async def send(step: StepContext, request: Parcel) -> dict[str, Any]:
    """Reads what another release wrote: a plain dict, so old fields are asked for with care."""
    return {name: output.get("release", "before") for name, output in sorted(step.inputs.items())}


def _plan(request: Parcel) -> Plan:
    return Plan.chain("send") if SECOND else Plan([Step("pack"), Step("send", after=["pack"])])


Workflow("parcel", request=Parcel, plan=_plan)
Workflow("labelled", request=Parcel, plan=lambda _: Plan.chain("label"))
Workflow("weighed", request=Parcel, plan=lambda _: Plan.chain("weigh", "pack"))
