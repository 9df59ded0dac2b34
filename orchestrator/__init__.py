"""Decides and remembers: submit, route, plan, and the state of every job in Redis."""

from orchestrator.app import AsyncOrchestrator, Orchestrator
from orchestrator.blocking import Job
from orchestrator.budget import Budget, Spend
from orchestrator.errors import (
    BudgetExhausted,
    InvalidRequest,
    JobCancelled,
    JobFailed,
    JobNotFound,
    Overloaded,
    StoreUnavailable,
    SurefootError,
    WaitingForInput,
)
from orchestrator.job import AsyncJob
from orchestrator.plan import Plan, Step
from orchestrator.workflow import Workflow

__all__ = [
    "AsyncJob",
    "AsyncOrchestrator",
    "Budget",
    "BudgetExhausted",
    "InvalidRequest",
    "Job",
    "JobCancelled",
    "JobFailed",
    "JobNotFound",
    "Orchestrator",
    "Overloaded",
    "Plan",
    "Spend",
    "Step",
    "StoreUnavailable",
    "SurefootError",
    "WaitingForInput",
    "Workflow",
]
