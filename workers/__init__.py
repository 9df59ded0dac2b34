"""Executes steps: the Celery app, the step pipeline, the sweeper, and the specialists of the travel planner."""

from workers.context import StepContext
from workers.specialist import specialist

__all__ = ["StepContext", "specialist"]
