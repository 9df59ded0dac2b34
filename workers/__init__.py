"""Executes steps: the Celery app, the step pipeline, the sweeper, and the specialists of the travel planner."""

from workers import deciding
from workers.context import StepContext
from workers.specialist import specialist

__all__ = ["StepContext", "specialist"]
_ = deciding  # makes the deciding steps of patterns known
