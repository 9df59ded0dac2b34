"""The spans of jobs, kept in Redis for `surefoot trace`. Their keys have a TTL from the start: a trace is no state."""

from orchestrator.state import keys
from orchestrator.state.client import SyncClient, without_loop

MOST_SPANS = 20_000
"""A job's trace keeps its newest spans."""


class SpanStore:
    """Appends spans; called from the exporter's thread."""

    def __init__(self, client: SyncClient, retention_s: int) -> None:
        self._client, self._retention_s = client, retention_s

    def append(self, job_id: str, spans: list[bytes]) -> None:
        """Add spans, each a JSON object, to a job's trace. Repeating it after a lost answer may show a span twice."""
        key = keys.spans(job_id)
        without_loop(self._client.command("RPUSH", key, *spans))
        without_loop(self._client.command("LTRIM", key, -MOST_SPANS, -1))
        without_loop(self._client.command("EXPIRE", key, self._retention_s))
