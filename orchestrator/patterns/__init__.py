"""Four ways to write a plan: plain plans, and the three patterns here, each usable as `Workflow(plan=...)`."""

from orchestrator.patterns.deciders import by_embedding, by_rules
from orchestrator.patterns.embedding import wordllama
from orchestrator.patterns.modelled import by_model
from orchestrator.patterns.planning import Draft, PlanExecuteSolve, Planned, PlannedStep
from orchestrator.patterns.router import Label, Routed, Router, Routing
from orchestrator.patterns.situation import Call, Called, Choice, Situation
from orchestrator.patterns.supervisor import Handoff, Next, Supervised, Supervisor

KINDS = (Router.kind, PlanExecuteSolve.kind, Supervisor.kind)
"""The specialists of deciding steps; nobody else may have these names."""

__all__ = [
    "KINDS",
    "Call",
    "Called",
    "Choice",
    "Draft",
    "Handoff",
    "Label",
    "Next",
    "PlanExecuteSolve",
    "Planned",
    "PlannedStep",
    "Routed",
    "Router",
    "Routing",
    "Situation",
    "Supervised",
    "Supervisor",
    "by_embedding",
    "by_model",
    "by_rules",
    "wordllama",
]
