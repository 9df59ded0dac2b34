"""Two places for spans to go: a sink in memory, and an OTLP collector that decodes what a real one would."""

import gzip
import json
import threading
from collections.abc import Generator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import grpc
import uuid_utils
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
    """What arrived: (service, span) pairs, and the whole of it as bytes."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.spans: list[tuple[str, Any]] = []
        self.raw = b""

    def take(self, body: bytes) -> None:
        self.raw += body
        for resource in ExportTraceServiceRequest.FromString(body).resource_spans:
            service = next(a.value.string_value for a in resource.resource.attributes if a.key == "service.name")
            for scope in resource.scope_spans:
                self.spans += [(service, span) for span in scope.spans]


@contextmanager
def collector() -> Generator[Collector]:
    """An OTLP/HTTP intake on a free port."""

    class Intake(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["content-length"]))
            body = gzip.decompress(body) if self.headers.get("content-encoding") == "gzip" else body
            assert self.path == "/v1/traces"
            received.take(body)
            self.send_response(200)
            self.send_header("content-length", "0")
            self.end_headers()

        def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the base class's name
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Intake)
    received = Collector(f"http://127.0.0.1:{server.server_port}")
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield received
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


@contextmanager
def grpc_collector() -> Generator[Collector]:
    """An OTLP/gRPC intake on a free port."""

    class Intake(TraceServiceServicer):
        def Export(self, request: ExportTraceServiceRequest, context: object) -> ExportTraceServiceResponse:  # noqa: N802
            received.take(request.SerializeToString())
            return ExportTraceServiceResponse()

    server = grpc.server(ThreadPoolExecutor(2))
    add_TraceServiceServicer_to_server(Intake(), server)
    received = Collector(f"grpc://127.0.0.1:{server.add_insecure_port('127.0.0.1:0')}")
    server.start()
    try:
        yield received
    finally:
        server.stop(None).wait()


@contextmanager
def recording(otlp: str = "", sink: Memory | None = None) -> Generator[tuple[Telemetry, Memory]]:
    """Telemetry of a client process, into memory."""
    memory = sink or Memory()
    telemetry = start(load(trace=True, otlp_endpoint=otlp), "test", memory)
    try:
        yield telemetry, memory
    finally:
        telemetry.stop()


def new_job() -> str:
    return uuid_utils.uuid7().hex
