"""Two places for spans to go: a sink in memory, and an OTLP collector that decodes what a real one would."""

import gzip
import json
import threading
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import grpc
import uuid_utils
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest, ExportLogsServiceResponse
from opentelemetry.proto.collector.logs.v1.logs_service_pb2_grpc import (
    LogsServiceServicer,
    add_LogsServiceServicer_to_server,
)
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import (
    ExportMetricsServiceRequest,
    ExportMetricsServiceResponse,
)
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2_grpc import (
    MetricsServiceServicer,
    add_MetricsServiceServicer_to_server,
)
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import (
    ExportTraceServiceRequest,
    ExportTraceServiceResponse,
)
from opentelemetry.proto.collector.trace.v1.trace_service_pb2_grpc import (
    TraceServiceServicer,
    add_TraceServiceServicer_to_server,
)

from orchestrator.settings import load
from orchestrator.telemetry import Telemetry, start
from orchestrator.telemetry.tree import Trace


class Memory:
    """Keeps the rows of each job."""

    def __init__(self) -> None:
        self.jobs: dict[str, list[bytes]] = {}
        self.rooted = set[str]()

    def rootless(self, jobs: Iterable[str]) -> list[tuple[str, str, str, int]]:
        told = [(job_id, "trip", "acme", int(job_id[:12], 16)) for job_id in jobs if job_id not in self.rooted]
        self.rooted.update(jobs)
        return told

    def append(self, spans: Mapping[str, list[bytes]]) -> None:
        for job_id, rows in spans.items():
            self.jobs.setdefault(job_id, []).extend(rows)

    def spans(self, job_id: str) -> dict[str, dict[str, Any]]:
        """By name."""
        return {span["name"]: span for span in map(json.loads, self.jobs.get(job_id, []))}

    def trace(self, job_id: str) -> Trace:
        trace = Trace.read(self.jobs[job_id])
        assert trace is not None
        return trace


class Collector:
    """What arrived: (service, span), (service, scope, log record) and metrics; and the whole of it as bytes.

    Attributes:
        labels: of each metric; `exemplars`: (metric, trace).
    """

    def __init__(self, url: str) -> None:
        self.url = url
        self.spans: list[tuple[str, Any]] = []
        self.lines: list[tuple[str, str, Any]] = []
        self.metrics: list[Any] = []
        self.raw = b""

    def take(self, request: Any) -> None:
        self.raw += request.SerializeToString()
        for resource in getattr(request, "resource_spans", ()):
            self.spans += [(_service(resource), span) for scope in resource.scope_spans for span in scope.spans]
        for resource in getattr(request, "resource_logs", ()):
            for scope in resource.scope_logs:
                self.lines += [(_service(resource), scope.scope.name, line) for line in scope.log_records]
        for resource in getattr(request, "resource_metrics", ()):
            self.metrics += [metric for scope in resource.scope_metrics for metric in scope.metrics]

    @property
    def labels(self) -> dict[str, set[str]]:
        found: dict[str, set[str]] = {}
        for metric, point in self._points():
            found.setdefault(metric, set()).update(label.key for label in point.attributes)
        return found

    @property
    def exemplars(self) -> set[tuple[str, str]]:
        return {
            (metric, one.trace_id.hex()) for metric, point in self._points() for one in getattr(point, "exemplars", ())
        }

    def _points(self) -> Iterator[tuple[str, Any]]:
        for metric in list(self.metrics):
            for point in getattr(metric, metric.WhichOneof("data")).data_points:
                yield metric.name, point


def _service(resource: Any) -> str:
    return next(a.value.string_value for a in resource.resource.attributes if a.key == "service.name")


REQUESTS = {
    "/v1/traces": ExportTraceServiceRequest,
    "/v1/metrics": ExportMetricsServiceRequest,
    "/v1/logs": ExportLogsServiceRequest,
}


@contextmanager
def intake(take: Callable[[str, bytes], None]) -> Generator[str]:
    """An OTLP/HTTP intake on a free port that hands on, with its path, whatever comes; its URL."""

    class Intake(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["content-length"]))
            take(self.path, gzip.decompress(body) if self.headers.get("content-encoding") == "gzip" else body)
            self.send_response(200)
            self.send_header("content-length", "0")
            self.end_headers()

        def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the base class's name
            pass

    with serving(Intake) as url:
        yield url


@contextmanager
def collector() -> Generator[Collector]:
    """An OTLP/HTTP intake on a free port."""
    with intake(lambda path, body: received.take(REQUESTS[path].FromString(body))) as url:
        received = Collector(url)
        yield received


@contextmanager
def serving(answers: type[BaseHTTPRequestHandler]) -> Generator[str]:
    """An HTTP server on a free port."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), answers)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


@contextmanager
def grpc_collector() -> Generator[Collector]:
    """An OTLP/gRPC intake on a free port."""

    class Spans(TraceServiceServicer):
        def Export(self, request: Any, context: object) -> ExportTraceServiceResponse:  # noqa: N802
            received.take(request)
            return ExportTraceServiceResponse()

    class Metrics(MetricsServiceServicer):
        def Export(self, request: Any, context: object) -> ExportMetricsServiceResponse:  # noqa: N802
            received.take(request)
            return ExportMetricsServiceResponse()

    class Logs(LogsServiceServicer):
        def Export(self, request: Any, context: object) -> ExportLogsServiceResponse:  # noqa: N802
            received.take(request)
            return ExportLogsServiceResponse()

    server = grpc.server(ThreadPoolExecutor(4))
    add_TraceServiceServicer_to_server(Spans(), server)
    add_MetricsServiceServicer_to_server(Metrics(), server)
    add_LogsServiceServicer_to_server(Logs(), server)
    received = Collector(f"grpc://127.0.0.1:{server.add_insecure_port('127.0.0.1:0')}")
    server.start()
    try:
        yield received
    finally:
        server.stop(None).wait()


COLLECTORS: Mapping[str, Callable[[], AbstractContextManager[Collector]]] = {
    "http": collector,
    "grpc": grpc_collector,
}


@contextmanager
def recording(
    otlp: str = "", sink: Memory | None = None, content: str = "redacted"
) -> Generator[tuple[Telemetry, Memory]]:
    """Telemetry of a client process, into memory."""
    memory = sink or Memory()
    telemetry = start(load(trace=True, otlp_endpoint=otlp, trace_content=content), "test", memory)
    try:
        yield telemetry, memory
    finally:
        telemetry.stop()


def new_job() -> str:
    return uuid_utils.uuid7().hex
