"""For tests of workflows: an MCP server that fails when told to, and a proxy that lets any MCP server fail.

Each runs in a process of its own, over real HTTP. See docs/testing.md.
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
