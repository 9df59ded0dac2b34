"""Exports a tool server's spans by OTLP.

What leaves is an allow-list of names, numbers and kinds of errors: no arguments, answers or messages, so no secrets.
"""

import atexit
import logging
import re
import time
from collections.abc import Callable, Sequence

from opentelemetry import trace
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExporter, SpanExportResult
from opentelemetry.trace import Status

TIMEOUT_S, PAUSE_S, EVERY_MS = 2.0, 10.0, 500
LOGIN = re.compile(r"//[^/]*@")
SHOWN = frozenset(
    {"mcp.method.name", "mcp.protocol.version", "jsonrpc.request.id", "gen_ai.operation.name", "gen_ai.tool.name"}
    | {"error.type", "rpc.response.status_code"}
)


def trace_this_process(service: str, endpoint: str) -> Callable[[], None]:
    """Make every span of this process go to the endpoint; returns how to stop.

    Raises:
        SystemExit: gRPC is asked for, and what it needs is not installed.
    """
    provider = TracerProvider(resource=Resource.create({"service.name": service}), shutdown_on_exit=False)
    provider.add_span_processor(BatchSpanProcessor(Bare(endpoint), schedule_delay_millis=EVERY_MS))
    trace.set_tracer_provider(provider)

    def stop() -> None:
        atexit.unregister(stop)
        provider.shutdown()

    atexit.register(stop)
    return stop


class Bare(SpanExporter):
    """Sends spans without what is not on the list; a collector that is down is tried again after a pause."""

    def __init__(self, endpoint: str) -> None:
        self._exporter = _exporter(endpoint)
        self._resume_at = 0.0

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        """Send a batch, or drop it while the collector is down."""
        if time.monotonic() < self._resume_at:
            return SpanExportResult.FAILURE
        result = self._exporter.export([bare(span) for span in spans])
        if result is not SpanExportResult.SUCCESS:
            self._resume_at = time.monotonic() + PAUSE_S
        return result

    def shutdown(self) -> None:
        """Close the connection."""
        self._exporter.shutdown()


def _exporter(endpoint: str) -> SpanExporter:
    """By gRPC to `grpc://` (in the clear) and `grpcs://`, for which the extra otlp-grpc is installed; else by HTTP."""
    logging.getLogger("opentelemetry.exporter").setLevel(logging.CRITICAL)  # a collector that is down is no news
    scheme, _, address = endpoint.partition("://")
    if scheme in {"grpc", "grpcs"}:
        try:
            from opentelemetry.exporter.otlp.proto.grpc import trace_exporter as grpc  # noqa: PLC0415 - an extra
        except ImportError:
            what = "OTLP over gRPC is not installed: pip install 'surefoot[otlp-grpc]', or send it over HTTP"
            raise SystemExit(f"SUREFOOT_OTLP_ENDPOINT={LOGIN.sub('//***@', repr(endpoint))}: {what}") from None
        return grpc.OTLPSpanExporter(endpoint=address, insecure=scheme == "grpc", timeout=TIMEOUT_S)
    from opentelemetry.exporter.otlp.proto.http import trace_exporter as http  # noqa: PLC0415 - one of two is loaded

    url = endpoint if endpoint.endswith("/v1/traces") else f"{endpoint.rstrip('/')}/v1/traces"
    return http.OTLPSpanExporter(endpoint=url, timeout=TIMEOUT_S)


def bare(span: ReadableSpan) -> ReadableSpan:
    """A copy with nothing but what is on the list."""
    return ReadableSpan(
        name=span.name,
        context=span.context,
        parent=span.parent,
        resource=span.resource,
        attributes={name: value for name, value in (span.attributes or {}).items() if name in SHOWN},
        kind=span.kind,
        status=Status(span.status.status_code),
        start_time=span.start_time,
        end_time=span.end_time,
        instrumentation_scope=span.instrumentation_scope,
    )
