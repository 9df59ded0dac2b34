"""Where spans go: to the record of their job, and to an OpenTelemetry collector. Secrets are taken out first."""

import json
import logging
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, cast

from opentelemetry.sdk.trace import Event, ReadableSpan
from opentelemetry.sdk.trace.export import SpanExportResult
from opentelemetry.trace import Status, format_span_id, format_trace_id

from orchestrator.telemetry import names
from orchestrator.telemetry.batches import THREAD, Batches, Export
from orchestrator.telemetry.redaction import redact

if TYPE_CHECKING:
    from orchestrator.telemetry.setup import SpanSink

OTLP_TIMEOUT_S, OTLP_PAUSE_S = 2.0, 10.0
VERSION_DIGIT, JOB_VERSION = 12, "7"
CLEAN = frozenset({names.TOOL_ARGUMENTS, names.TOOL_RESULT})
"""Attributes that were redacted when they were recorded."""


def destinations(otlp_endpoint: str, sink: "SpanSink | None") -> tuple[Batches, ...]:
    """Where this process sends its spans; each with a queue of its own, so that one cannot hold up the other."""
    kept = (Batches("the job store", into(sink), pause_s=0.0),) if sink is not None else ()
    sent = (Batches(f"OTLP {otlp_endpoint}", otlp(otlp_endpoint), pause_s=OTLP_PAUSE_S),) if otlp_endpoint else ()
    return kept + sent


def into(sink: "SpanSink") -> Export:
    """Export to the records of the spans' jobs; spans that belong to no job are not kept."""

    def export(spans: Sequence[ReadableSpan]) -> None:
        rows: dict[str, list[bytes]] = {}
        for span in spans:
            if span.context is not None:
                rows.setdefault(format_trace_id(span.context.trace_id), []).append(row(redacted(span)))
        for trace_id, encoded in rows.items():
            if trace_id[VERSION_DIGIT] == JOB_VERSION:
                sink.append(trace_id, encoded)

    return export


def otlp(endpoint: str) -> Export:
    """Export by OTLP over HTTP; headers and certificates come from OpenTelemetry's own variables."""
    from opentelemetry.exporter.otlp.proto.http import trace_exporter  # noqa: PLC0415 - 60 ms, only for those who export

    url = endpoint if endpoint.endswith("/v1/traces") else f"{endpoint.rstrip('/')}/v1/traces"
    exporter = trace_exporter.OTLPSpanExporter(endpoint=url, timeout=OTLP_TIMEOUT_S)
    logging.getLogger(trace_exporter.__name__).addFilter(_not_ours)

    def export(spans: Sequence[ReadableSpan]) -> None:
        if exporter.export([redacted(span) for span in spans]) is not SpanExportResult.SUCCESS:
            raise ConnectionError("the collector did not accept the spans")

    return export


def _not_ours(record: logging.LogRecord) -> bool:
    """The exporter's own lines, one for each failed batch: `Batches` says it once."""
    return not (record.threadName or "").startswith(THREAD)


def redacted(span: ReadableSpan) -> ReadableSpan:
    """A copy without secrets: libraries put error messages and headers into spans that nobody looked at."""
    events = [Event(e.name, _redacted(e.attributes), e.timestamp) for e in span.events]
    status = span.status
    if status.description:
        status = Status(status.status_code, redact(status.description))
    return ReadableSpan(
        name=span.name,
        context=span.context,
        parent=span.parent,
        resource=span.resource,
        attributes=_redacted(span.attributes),
        events=events,
        links=span.links,
        kind=span.kind,
        status=status,
        start_time=span.start_time,
        end_time=span.end_time,
        instrumentation_scope=span.instrumentation_scope,
    )


def _redacted(attributes: Mapping[str, Any] | None) -> dict[str, Any]:
    return {name: value if name in CLEAN else redact(value, name) for name, value in (attributes or {}).items()}


def row(span: ReadableSpan) -> bytes:
    """A span as compact JSON, as the job's record keeps it and `tree.py` reads it."""
    assert span.context is not None
    fields: dict[str, Any] = {
        "name": span.name,
        "span_id": format_span_id(span.context.span_id),
        "parent_id": format_span_id(span.parent.span_id) if span.parent is not None else "",
        "kind": span.kind.name.lower(),
        "start_ns": span.start_time,
        "end_ns": span.end_time,
        "status": span.status.status_code.name.lower(),
        "message": span.status.description or "",
        "attributes": dict(span.attributes or {}),
        "events": [{"name": e.name, "at_ns": e.timestamp, "attributes": dict(e.attributes or {})} for e in span.events],
        "links": [f"{format_trace_id(k.context.trace_id)}-{format_span_id(k.context.span_id)}" for k in span.links],
        "service": cast("str", span.resource.attributes.get(names.SERVICE, "")),
    }
    return json.dumps(fields, separators=(",", ":"), ensure_ascii=False, default=str).encode()
