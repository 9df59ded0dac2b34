"""Traces and logs: one trace a job, whose id is the job's; nothing secret leaves."""

from orchestrator.telemetry.setup import SpanSink, Telemetry, start
from orchestrator.telemetry.spans import NOTHING, Span, Spans, current, traceparent, unrecorded, within

__all__ = [
    "NOTHING",
    "Span",
    "SpanSink",
    "Spans",
    "Telemetry",
    "current",
    "start",
    "traceparent",
    "unrecorded",
    "within",
]
