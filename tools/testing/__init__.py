"""For tests of workflows: an MCP server that fails when told to, a proxy that lets any fail, a scripted model.

Each speaks real HTTP; the first two have a process of their own. See docs/testing.md.
"""

from tools.testing.faults import (
    Delay,
    DropAnswer,
    Duplicate,
    DuplicateAnswer,
    HalfOpen,
    Malformed,
    Mix,
    Oversized,
    Reset,
    Restart,
    ServerError,
    TooManyRequests,
    WrongSchema,
)
from tools.testing.ledger import Recorded
from tools.testing.model import CutsOff, ModelServer, Refuses, Says, Talks, answers
from tools.testing.server import FaultProxy, FaultServer

__all__ = [
    "CutsOff",
    "Delay",
    "DropAnswer",
    "Duplicate",
    "DuplicateAnswer",
    "FaultProxy",
    "FaultServer",
    "HalfOpen",
    "Malformed",
    "Mix",
    "ModelServer",
    "Oversized",
    "Recorded",
    "Refuses",
    "Reset",
    "Restart",
    "Says",
    "ServerError",
    "Talks",
    "TooManyRequests",
    "WrongSchema",
    "answers",
]
