"""The embedded server: a Valkey of our own in SUREFOOT_HOME, which lives and dies with the process that started it."""

from orchestrator.embedded.announcement import endpoint
from orchestrator.embedded.server import EmbeddedServer, EmbeddedServerError

__all__ = ["EmbeddedServer", "EmbeddedServerError", "endpoint"]
