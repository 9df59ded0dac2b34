"""Exports spans by OTLP, by the SDK's own exporter."""

import logging
import os
from collections.abc import Sequence

from opentelemetry.exporter.otlp.proto.http import trace_exporter
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import Event, ReadableSpan
from opentelemetry.sdk.trace.export import SpanExportResult
from opentelemetry.trace import Status

from orchestrator.telemetry import names
from orchestrator.telemetry.batches import THREAD, Export
from orchestrator.telemetry.export import attributes_of, events_of, message_of

TIMEOUT_S = 2.0


def to(endpoint: str, service: str) -> Export:
    """Export by OTLP over HTTP; headers and certificates come from OpenTelemetry's own variables."""
    url = endpoint if endpoint.endswith("/v1/traces") else f"{endpoint.rstrip('/')}/v1/traces"
    exporter = trace_exporter.OTLPSpanExporter(endpoint=url, timeout=TIMEOUT_S)
    logging.getLogger(trace_exporter.__name__).addFilter(_not_ours)
    resource = Resource.create({names.SERVICE: service, names.SERVICE_INSTANCE: f"{os.uname().nodename}-{os.getpid()}"})

    def export(spans: Sequence[ReadableSpan]) -> None:
        if exporter.export([_redacted(span, resource) for span in spans]) is not SpanExportResult.SUCCESS:
            raise ConnectionError("the collector did not accept the spans")

    return export


def _not_ours(record: logging.LogRecord) -> bool:
    """The exporter's own lines, one for each failed batch: `Batches` says it once."""
    return not (record.threadName or "").startswith(THREAD)


def _redacted(span: ReadableSpan, resource: Resource) -> ReadableSpan:
    """A copy without secrets, of this process."""
    code, message = span.status.status_code, message_of(span)
    return ReadableSpan(
        name=span.name,
        context=span.context,
        parent=span.parent,
        resource=resource,
        attributes=attributes_of(span),
        events=[Event(name, said, at) for name, at, said in events_of(span)],
        links=span.links,
        kind=span.kind,
        status=Status(code, message) if message else Status(code),
        start_time=span.start_time,
        end_time=span.end_time,
        instrumentation_scope=span.instrumentation_scope,
    )
