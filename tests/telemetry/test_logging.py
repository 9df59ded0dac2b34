"""Log lines: JSON where nobody watches, with job and step, from every library, and without secrets."""

import io
import json
import logging
from collections.abc import Iterator
from typing import Any

import pytest
import structlog

from orchestrator.settings import load
from orchestrator.telemetry.logging import bind, configure
from tests.telemetry.collecting import new_job, recording

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
            raise ValueError("at the bottom")
        if depth % 2:  # two lines in turn, so that no frames are folded into one
            dive(depth - 1)
        dive(depth - 1)

    try:
        dive(60)
    except ValueError:
        structlog.get_logger().exception("failed")
    assert written(lines)[0]["exception"].endswith("ValueError: at the bottom")


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
