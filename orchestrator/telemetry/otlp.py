"""Exports by OTLP, with the SDK's own exporters: spans, log lines, metrics; over HTTP, and over gRPC with the extra."""

import logging
import os
from collections.abc import Callable, Mapping, Sequence
from functools import cache
from importlib import import_module
from typing import Any, Final

from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import Event, ReadableSpan
from opentelemetry.trace import Status

from orchestrator.settings import InvalidSettings, Signal, Standard, shown
from orchestrator.telemetry import names
from orchestrator.telemetry.batches import THREAD, Export
from orchestrator.telemetry.export import attributes_of, changed, events_of, message_of

TIMEOUT_S = 2.0
EXPORTERS: Final[Mapping[Signal, tuple[str, str]]] = {
    "traces": ("trace_exporter", "OTLPSpanExporter"),
    "metrics": ("metric_exporter", "OTLPMetricExporter"),
    "logs": ("_log_exporter", "OTLPLogExporter"),
}
METRICS_THREAD = "OtelPeriodicExportingMetricReader"
"""The SDK's own thread that sends metrics."""


def to(endpoint: str, service: str) -> Export[ReadableSpan]:
    """Export spans by OTLP.

    Raises:
        InvalidSettings: gRPC is asked for, and what it needs is not installed.
    """
    export, of = sending("traces", endpoint), resource(service)
    return lambda spans: export([_redacted(span, of()) for span in spans])


def sending(signal: Signal, endpoint: str) -> Callable[[Sequence[Any]], None]:
    """Export batches of a signal; one that the collector does not take is an error."""
    make = exporter(signal, endpoint)

    @cache
    def of_process(_pid: int) -> Any:
        """Made by the thread that exports, in each process: no connection, nor thread of gRPC's, survives a fork."""
        return make()

    def export(batch: Sequence[Any]) -> None:
        if of_process(os.getpid()).export(batch).name != "SUCCESS":
            raise ConnectionError("the collector did not accept them")

    return export


def exporter(signal: Signal, endpoint: str) -> Callable[[], Any]:
    """What makes the exporter to an HTTP intake's full URL, or to `grpc://host:port`, in the clear, or `grpcs://`.

    Headers, certificates and compression come from OpenTelemetry's own variables.

    Raises:
        InvalidSettings: gRPC is asked for, and what it needs is not installed.
    """
    module, kind = EXPORTERS[signal]
    scheme, _, address = endpoint.partition("://")
    if scheme not in {"grpc", "grpcs"}:
        over = import_module(f"opentelemetry.exporter.otlp.proto.http.{module}")
        logging.getLogger(over.__name__).addFilter(_not_ours)
        return lambda: getattr(over, kind)(endpoint=endpoint, timeout=TIMEOUT_S)
    try:
        over = import_module(f"opentelemetry.exporter.otlp.proto.grpc.{module}")
    except ImportError:
        said = f"{Standard().source(signal, endpoint)}={shown(endpoint)}"
        what = "OTLP over gRPC is not installed: pip install 'surefoot[otlp-grpc]', or send it over HTTP"
        raise InvalidSettings(f"{said}: {what}") from None
    logging.getLogger("opentelemetry.exporter.otlp.proto.grpc.exporter").addFilter(_not_ours)
    return lambda: getattr(over, kind)(endpoint=address, insecure=scheme == "grpc", timeout=TIMEOUT_S)


def resource(service: str) -> Callable[[], Resource]:
    """What a process says of itself; to be asked in the process. The SDK looks around at once: at its end it cannot."""
    shared = Resource.create({names.SERVICE: service})

    @cache
    def of_process(pid: int) -> Resource:
        return shared.merge(Resource({names.SERVICE_INSTANCE: f"{os.uname().nodename}-{pid}"}))

    return lambda: of_process(os.getpid())


def sound(text: str) -> str:
    """The text as UTF-8 can say it: half a character would cost its whole batch."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return text.encode(errors="replace").decode()
    return text


def _sound(attributes: Mapping[str, Any]) -> dict[str, Any]:
    return {name: sound(value) if isinstance(value, str) else value for name, value in attributes.items()}


def _not_ours(record: logging.LogRecord) -> bool:
    """The exporters' own lines, several for each failed batch: `Batches` and `metering` say it once."""
    return not (record.threadName or "").startswith((THREAD, METRICS_THREAD))


def _redacted(span: ReadableSpan, resource: Resource) -> ReadableSpan:
    """A copy without secrets, of this process."""
    code, message = span.status.status_code, sound(message_of(span))
    return changed(
        span,
        name=sound(span.name),
        resource=resource,
        attributes=_sound(attributes_of(span)),
        events=[Event(name, _sound(said), at) for name, at, said in events_of(span)],
        status=Status(code, message) if message else Status(code),
    )
