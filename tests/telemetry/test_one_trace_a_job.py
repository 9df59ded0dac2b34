"""The trace of a job: its id, its one root, what hangs where, and where it is sent."""

import asyncio
import sys
from collections.abc import Callable
from contextlib import AbstractContextManager

import pytest
from opentelemetry import trace
from opentelemetry.sdk.trace import TracerProvider

from orchestrator.settings import InvalidSettings, Settings, load
from orchestrator.telemetry import Spans, Telemetry, names, start, traceparent
from orchestrator.telemetry.names import Happening, Kind, Outcome, Stage
from tests.telemetry.collecting import Collector, Memory, collector, grpc_collector, new_job, recording
from tools import telemetry as tool_server


def a_job(telemetry: Telemetry, job_id: str) -> None:
    with telemetry.spans.open_job(job_id, "trip", tenant="acme"), telemetry.spans.stage(Stage.ANSWER, job_id):
        pass
    with telemetry.spans.step(job_id, "flights", "flights", number=1, total=2, attempt=1, fence="17") as step:
        with telemetry.spans.tool(job_id, "flights.search", {"origin": "JFK"}, key=f"{job_id}.flights.1") as call:
            call.answer({"offers": []})
        step.end_as(Outcome.SUCCEEDED)


def test_the_trace_id_is_the_job_id_and_there_is_one_root() -> None:
    with recording() as (telemetry, memory):
        job_id = new_job()
        a_job(telemetry, job_id)
        assert telemetry.flush()
        assert list(memory.jobs) == [job_id]
        roots = [span for span in memory.spans(job_id).values() if not span["parent_id"]]
        assert [(root["name"], root["span_id"]) for root in roots] == [("invoke_workflow trip", job_id[16:])]
        assert roots[0]["attributes"][names.TENANT] == "acme"


def test_each_span_hangs_under_what_led_to_it() -> None:
    with recording() as (telemetry, memory):
        job_id = new_job()
        a_job(telemetry, job_id)
        telemetry.flush()
        spans = memory.spans(job_id)
        assert spans["answer"]["parent_id"] == job_id[16:]
        assert spans["invoke_agent flights"]["parent_id"] == job_id[16:]
        assert spans["execute_tool flights.search"]["parent_id"] == spans["invoke_agent flights"]["span_id"]


def test_a_step_joins_the_trace_by_the_traceparent_of_its_message() -> None:
    with recording() as (telemetry, memory):
        job_id = new_job()
        assert traceparent(job_id) == f"00-{job_id}-{job_id[16:]}-01"
        with telemetry.spans.open_job(job_id, "trip"):
            here = trace.get_current_span().get_span_context()
            assert f"{here.span_id:016x}" == job_id[16:]
        with telemetry.spans.step(job_id, "a", "a", number=1, total=1, attempt=1):
            pass
        telemetry.flush()
        assert memory.trace(job_id).root.children[0].name == "invoke_agent a"


def test_a_span_of_the_caller_is_linked_and_does_not_become_the_parent() -> None:
    theirs = TracerProvider().get_tracer("theirs")
    with recording() as (telemetry, memory), theirs.start_as_current_span("web request") as request:
        job_id = new_job()
        with telemetry.spans.open_job(job_id, "trip"):
            pass
        telemetry.flush()
        root = memory.spans(job_id)["invoke_workflow trip"]
        context = request.get_span_context()
        assert root["parent_id"] == ""
        assert root["links"] == [f"{context.trace_id:032x}-{context.span_id:016x}"]


def test_a_discarded_root_is_never_sent() -> None:
    with recording() as (telemetry, memory):
        job_id = new_job()
        with telemetry.spans.open_job(job_id, "trip") as root:
            root.discard()
        telemetry.flush()
        assert memory.jobs == {}


def test_steps_of_many_jobs_on_one_event_loop_do_not_mix() -> None:
    with recording() as (telemetry, memory):
        jobs = [new_job() for _ in range(20)]

        async def step(job_id: str) -> None:
            with telemetry.spans.step(job_id, "a", "a", number=1, total=1, attempt=1):
                await asyncio.sleep(0)
                with telemetry.spans.tool(job_id, "t.x", {}, key="k") as call:
                    await asyncio.sleep(0)
                    call.answer("done")

        async def all_steps() -> None:
            await asyncio.gather(*map(step, jobs))

        asyncio.run(all_steps())
        telemetry.flush()
        for job_id in jobs:
            spans = memory.spans(job_id)
            assert spans["execute_tool t.x"]["parent_id"] == spans["invoke_agent a"]["span_id"]


def test_a_failed_step_says_the_kind_the_place_and_the_cause() -> None:
    with recording() as (telemetry, memory):
        job_id = new_job()
        with telemetry.spans.step(job_id, "hotels", "hotels", number=7, total=12, attempt=2, queue_wait_ms=3.5) as step:
            step.event(Happening.BUDGET_REFUSED, what="tool calls 6 of 6")
            step.fail(Kind.BUDGET, "tool calls 6 of 6")
        telemetry.flush()
        span = memory.spans(job_id)["invoke_agent hotels"]
        assert (span["status"], span["message"]) == ("error", "tool calls 6 of 6")
        found = span["attributes"]
        assert (found[names.STEP_NUMBER], found[names.STEP_TOTAL], found[names.ATTEMPT]) == (7, 12, 2)
        assert (found[names.ERROR_TYPE], found[names.OUTCOME]) == ("budget", "failed")
        assert span["events"][0]["attributes"] == {"what": "tool calls 6 of 6"}


@pytest.mark.parametrize(
    ("error", "kind", "outcome"),
    [
        (ValueError("no"), "unhandled", "failed"),
        (TimeoutError("late"), "timeout", "failed"),
        (asyncio.CancelledError(), None, "cancelled"),
    ],
)
def test_an_error_that_passes_is_recorded_and_goes_on(error: BaseException, kind: str | None, outcome: str) -> None:
    with recording() as (telemetry, memory):
        job_id = new_job()
        with pytest.raises(type(error)), telemetry.spans.step(job_id, "a", "a", number=1, total=1, attempt=1):
            raise error
        telemetry.flush()
        attributes = memory.spans(job_id)["invoke_agent a"]["attributes"]
        assert (attributes.get(names.ERROR_TYPE), attributes[names.OUTCOME]) == (kind, outcome)


def test_what_was_judged_before_is_not_judged_again_by_the_exception_that_passes() -> None:
    with recording() as (telemetry, memory):
        job_id = new_job()
        step = telemetry.spans.step(job_id, "a", "a", number=1, total=1, attempt=1)
        step.end_as(Outcome.RETRY)
        with pytest.raises(RuntimeError, match="Celery's"), step:
            raise RuntimeError("Celery's Retry")
        telemetry.flush()
        span = memory.spans(job_id)["invoke_agent a"]
        assert (span["status"], span["attributes"][names.OUTCOME]) == ("unset", "retry")


@pytest.mark.parametrize("intake", [collector, grpc_collector])
def test_an_otlp_collector_gets_the_same_trace(intake: Callable[[], AbstractContextManager[Collector]]) -> None:
    with intake() as received, recording(received.url) as (telemetry, memory):
        job_id = new_job()
        a_job(telemetry, job_id)
        with telemetry.spans.stage(Stage.RESUME, job_id) as resume:
            resume.follow(job_id, "flights", "17")
        assert telemetry.flush()
        links = {span.name: [link.span_id.hex() for link in span.links] for _, span in received.spans if span.links}
        failed = next(span for _, span in received.spans if span.name == "invoke_agent flights").span_id.hex()
        assert links == {"resume": [failed]}
        assert {span.trace_id.hex() for _, span in received.spans} == {job_id}
        assert {service for service, _ in received.spans} == {"test"}
        sent = {span.name: span.parent_span_id.hex() for _, span in received.spans}
        assert sent == {name: span["parent_id"] for name, span in memory.spans(job_id).items()}


def test_grpc_without_its_extra_and_an_address_of_no_kind_are_refused_by_name(monkeypatch: pytest.MonkeyPatch) -> None:
    for module in ("", ".trace_exporter"):
        monkeypatch.setitem(sys.modules, f"opentelemetry.exporter.otlp.proto.grpc{module}", None)
    with pytest.raises(InvalidSettings, match=r"SUREFOOT_OTLP_ENDPOINT='grpc://there:4317': .*surefoot\[otlp-grpc\]"):
        start(load(otlp_endpoint="grpc://there:4317"), "test")
    with pytest.raises(SystemExit, match=r"SUREFOOT_OTLP_ENDPOINT='grpc://there:4317': .*surefoot\[otlp-grpc\]"):
        tool_server.start("flights", "grpc://there:4317")
    with pytest.raises(InvalidSettings, match="SUREFOOT_OTLP_ENDPOINT='there:4317'"):
        load(otlp_endpoint="there:4317")
    with pytest.raises(SystemExit, match=r"'grpc://\*\*\*@there'"):
        tool_server.start("flights", "grpc://me:Zq81hunter@there")


@pytest.mark.parametrize("name", ["OTEL_EXPORTER_OTLP_ENDPOINT", "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT"])
def test_an_error_names_the_variable_that_says_an_endpoint_and_not_its_login(
    monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    monkeypatch.setitem(sys.modules, "opentelemetry.exporter.otlp.proto.grpc.trace_exporter", None)
    monkeypatch.setenv(name, "grpc://me:Zq81hunter@there:4317")
    with pytest.raises(InvalidSettings, match=rf"^{name}='grpc://\*\*\*@there:4317': .*surefoot\[otlp-grpc\]"):
        start(load(), "test")
    monkeypatch.setenv(name, "ftp://me:Zq81hunter@there:4317")
    with pytest.raises(InvalidSettings, match=rf"^{name}='ftp://\*\*\*@there:4317'"):
        load()


BASE = "OTEL_EXPORTER_OTLP_ENDPOINT"
HTTP, OWN = "http://c:4318", {"OTEL_EXPORTER_OTLP_LOGS_ENDPOINT": "http://l/x"}


@pytest.mark.parametrize(
    ("ours", "variables", "where"),
    [
        ("", {}, ("", "", "")),
        (f"{HTTP}/", {}, (f"{HTTP}/v1/traces", f"{HTTP}/v1/metrics", f"{HTTP}/v1/logs")),
        ("", {BASE: HTTP}, (f"{HTTP}/v1/traces", f"{HTTP}/v1/metrics", f"{HTTP}/v1/logs")),
        ("grpc://c:1", {BASE: HTTP}, ("grpc://c:1",) * 3),
        ("", {BASE: "http://c:1", "OTEL_EXPORTER_OTLP_PROTOCOL": "grpc"}, ("grpc://c:1",) * 3),
        ("", {BASE: "https://c:1", "OTEL_EXPORTER_OTLP_PROTOCOL": "grpc"}, ("grpcs://c:1",) * 3),
        ("grpc://c:1", OWN, ("grpc://c:1", "grpc://c:1", "http://l/x")),
        ("", OWN | {"OTEL_EXPORTER_OTLP_LOGS_PROTOCOL": "grpc"}, ("", "", "grpc://l/x")),
        ("grpc://c:1", {"OTEL_LOGS_EXPORTER": "none", "OTEL_METRICS_EXPORTER": "none"}, ("grpc://c:1", "", "")),
    ],
)
def test_opentelemetrys_own_variables_say_where_each_signal_goes(
    monkeypatch: pytest.MonkeyPatch, ours: str, variables: dict[str, str], where: tuple[str, str, str]
) -> None:
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    settings = load(otlp_endpoint=ours)
    assert (settings.otlp("traces"), settings.otlp("metrics"), settings.otlp("logs")) == where


@pytest.mark.parametrize(
    ("name", "value"), [(BASE, "c:4317"), ("OTEL_EXPORTER_OTLP_METRICS_ENDPOINT", "ftp://c"), (BASE, "http://")]
)
def test_an_endpoint_of_opentelemetrys_that_makes_no_sense_is_refused_by_name(
    monkeypatch: pytest.MonkeyPatch, name: str, value: str
) -> None:
    monkeypatch.setenv(name, value)
    with pytest.raises(InvalidSettings, match=f"{name}='{value}'"):
        load()
    monkeypatch.setenv(name, "http://c")
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_PROTOCOL", "http/json")
    with pytest.raises(InvalidSettings, match="http/json"):
        load()


def test_spans_of_no_job_are_exported_and_not_kept() -> None:
    with collector() as received, recording(received.url) as (telemetry, memory):
        traced = telemetry.provider
        assert traced is not None
        for _ in range(100):
            traced.get_tracer("mcp-python-sdk").start_span("MCP send tools/list").end()
        telemetry.flush()
        assert len(received.spans) == 100
        assert memory.jobs == {}


@pytest.mark.parametrize("settings", [load(trace=False, otlp_endpoint="http://localhost:1"), load(trace=True)])
def test_without_tracing_or_without_a_destination_nothing_is_recorded(settings: Settings) -> None:
    telemetry = start(settings, "test", Memory() if not settings.trace else None)
    assert not telemetry.spans.on
    a_job(telemetry, new_job())
    telemetry.instrument_celery()
    assert telemetry.flush()
    telemetry.stop()


def test_a_program_of_somebody_else_keeps_its_global_provider() -> None:
    before = trace.get_tracer_provider()
    with recording():
        assert trace.get_tracer_provider() is before


def test_spans_of_none_are_all_the_same_nothing() -> None:
    spans, job_id = Spans(None), new_job()
    with spans.open_job(job_id, "x") as root, spans.tool(job_id, "a.b", {}, key="k") as call:
        call.answer({})
        root.fail(Kind.UNHANDLED, "no")
    assert root is call


@pytest.mark.parametrize("content", ["redacted", "none"])
def test_what_was_asked_and_answered_is_left_out_where_none_of_it_is_wanted(content: str) -> None:
    with collector() as received, recording(received.url, content=content) as (telemetry, memory):
        job_id, spans, said = new_job(), telemetry.spans, "Zebra"
        with spans.open_job(job_id, "trip"), spans.step(job_id, "a", "a", number=1, total=1, attempt=1) as step:
            step.event(Happening.DECIDED, decision=said)
            step.asks([said])
            with spans.tool(job_id, "a.b", {"q": said}, key="k") as call:
                call.set(names.ANSWERS, said)
                call.answer({"found": said})
            with spans.model(job_id, "m", [said], max_tokens=1, key="l") as chat:
                chat.set(names.OUTPUT_MESSAGES, said)
            assert telemetry.flush()  # with the step's span as it stands
        assert telemetry.flush()
        for everything in (b"".join(memory.jobs[job_id]), received.raw):
            assert (everything.count(said.encode()) >= 7) is (content == "redacted")
            assert (everything.count(said.encode()) == 0) is (content == "none")
            assert all(word in everything for word in (b"execute_tool a.b", b"chat m", b"surefoot.asked", b"questions"))
