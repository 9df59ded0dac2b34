"""Exports spans by OTLP, by the SDK's own exporter."""

import logging
import os
from collections.abc import Callable, Sequence
from functools import cache

from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import Event, ReadableSpan
from opentelemetry.sdk.trace.export import SpanExporter, SpanExportResult
from opentelemetry.trace import Status

from orchestrator.settings import InvalidSettings
from orchestrator.telemetry import names
from orchestrator.telemetry.batches import THREAD, Export
from orchestrator.telemetry.export import attributes_of, events_of, message_of

TIMEOUT_S = 2.0


def to(endpoint: str, service: str) -> Export:
    """Export by OTLP; headers and certificates come from OpenTelemetry's own variables.

    Raises:
        InvalidSettings: gRPC is asked for, and what it needs is not installed.
    """
    # made by the thread that exports: gRPC's own threads do not survive the fork of a worker's children
    exporter = cache(_grpc(endpoint) if endpoint.startswith("grpc") else _http(endpoint))
    resource = Resource.create({names.SERVICE: service, names.SERVICE_INSTANCE: f"{os.uname().nodename}-{os.getpid()}"})

    def export(spans: Sequence[ReadableSpan]) -> None:
        if exporter().export([_redacted(span, resource) for span in spans]) is not SpanExportResult.SUCCESS:
            raise ConnectionError("the collector did not accept the spans")

    return export


def _http(endpoint: str) -> Callable[[], SpanExporter]:
    from opentelemetry.exporter.otlp.proto.http import trace_exporter as http  # noqa: PLC0415 - one of two is loaded

    logging.getLogger(http.__name__).addFilter(_not_ours)
    url = endpoint if endpoint.endswith("/v1/traces") else f"{endpoint.rstrip('/')}/v1/traces"
    return lambda: http.OTLPSpanExporter(endpoint=url, timeout=TIMEOUT_S)


def _grpc(endpoint: str) -> Callable[[], SpanExporter]:
    """`grpc://host:4317`, in the clear, or `grpcs://host:4317`."""
    try:
        from opentelemetry.exporter.otlp.proto.grpc import trace_exporter as grpc  # noqa: PLC0415 - an extra
    except ImportError:
        what = "OTLP over gRPC is not installed: pip install 'surefoot[otlp-grpc]', or name an http:// endpoint"
        raise InvalidSettings(f"SUREFOOT_OTLP_ENDPOINT={endpoint!r}: {what}") from None
    logging.getLogger(f"{grpc.__name__.rpartition('.')[0]}.exporter").addFilter(_not_ours)
    scheme, _, address = endpoint.partition("://")
    return lambda: grpc.OTLPSpanExporter(endpoint=address, insecure=scheme == "grpc", timeout=TIMEOUT_S)


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
