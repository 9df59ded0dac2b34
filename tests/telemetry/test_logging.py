"""Log lines: JSON where nobody watches, with job and step, from every library, and without secrets."""

import io
import json
import logging
import subprocess
import sys
import time
from collections.abc import Iterator
from typing import Any
from weakref import WeakSet

import pytest
import structlog

from orchestrator.settings import load
from orchestrator.telemetry import batches, names
from orchestrator.telemetry.batches import ROOM, lost
from orchestrator.telemetry.logging import bind, configure, stop
from orchestrator.telemetry.redaction import CUT_AT
from tests.telemetry.collecting import COLLECTORS, new_job, recording

SECRET = "Zq81hunter2hunter2"


@pytest.fixture
def lines() -> Iterator[io.StringIO]:
    """What is logged in JSON; the root logger is given back as it was."""
    root = logging.getLogger()
    before, level = list(root.handlers), root.level
    stream = io.StringIO()
    configure(load(log_format="json", log_level="INFO"), "worker", stream)
    yield stream
    root.handlers[:] = before
    root.setLevel(level)
    structlog.reset_defaults()
    structlog.contextvars.clear_contextvars()


def written(stream: io.StringIO) -> list[dict[str, Any]]:
    return [json.loads(line) for line in stream.getvalue().splitlines()]


def test_a_line_says_what_when_where_and_of_which_job(lines: io.StringIO) -> None:
    bind(job="0199f2b4c1d27a10b0c1d2e3f4a5b6c7", step="flights", attempt=2)
    structlog.get_logger("workers.run").info("step starts", queue="flights")
    (line,) = written(lines)
    assert line.pop("timestamp")
    assert line == {
        "event": "step starts",
        "level": "info",
        "logger": "workers.run",
        "service": "worker",
        "queue": "flights",
        "job": "0199f2b4c1d27a10b0c1d2e3f4a5b6c7",
        "trace_id": "0199f2b4c1d27a10b0c1d2e3f4a5b6c7",
        "step": "flights",
        "attempt": 2,
    }


def test_the_standard_librarys_lines_look_the_same(lines: io.StringIO) -> None:
    bind(job="j", step="s", attempt=1)
    logging.getLogger("celery.worker").warning("lost %s", "a broker", extra={"tries": 3})
    (line,) = written(lines)
    assert (line["event"], line["level"], line["job"], line["tries"]) == ("lost a broker", "warning", "j", 3)


def test_a_line_inside_a_span_names_it(lines: io.StringIO) -> None:
    with recording() as (telemetry, _):
        job_id = new_job()
        with telemetry.spans.open_job(job_id, "trip"):
            structlog.get_logger().info("here")
    assert (written(lines)[0]["trace_id"], written(lines)[0]["span_id"]) == (job_id, job_id[16:])


def test_no_line_holds_a_secret(lines: io.StringIO) -> None:
    log = structlog.get_logger("x")
    log.info(
        "sent", line=f"Bearer {SECRET}", headers={"Authorization": SECRET}, api_key=SECRET, url=f"redis://:{SECRET}@h"
    )
    logging.getLogger("y").error("password=%s", SECRET, extra={"token": SECRET})
    try:
        int(f"401: api_key={SECRET}")
    except ValueError:
        log.exception("failed")
        logging.getLogger("z").exception("failed, too")
    assert len(written(lines)) == 4
    assert SECRET not in lines.getvalue()
    assert "api_key=[redacted]" in written(lines)[2]["exception"]


def test_the_end_of_a_long_trace_back_is_kept(lines: io.StringIO) -> None:
    def dive(depth: int) -> None:
        if depth == 0:
            raise ValueError(f"password={SECRET} {'x' * (CUT_AT - 40)} at the bottom")  # the cut falls into the secret
        if depth % 2:  # two lines in turn, so that no frames are folded into one
            dive(depth - 1)
        dive(depth - 1)

    try:
        dive(60)
    except ValueError:
        structlog.get_logger().exception("failed")
    shown = written(lines)[0]["exception"]
    assert (len(shown), shown.endswith("x at the bottom")) == (CUT_AT, True)
    assert SECRET[-8:] not in shown


def test_what_libraries_say_every_second_is_not_shown(lines: io.StringIO) -> None:
    logging.getLogger("httpx2").info("HTTP Request: POST")
    logging.getLogger("mcp.client").info("listening")
    logging.getLogger("uvicorn.error").info("started")
    assert [line["event"] for line in written(lines)] == ["started"]


def test_configuring_again_does_not_write_twice(lines: io.StringIO) -> None:
    configure(load(log_format="json"), "worker", lines)
    structlog.get_logger().info("once")
    assert len(written(lines)) == 1


def test_a_person_gets_lines_to_read(lines: io.StringIO) -> None:
    watched = io.StringIO()
    configure(load(log_format="console"), "worker", watched)
    structlog.get_logger("x").info("step starts", token=SECRET)
    assert "step starts" in watched.getvalue()
    assert "{" not in watched.getvalue()
    assert SECRET not in watched.getvalue()
    assert lines.getvalue() == ""


def test_no_line_steers_the_terminal_of_who_reads_it(lines: io.StringIO) -> None:
    watched = io.StringIO()
    configure(load(log_format="console"), "worker", watched)
    structlog.get_logger("x").info("\x1b[2Jcleared", said="\x1b]0;owned\x07\u202ecba")
    logging.getLogger("y").error("\x9b2J %s", "\x1b[1A")
    try:
        int("\x1b[2J gone")
    except ValueError:
        structlog.get_logger("x").exception("failed")
    assert not set(watched.getvalue()) & set("\x1b\x9b\x07\u202e")
    assert lines.getvalue() == ""


@pytest.mark.parametrize("protocol", COLLECTORS)
def test_lines_go_by_otlp_as_they_are_written_with_their_jobs_trace(lines: io.StringIO, protocol: str) -> None:
    job_id, half = new_job(), "\ud800"
    with COLLECTORS[protocol]() as received, recording() as (telemetry, _):
        configure(load(log_format="json", otlp_endpoint=received.url), "worker", lines)
        log = structlog.get_logger("workers.run")
        with structlog.contextvars.bound_contextvars(job=job_id, step="flights", attempt=2):
            log.info("step starts", number=7, of=12, token=SECRET, large=2**200, half=half, many=[1, {"a": half}])
            with telemetry.spans.open_job(job_id, "trip"):
                logging.getLogger("celery.worker").error("password=%s", SECRET)
            try:
                int(f"401: api_key={SECRET}")
            except ValueError:
                log.exception(half)
        log.debug("not shown")
        stop()
    in_order = sorted(received.lines, key=lambda line: line[2].time_unix_nano)  # they come by logger
    (start, said), (span, of_celery), (failed, raised) = [_read(line) for _, _, line in in_order]
    assert [scope for _, scope, _ in in_order] == ["workers.run", "celery.worker", "workers.run"]
    assert {service for service, _, _ in in_order} == {"worker"}
    assert (start.body.string_value, start.severity_text, start.trace_id.hex()) == ("step starts", "INFO", job_id)
    assert {
        name: said[name] for name in (names.JOB, names.STEP, names.ATTEMPT, names.STEP_NUMBER, names.STEP_TOTAL)
    } == {names.JOB: job_id, names.STEP: "flights", names.ATTEMPT: 2, names.STEP_NUMBER: 7, names.STEP_TOTAL: 12}
    assert (said["token"], said["half"], said["many"]) == ("[redacted]", "?", '[1, {"a": "?"}]')
    assert abs(start.time_unix_nano / 1e9 - time.time()) < 600
    assert (span.span_id.hex(), span.severity_text) == (job_id[16:], "ERROR")
    assert of_celery[names.STEP] == "flights"
    assert (failed.body.string_value, "api_key=[redacted]" in raised[names.STACK]) == ("?", True)
    assert SECRET.encode() not in received.raw
    assert [line["event"] for line in written(lines)] == ["step starts", "password=[redacted]", half]


def _read(line: Any) -> tuple[Any, dict[str, Any]]:
    return line, {a.key: getattr(a.value, a.value.WhichOneof("value")) for a in line.attributes}


FORKS = """
import os, sys
import structlog
from orchestrator.settings import Settings
from orchestrator.telemetry import logging
from orchestrator.telemetry.logging import configure, stop
configure(Settings(otlp_endpoint=sys.argv[1], log_level=sys.argv[2]), "worker")
log = structlog.get_logger("x")
log.info("parent", pid=os.getpid())
assert logging._sending[0].flush(20)  # so that it has a connection when it forks
pid = os.fork()
if pid == 0:
    log.info("child", pid=os.getpid())
    stop()
    os._exit(0)
assert os.waitpid(pid, 0)[1] == 0
log.info("last", pid=os.getpid())
# leaves without stop(): the last lines are sent at exit
"""


@pytest.mark.parametrize("protocol", COLLECTORS)
def test_a_forked_child_sends_its_own_lines_and_a_process_its_last_ones_at_exit(protocol: str) -> None:
    with COLLECTORS[protocol]() as received:
        program = [sys.executable, "-c", FORKS, received.url, "DEBUG"]  # on DEBUG each sending writes lines itself
        subprocess.run(program, check=True, timeout=60, stderr=subprocess.PIPE)
        sent = [
            (line.body.string_value, _read(line)[1].get("pid")) for _, scope, line in received.lines if scope == "x"
        ]
        assert [name for name, _ in sorted(sent)] == ["child", "last", "parent"]
        assert len({pid for _, pid in sent}) == 2
        others = {scope for _, scope, _ in received.lines} - {"x"}
        assert not any("urllib3" in scope or "opentelemetry" in scope for scope in others), others


def test_a_collector_that_takes_no_lines_costs_one_line_and_a_counter(
    lines: io.StringIO, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(batches, "_alive", alive := WeakSet[Any]())  # none of an earlier test
    configure(load(log_format="json", otlp_endpoint="http://127.0.0.1:1"), "worker", lines)
    for number in range(ROOM + 100):
        structlog.get_logger("x").info("here", number=number)
    (sending,) = alive
    stop(10)
    said = [line["event"] for line in written(lines)]
    assert said.count("here") == ROOM + 100
    (told,) = [event for event in said if event != "here"]
    assert told.startswith("log lines are being lost: OTLP http://127.0.0.1:1/v1/logs does not take them")
    assert sending.lost == ROOM + 100
    assert list(lost()) == [("log lines", "otlp", sending.lost)]
