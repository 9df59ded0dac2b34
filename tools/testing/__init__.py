"""For tests of workflows: an MCP server that fails when told to, a proxy that lets any fail, a scripted model.

Each speaks real HTTP; the first two have a process of their own. The scripted model is `tools.testing.model`, which is
imported by who uses it. See docs/testing.md.
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
from tools.testing.server import FaultProxy, FaultServer

__all__ = [
    "Delay",
    "DropAnswer",
    "Duplicate",
    "DuplicateAnswer",
    "FaultProxy",
    "FaultServer",
    "HalfOpen",
    "Malformed",
    "Mix",
    "Oversized",
    "Recorded",
    "Reset",
    "Restart",
    "ServerError",
    "TooManyRequests",
    "WrongSchema",
]
