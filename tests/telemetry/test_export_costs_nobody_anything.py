"""A destination that is down, slow or refuses: spans are lost and counted, and nothing else happens. Forks work."""

import contextlib
import logging
import multiprocessing
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Generator, Mapping
from contextlib import contextmanager
from pathlib import Path

import pytest

from orchestrator.telemetry import Telemetry
from orchestrator.telemetry.batches import ROOM
from orchestrator.telemetry.names import Happening
from tests.support.waiting import wait_until
from tests.telemetry.collecting import Memory, collector, grpc_collector, new_job, recording


def some_spans(telemetry: Telemetry, n: int, job_id: str = "") -> None:
    job_id = job_id or new_job()
    for _ in range(n):
        with telemetry.spans.step(job_id, "a", "a", number=1, total=1, attempt=1):
            pass


def closed_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return int(free.getsockname()[1])


@pytest.mark.parametrize("scheme", ["http", "grpc"])
def test_a_collector_that_is_down_costs_one_log_line_and_delays_no_one(
    caplog: pytest.LogCaptureFixture, scheme: str
) -> None:
    with recording(f"{scheme}://127.0.0.1:{closed_port()}") as (telemetry, memory):
        job_id = new_job()
        began = time.monotonic()
        some_spans(telemetry, 2_000, job_id)
        assert time.monotonic() - began < 20
        wait_until(lambda: telemetry.lost == 2_000, "all spans are counted as lost")
        wait_until(lambda: len(memory.jobs[job_id]) == 2_000, "the other destination is not held up")
        began = time.monotonic()
        some_spans(telemetry, 10)
        telemetry.stop()
        assert time.monotonic() - began < 20
    lines = [line for line in caplog.records if "spans" in line.getMessage() or "Transient" in line.getMessage()]
    assert len(lines) == 1
    assert lines[0].levelno == logging.WARNING


@contextmanager
def answering(answer: bytes | None) -> Generator[int]:
    """A server that gives each connection this answer, whatever it is asked; none: it takes them and says nothing."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        held: list[socket.socket] = []

        def serve() -> None:
            with contextlib.suppress(OSError):
                while True:
                    held.append(server.accept()[0])
                    if answer is not None:
                        held[-1].recv(65_536)
                        held[-1].sendall(answer)
                        held.pop().close()

        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        yield server.getsockname()[1]
        server.shutdown(socket.SHUT_RDWR)
        thread.join()
        for one in held:
            one.close()


@pytest.mark.parametrize("scheme", ["http", "grpc"])
@pytest.mark.parametrize(
    "answer",
    [None, b"HTTP/1.1 500 no\r\ncontent-length: 0\r\n\r\n", b"\x00\xffnonsense\r\n\r\n"],
    ids=["hangs", "answers 500", "answers nonsense"],
)
def test_a_collector_that_hangs_or_answers_nonsense_costs_a_counter_and_a_bounded_stop(
    caplog: pytest.LogCaptureFixture, scheme: str, answer: bytes | None
) -> None:
    with answering(answer) as port, recording(f"{scheme}://127.0.0.1:{port}") as (telemetry, memory):
        some_spans(telemetry, 600)
        wait_until(lambda: sum(map(len, memory.jobs.values())) == 600, "the other destination is not held up")
        began = time.monotonic()
        telemetry.stop()
        assert time.monotonic() - began < 20
        wait_until(lambda: telemetry.lost == 600, "all are counted")
    assert len([line for line in caplog.records if "are being lost" in line.getMessage()]) == 1


def test_half_a_character_costs_nobody_else_a_span() -> None:
    with collector() as received, recording(received.url) as (telemetry, _):
        job_id = new_job()
        some_spans(telemetry, 3, job_id)
        with telemetry.spans.tool(job_id, "desk.\ud800", {"a": "\ud800"}, key="k") as call:
            call.event(Happening.ASKED, prompt="\ud800")
            call.fail("rejected", "\ud800")
        assert telemetry.flush()
        assert len(received.spans) == 4
        assert telemetry.lost == 0


def test_a_sink_that_raises_loses_its_spans_and_takes_later_ones(caplog: pytest.LogCaptureFixture) -> None:
    class Broken(Memory):
        broken = True

        def append(self, spans: Mapping[str, list[bytes]]) -> None:
            if self.broken:
                raise ConnectionError("Redis is gone")
            super().append(spans)

    sink = Broken()
    with recording(sink=sink) as (telemetry, _):
        some_spans(telemetry, 3)
        assert not telemetry.flush()
        assert telemetry.lost == 3
        sink.broken = False
        some_spans(telemetry, 2)
        assert telemetry.flush()
        assert sum(map(len, sink.jobs.values())) == 2
    assert "Redis is gone" in caplog.text


def test_a_sink_that_hangs_fills_its_queue_and_no_more() -> None:
    release = threading.Event()

    class Hanging(Memory):
        def append(self, spans: Mapping[str, list[bytes]]) -> None:
            release.wait()
            super().append(spans)

    sink = Hanging()
    with recording(sink=sink) as (telemetry, _):
        some_spans(telemetry, ROOM + 2_000)
        assert telemetry.lost > 0
        began = time.monotonic()
        assert not telemetry.flush(timeout_s=0.1)
        assert time.monotonic() - began < 20
        release.set()
        assert telemetry.flush(timeout_s=30)
        assert sum(map(len, sink.jobs.values())) + telemetry.lost == ROOM + 2_000


def test_after_stop_nothing_is_taken_and_stopping_again_is_harmless() -> None:
    with recording() as (telemetry, memory):
        some_spans(telemetry, 1)
        telemetry.stop()
        telemetry.stop()
        some_spans(telemetry, 1)
        assert len(memory.jobs) == 1
        assert telemetry.lost == 1


def test_an_idle_process_has_no_thread_of_ours() -> None:
    def ours() -> set[threading.Thread]:
        return {thread for thread in threading.enumerate() if thread.name.startswith("surefoot-spans")} - before

    before: set[threading.Thread] = set()
    before = ours()  # another test's, which may end meanwhile
    with recording() as (telemetry, _):
        assert not ours()
        some_spans(telemetry, 1)
        assert len(ours()) == 1
    wait_until(lambda: not ours(), "the thread ends with stop()")


def _in_child(telemetry: Telemetry, job_id: str) -> None:
    some_spans(telemetry, 2, job_id)
    os._exit(0 if telemetry.flush() else 1)


def test_a_forked_child_sends_its_own_spans_and_not_its_parents() -> None:
    with collector() as received, recording(received.url) as (telemetry, _):
        parents, childs = new_job(), new_job()
        some_spans(telemetry, 5, parents)  # may still be queued when the child is made
        child = multiprocessing.get_context("fork").Process(target=_in_child, args=(telemetry, childs))
        child.start()
        child.join(20)
        assert child.exitcode == 0
        assert telemetry.flush()
        sent = [span.trace_id.hex() for _, span in received.spans]
        assert (sent.count(parents), sent.count(childs)) == (5, 2)


PROGRAM = """
import os, sys
from opentelemetry import trace
from orchestrator.settings import Settings
from orchestrator.telemetry import start
job_id, endpoint = sys.argv[1:]
settings = Settings(otlp_endpoint=endpoint)
parent = start(settings, "parent", own_process=True)
library = trace.get_tracer("mcp-python-sdk")
pid = os.fork()
if pid == 0:
    child = start(settings, "child", own_process=True)
    with child.spans.step(job_id, "a", "a", number=1, total=1, attempt=1):
        with library.start_as_current_span("MCP send tools/call"):
            pass
    child.stop()
    os._exit(0)
with parent.spans.open_job(job_id, "trip"):
    pass
assert os.waitpid(pid, 0)[1] == 0
# leaves without stop(): flushed at exit
"""


def test_a_process_of_ours_traces_its_libraries_also_in_a_forked_child_and_flushes_at_exit() -> None:
    with collector() as received:
        job_id = new_job()
        root = Path(__file__).parents[2]
        subprocess.run([sys.executable, "-c", PROGRAM, job_id, received.url], check=True, cwd=root, timeout=60)
        spans = {span.name: span for _, span in received.spans}
        assert set(spans) == {"invoke_workflow trip", "invoke_agent a", "MCP send tools/call"}
        assert {span.trace_id.hex() for span in spans.values()} == {job_id}
        assert spans["MCP send tools/call"].parent_span_id == spans["invoke_agent a"].span_id


SERVER = """
import sys
from tools import telemetry
stop = telemetry.start("flights", sys.argv[1])
assert sys.argv[1] or "opentelemetry.sdk" not in sys.modules
from opentelemetry import trace
tracer = trace.get_tracer("mcp-python-sdk")
for secret in ("hunter2",):
    with tracer.start_as_current_span("tools/call search") as span:
        span.set_attribute("gen_ai.tool.name", "search")
        span.set_attribute("x", secret)
        span.record_exception(ValueError(secret))
        span.set_status(trace.StatusCode.ERROR, secret)
stop()
stop()
"""


def test_a_tool_server_sends_names_and_kinds_and_nothing_said() -> None:
    with collector() as received, grpc_collector() as by_grpc:
        root = Path(__file__).parents[2]
        for endpoint in (received.url, by_grpc.url, "", f"http://127.0.0.1:{closed_port()}"):
            subprocess.run([sys.executable, "-c", SERVER, endpoint], check=True, cwd=root, timeout=30)
        for sent in (received, by_grpc):
            assert [(service, span.name) for service, span in sent.spans] == [("flights", "tools/call search")]
            assert b"hunter2" not in sent.raw
            assert not sent.spans[0][1].events


def test_a_killed_child_loses_its_own_spans_only() -> None:
    with collector() as received, recording(received.url) as (telemetry, _):
        pid = os.fork()
        if pid == 0:
            some_spans(telemetry, 1)
            signal.pause()
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)
        some_spans(telemetry, 3)
        assert telemetry.flush()
        assert len(received.spans) >= 3
