"""The processes of one machine: started side by side, kept running, and gone when we are."""

from orchestrator.fleet.child import Child, ChildFailed, ChildState, ChildStatus, Command
from orchestrator.fleet.fleet import Fleet, FleetError
from orchestrator.fleet.lock import HomeInUse
from orchestrator.fleet.roster import Flower, Roster

__all__ = [
    "Child",
    "ChildFailed",
    "ChildState",
    "ChildStatus",
    "Command",
    "Fleet",
    "FleetError",
    "Flower",
    "HomeInUse",
    "Roster",
]
