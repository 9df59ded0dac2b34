"""The travel planner: the reference application. Its workflow is "trip"; its specialists are ordinary ones."""

from workers.trip import booking, choosing, patterns, searching
from workers.trip.plan import workflow

__all__ = ["booking", "choosing", "patterns", "searching", "workflow"]
