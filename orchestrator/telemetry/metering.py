"""Metrics by OpenTelemetry's SDK: a page for Prometheus, and OTLP where an endpoint is set."""

import os
from collections.abc import Callable, Iterable
from typing import Any

import structlog
from opentelemetry.exporter.otlp.proto.http.metric_exporter import OTLPMetricExporter
from opentelemetry.exporter.prometheus import PrometheusMetricReader
from opentelemetry.metrics import CallbackOptions, Observation
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import MetricExportResult, MetricsData, PeriodicExportingMetricReader
from opentelemetry.sdk.resources import Resource
from prometheus_client import CollectorRegistry
from prometheus_client.exposition import generate_latest

from orchestrator.telemetry import names
from orchestrator.telemetry.metrics import TABLE, Labels
from orchestrator.telemetry.names import Metric

OTLP_TIMEOUT_S = 2.0
REMEDY = "name an http:// endpoint in SUREFOOT_OTLP_ENDPOINT, or set SUREFOOT_METRICS_PORT"
log = structlog.get_logger(__name__)


class Meters:
    """The instruments of a process, as the table declares them."""

    def __init__(self, service: str, otlp_endpoint: str) -> None:
        self._registry = CollectorRegistry()
        readers: list[Any] = [PrometheusMetricReader(scope_info_enabled=False, registry=self._registry)]
        if otlp_endpoint.startswith("http"):
            readers.append(PeriodicExportingMetricReader(_Exporter(_url(otlp_endpoint), timeout=OTLP_TIMEOUT_S)))
        elif otlp_endpoint:
            log.warning("metrics are not sent: by gRPC go spans only", endpoint=otlp_endpoint, remedy=REMEDY)
        resource = Resource.create(
            {names.SERVICE: service, names.SERVICE_INSTANCE: f"{os.uname().nodename}-{os.getpid()}"}
        )
        self._provider: MeterProvider | None = MeterProvider(readers, resource, shutdown_on_exit=False)
        self._meter = self._provider.get_meter(names.TRACER)
        self.instruments: dict[Metric, Any] = {}
        for metric, what in TABLE.items():
            if what.kind == "counter":
                self.instruments[metric] = self._meter.create_counter(metric, what.unit, what.says)
            elif what.kind == "histogram":
                self.instruments[metric] = self._meter.create_histogram(
                    metric, what.unit, what.says, explicit_bucket_boundaries_advisory=what.bounds
                )

    def observe(self, metric: Metric, read: Callable[[Metric], Iterable[tuple[float, Labels]]]) -> None:
        """Let a gauge or total be read when it is wanted."""

        def observed(_options: CallbackOptions) -> list[Observation]:
            return [Observation(value, labels) for value, labels in read(metric)]

        what = TABLE[metric]
        gauge, total = self._meter.create_observable_gauge, self._meter.create_observable_counter
        create = gauge if what.kind == "gauge" else total
        self.instruments[metric] = create(metric, [observed], what.unit, what.says)

    def page(self) -> bytes:
        """Prometheus's text."""
        return generate_latest(self._registry)

    def stop(self, timeout_s: float) -> None:
        """Send the last values."""
        if self._provider is not None:
            self._provider.shutdown(timeout_s * 1000)
            self._provider = None


class _Exporter(OTLPMetricExporter):
    """A forked child inherits the numbers of its parent, and the thread that exports them: the parent does already."""

    def __init__(self, endpoint: str, timeout: float) -> None:
        super().__init__(endpoint=endpoint, timeout=timeout)
        self._owner = os.getpid()

    def export(
        self, metrics_data: MetricsData, timeout_millis: float | None = 10_000, **kwargs: Any
    ) -> MetricExportResult:
        """Send, if it is ours."""
        if os.getpid() != self._owner:
            return MetricExportResult.SUCCESS
        return super().export(metrics_data, timeout_millis, **kwargs)


def _url(endpoint: str) -> str:
    """Where metrics go when spans go to `endpoint`."""
    return f"{endpoint.removesuffix('/v1/traces').rstrip('/')}/v1/metrics"
