"""Metrics: one table, a page, OTLP; and nothing at all where nobody looks."""

import gzip
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
from structlog.testing import capture_logs

from orchestrator.settings import load
from orchestrator.telemetry.metrics import TABLE, Metrics, Readings, start
from orchestrator.telemetry.names import QUEUE, Metric
from tests.support.waiting import wait_until


class Intake(ThreadingHTTPServer):
    """An OTLP/HTTP collector of metrics."""

    def __init__(self) -> None:
        self.got: list[tuple[str, str]] = []
        self.labels: dict[str, set[str]] = {}
        self.exemplars: set[tuple[str, str]] = set()
        intake = self

        class Answers(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["content-length"]))
                body = gzip.decompress(body) if self.headers.get("content-encoding") == "gzip" else body
                if self.path != "/v1/metrics":
                    self.send_response(200)
                    self.end_headers()
                    return
                for resource in ExportMetricsServiceRequest.FromString(body).resource_metrics:
                    for metric in (metric for scope in resource.scope_metrics for metric in scope.metrics):
                        intake.take(metric)
                self.send_response(200)
                self.end_headers()

            def log_request(self, code: int | str = "-", size: int | str = "-") -> None:
                pass

        super().__init__(("127.0.0.1", 0), Answers)

    def take(self, metric: Any) -> None:
        self.got.append(("/v1/metrics", metric.name))
        for point in getattr(metric, metric.WhichOneof("data")).data_points:
            self.labels.setdefault(metric.name, set()).update(label.key for label in point.attributes)
            self.exemplars.update((metric.name, one.trace_id.hex()) for one in getattr(point, "exemplars", ()))


@pytest.fixture
def intake() -> Iterator[Intake]:
    server = Intake()
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield server
    server.shutdown()
    server.server_close()


def test_every_metric_is_declared_once() -> None:
    assert set(TABLE) == set(Metric)
    assert all(what.says and what.unit for what in TABLE.values())


def test_where_nobody_looks_nothing_is_loaded() -> None:
    program = (
        "import sys; from orchestrator.settings import load; from orchestrator.telemetry import metrics\n"
        "m = metrics.start(load(), 'x'); m.add(metrics.Metric.SWEEPS); m.record(metrics.Metric.SWEEP_DURATION, 1)\n"
        "m.watch(metrics.Metric.LEASES, look=lambda: 1 / 0); assert m.page() == b''; m.stop()\n"
        "print([name for name in ('orchestrator.telemetry.metering', 'prometheus_client') if name in sys.modules])"
    )
    env = {name: value for name, value in os.environ.items() if not name.startswith("SUREFOOT_")}
    done = subprocess.run([sys.executable, "-c", program], env=env, capture_output=True, text=True, check=False)
    assert done.stdout.strip() == "[]", done.stderr


def test_the_page_shows_what_was_counted_and_gauges_as_they_are_now() -> None:
    metrics = start(load(metrics_port=9_464), "surefoot-test")
    depths = {"a": 3.0, "b": 1.0}

    def look() -> Readings:
        return {Metric.QUEUE_DEPTH: [(depth, {QUEUE: queue}) for queue, depth in depths.items()]}

    metrics.watch(Metric.QUEUE_DEPTH, Metric.LEASES, look=look)
    metrics.add(Metric.REDRIVES, 2)
    metrics.record(Metric.SWEEP_DURATION, 0.003)
    assert "surefoot_redrives_total 2.0\n" in metrics.page().decode()
    assert 'surefoot_sweep_duration_seconds_bucket{le="0.005"} 1.0\n' in metrics.page().decode()
    assert 'surefoot_queue_depth{surefoot_queue="b"} 1.0\n' in metrics.page().decode()
    assert "surefoot_leases" not in metrics.page().decode(), "what is not known is not shown"
    del depths["b"]
    wait_until(lambda: b'surefoot_queue="b"' not in metrics.page(), "a queue that is gone is not shown")
    metrics.stop()
    metrics.stop()


def test_metrics_go_to_the_collector_that_spans_go_to(intake: Intake) -> None:
    for ending in ("", "/", "/v1/traces"):
        metrics = start(load(otlp_endpoint=f"http://127.0.0.1:{intake.server_port}{ending}"), "surefoot-test")
        metrics.add(Metric.SWEEPS)
        metrics.stop()
        assert intake.got.pop() == ("/v1/metrics", Metric.SWEEPS)


def test_a_forked_child_does_not_export_its_parents_numbers(intake: Intake) -> None:
    metrics = start(load(otlp_endpoint=f"http://127.0.0.1:{intake.server_port}"), "surefoot-test")
    metrics.add(Metric.SWEEPS)
    child = os.fork()
    if not child:
        metrics.stop()
        os._exit(0)
    os.waitpid(child, 0)
    assert intake.got == []
    metrics.stop()
    assert intake.got == [("/v1/metrics", Metric.SWEEPS)]


def test_a_collector_that_is_down_holds_nobody_up() -> None:
    metrics = start(load(otlp_endpoint="http://127.0.0.1:1"), "surefoot-test")
    metrics.add(Metric.SWEEPS)
    ended = threading.Thread(target=metrics.stop, daemon=True)
    ended.start()
    ended.join(60)
    assert not ended.is_alive()
    assert isinstance(metrics, Metrics)


def test_where_spans_go_by_grpc_it_is_said_that_metrics_do_not() -> None:
    with capture_logs() as lines:
        start(load(otlp_endpoint="grpc://there:4317"), "test").stop()
        start(load(otlp_endpoint="http://127.0.0.1:9"), "test")
    (line,) = lines
    assert (line["log_level"], line["endpoint"]) == ("warning", "grpc://there:4317")
    assert "metrics are not sent" in line["event"]
    assert "SUREFOOT_METRICS_PORT" in line["remedy"]
