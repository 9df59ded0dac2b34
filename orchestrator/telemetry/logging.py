"""Log lines: for people on a console, as JSON otherwise; with job, step and attempt; never with a secret.

Everything goes through the standard library's root logger, so Celery's, uvicorn's and the MCP SDK's lines look alike.
"""

import atexit
import logging
import sys
import threading
import time
from collections.abc import Mapping, MutableMapping
from typing import TYPE_CHECKING, Any, TextIO

import structlog
from opentelemetry import trace
from structlog.stdlib import ProcessorFormatter

from orchestrator.settings import Settings
from orchestrator.telemetry.plain import plain
from orchestrator.telemetry.redaction import know, redact, redact_end

if TYPE_CHECKING:
    from structlog.types import Processor

    from orchestrator.telemetry.batches import Batches

STOP_PATIENCE_S = 2.0
QUIET = ("httpx2", "httpcore2", "mcp", "opentelemetry", "asyncio", "celery.worker.strategy", "celery.app.trace")
"""Libraries that say on INFO what our own lines already say."""


def configure(settings: Settings, service: str, stream: TextIO | None = None) -> None:
    """Send all log lines of this process to `stream` (standard error). Repeating it replaces what was set before."""
    know(settings.given)
    out: TextIO = stream or sys.stderr
    watched = settings.log_format == "console" or (settings.log_format == "auto" and out.isatty())
    shared: list[Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.stdlib.add_logger_name,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        _Service(service),
        _add_span,
    ]
    structlog.configure(
        processors=[structlog.stdlib.filter_by_level, *shared, ProcessorFormatter.wrap_for_formatter],
        wrapper_class=structlog.stdlib.BoundLogger,
        logger_factory=structlog.stdlib.LoggerFactory(),
        cache_logger_on_first_use=False,
    )
    shown: list[Processor] = [_plain, structlog.dev.ConsoleRenderer(colors=out.isatty())] if watched else [_json]
    if endpoint := settings.otlp("logs"):
        shown.insert(0, _Sent(endpoint, service))
    sink = logging.StreamHandler(out)
    sink.setFormatter(
        ProcessorFormatter(
            foreign_pre_chain=[*shared, structlog.stdlib.ExtraAdder()],
            processors=[
                ProcessorFormatter.remove_processors_meta,
                structlog.processors.format_exc_info,
                _redact,
                *shown,
            ],
        )
    )
    _take_over(logging.getLogger(), sink, settings.log_level)


def bind(**fields: str | int) -> None:
    """Put `job=`, `step=`, `attempt=` on every line that is written from now on in this context: in this task."""
    structlog.contextvars.bind_contextvars(**fields)


def _take_over(root: logging.Logger, sink: logging.Handler, level: str) -> None:
    for old in list(root.handlers):
        root.removeHandler(old)
    root.addHandler(sink)
    root.setLevel(level)
    for name in QUIET:
        logging.getLogger(name).setLevel("DEBUG" if level == "DEBUG" else "WARNING")
    for name in ("uvicorn", "uvicorn.access", "uvicorn.error", "celery", "celery.task", "flower", "mcp", "httpx2"):
        logger = logging.getLogger(name)
        logger.propagate = True
        logger.handlers.clear()
        if name not in QUIET:
            logger.setLevel(logging.NOTSET)


class _Sent:
    """Sends each line by OTLP as well, but for those that tell of sending."""

    def __init__(self, endpoint: str, service: str) -> None:
        from orchestrator.telemetry import batches, lines  # noqa: PLC0415 - the SDK costs 50 ms: only for those who export

        stop()
        self._ours = batches.THREAD
        self._batches = lines.batches(endpoint, service)
        _sending.append(self._batches)

    def __call__(self, _logger: Any, _method: str, line: MutableMapping[str, Any]) -> Mapping[str, Any]:
        if not threading.current_thread().name.startswith(self._ours):
            self._batches.add((time.time_ns(), dict(line)))
        return line


_sending: "list[Batches[Any]]" = []


def stop(timeout_s: float = STOP_PATIENCE_S) -> None:
    """Send the last lines, if any are sent. Repeating it is harmless."""
    while _sending:
        _sending.pop().stop(timeout_s)


atexit.register(stop)


class _Service:
    """Says which part of Surefoot writes."""

    def __init__(self, service: str) -> None:
        self._service = service

    def __call__(self, _logger: Any, _method: str, line: MutableMapping[str, Any]) -> Mapping[str, Any]:
        line.setdefault("service", self._service)
        return line


def _add_span(_logger: Any, _method: str, line: MutableMapping[str, Any]) -> Mapping[str, Any]:
    """The trace's id is the job's; both names are given, as log stores look for `trace_id`."""
    span = trace.get_current_span().get_span_context()
    if span.is_valid:
        line.setdefault("trace_id", f"{span.trace_id:032x}")
        line.setdefault("span_id", f"{span.span_id:016x}")
    elif "job" in line:
        line.setdefault("trace_id", line["job"])
    return line


def _redact(_logger: Any, _method: str, line: MutableMapping[str, Any]) -> Mapping[str, Any]:
    trace_back = line.get("exception")
    if isinstance(trace_back, str):
        line["exception"] = redact_end(trace_back)  # what is raised stands at the end
    return {name: redact(value, name) for name, value in line.items()}


def _plain(_logger: Any, _method: str, line: MutableMapping[str, Any]) -> Mapping[str, Any]:
    """What a terminal would obey is not written to it."""
    return {name: plain(value) if isinstance(value, str) else value for name, value in line.items()}


_render = structlog.processors.JSONRenderer(ensure_ascii=False)


def _json(logger: Any, method: str, line: MutableMapping[str, Any]) -> str | bytes:
    return _render(logger, method, line)
