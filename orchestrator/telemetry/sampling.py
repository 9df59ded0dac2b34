"""Which jobs are traced as a whole: their ids say so, so that every process decides alike and nobody is told.

Of the rest a worker keeps the attempts in which something goes wrong: their spans are recorded, and held until the
attempt has ended (`Held`).
"""

import secrets
from collections import deque
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import uuid_utils
from opentelemetry import trace
from opentelemetry.trace import StatusCode

from orchestrator.telemetry import names
from orchestrator.telemetry.names import Outcome

if TYPE_CHECKING:
    from opentelemetry.sdk.trace import ReadableSpan

DRAWN = 1 << 32
"""Of a UUID of version 7 the last 32 bits are drawn anew for each; those before them count within a millisecond."""
MOST_HELD = 128
"""Spans that are held of one attempt, the newest; children end before what they are in, so these make a tree."""
WRONG = frozenset({str(Outcome.FAILED), str(Outcome.RETRY), str(Outcome.CANCELLED)})


def sampled(trace_id: int, share: float) -> bool:
    """Whether the job of this id is traced as a whole."""
    return trace_id % DRAWN >= _first(share)


def new_job(share: float) -> str:
    """A new job's id. Where the span that we are called in is sampled, the job is, too."""
    job_id, around = uuid_utils.uuid7().hex, trace.get_current_span().get_span_context()
    if share > 0 and around.trace_flags.sampled and not sampled(int(job_id, 16), share):
        job_id = f"{job_id[:24]}{_first(share) + secrets.randbelow(DRAWN - _first(share)):08x}"
    return job_id


def _first(share: float) -> int:
    """The first of the numbers that are sampled."""
    return min(round((1 - share) * DRAWN), DRAWN - 1) if share > 0 else DRAWN


class Held:
    """The ended spans of one attempt, and of what is in it, until it is known whether something went wrong."""

    __slots__ = ("_first", "_over", "_spans", "_wrong")

    def __init__(self, first: int) -> None:
        """`first`: the id of the span that all others are in."""
        self._first, self._wrong, self._over = first, False, False
        self._spans: deque[ReadableSpan] = deque(maxlen=MOST_HELD)

    def ended(self, span: "ReadableSpan", span_id: int) -> Sequence["ReadableSpan"]:
        """Take a span; answers what is to be kept, once that is known."""
        self._wrong = self._wrong or _wrong(span)
        self._spans.append(span)
        self._over = self._over or span_id == self._first
        if not self._over:
            return ()
        spans, self._spans = self._spans, deque[Any](maxlen=MOST_HELD)
        return tuple(spans) if self._wrong else ()


def _wrong(span: "ReadableSpan") -> bool:
    """Whether it says that something failed, was cancelled or is tried again."""
    return span.status.status_code is StatusCode.ERROR or (span.attributes or {}).get(names.OUTCOME) in WRONG
