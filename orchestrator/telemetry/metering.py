"""Metrics by OpenTelemetry's SDK: a page for Prometheus, and OTLP where an endpoint is set."""

import os
from collections.abc import Callable, Iterable
from typing import Any

import structlog
from opentelemetry.exporter.prometheus import PrometheusMetricReader
from opentelemetry.metrics import CallbackOptions, Observation
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import MetricExportResult, MetricsData, PeriodicExportingMetricReader
from prometheus_client import CollectorRegistry
from prometheus_client.exposition import generate_latest

from orchestrator.telemetry import names
from orchestrator.telemetry.metrics import TABLE, Labels
from orchestrator.telemetry.names import Metric
from orchestrator.telemetry.otlp import exporter, resource

log = structlog.get_logger(__name__)


class Meters:
    """The instruments of a process, as the table declares them."""

    def __init__(self, service: str, otlp_endpoint: str) -> None:
        self._registry = CollectorRegistry()
        readers: list[Any] = [PrometheusMetricReader(scope_info_enabled=False, registry=self._registry)]
        if otlp_endpoint:
            readers.append(_reader(otlp_endpoint))
        self._provider: MeterProvider | None = MeterProvider(readers, resource(service)(), shutdown_on_exit=False)
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


class Sending:
    """Sends metrics where an SDK's exporter would, and says once that they are not taken.

    A forked child inherits the numbers of its parent, and the thread that exports them: the parent does already.
    """

    def __init__(self, endpoint: str, send: Callable[..., MetricExportResult]) -> None:
        self._endpoint, self._send, self._owner, self._refused = endpoint, send, os.getpid(), False

    def __call__(self, metrics_data: MetricsData, *arguments: Any, **named: Any) -> MetricExportResult:
        """Send."""
        if os.getpid() != self._owner:
            return MetricExportResult.SUCCESS
        result = self._send(metrics_data, *arguments, **named)
        refused = result is not MetricExportResult.SUCCESS
        if refused != self._refused:
            log.warning("metrics are not taken" if refused else "metrics are taken again", by=self._endpoint)
        self._refused = refused
        return result


def _reader(endpoint: str) -> PeriodicExportingMetricReader:
    sends = exporter("metrics", endpoint)()
    sends.export = Sending(endpoint, sends.export)
    return PeriodicExportingMetricReader(sends)
