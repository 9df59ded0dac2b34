"""The spans of jobs, kept in Redis for `surefoot trace`: packed, as they make up most of what tracing writes there."""

import re
import zlib
from collections.abc import Iterable, Mapping

from orchestrator.state.client import SyncClient, without_loop
from orchestrator.state.scripts import Scripts

SPAN_ID = re.compile(rb'"span_id":"([0-9a-f]{16})"')
MOST_PACKS = 20_000
"""A job's trace keeps its newest packs of spans."""
FASTEST = 1
"""The level of compression: a higher one costs several times as much and saves a tenth."""


class SpanStore:
    """Appends spans; called from the exporter's thread."""

    def __init__(self, client: SyncClient, retention_s: int) -> None:
        self._scripts, self._retention_s = Scripts(client), retention_s

    def append(self, spans: Mapping[str, list[bytes]]) -> None:
        """Add spans, each a JSON object, to their jobs' traces. Repeating it may keep a span twice."""
        packs = [word for job_id, rows in spans.items() for word in (job_id, pack(rows))]
        without_loop(self._scripts.run("keep", self._retention_s, MOST_PACKS, *packs))

    def rootless(self, jobs: Iterable[str]) -> list[tuple[str, str, str, int]]:
        """Which of these jobs need a root span, each told once: with workflow, tenant and when it was submitted, ms."""
        _, *rows = without_loop(self._scripts.run("root", *jobs))
        return [(job.decode(), workflow.decode(), tenant.decode(), int(at)) for job, workflow, tenant, at in rows]


def pack(rows: Iterable[bytes]) -> bytes:
    """Spans as one text, compressed."""
    return zlib.compress(b"\n".join(rows), FASTEST)


def unpack(packs: Iterable[bytes]) -> list[bytes]:
    """The spans of these packs, and those that were kept one by one before there were packs; of each its last row.

    A span that was still open when something in it was kept has a row of then, and one of its end.
    """
    rows: dict[bytes, bytes] = {}
    for one in packs:
        for row in (one if one.startswith(b"{") else zlib.decompress(one)).split(b"\n"):
            found = SPAN_ID.search(row)
            rows[found[1] if found else row] = row
    return list(rows.values())
