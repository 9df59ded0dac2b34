"""Sends log lines by OTLP, as they are written (`logging.py`): redacted, and found by their job's trace."""

import json
from collections.abc import Mapping, Sequence
from typing import Any, Final

from opentelemetry._logs import LogRecord, SeverityNumber
from opentelemetry.context import Context
from opentelemetry.sdk._logs import ReadableLogRecord
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.util.instrumentation import InstrumentationScope
from opentelemetry.trace import NonRecordingSpan, SpanContext, set_span_in_context

from orchestrator.telemetry import names
from orchestrator.telemetry.batches import Batches
from orchestrator.telemetry.export import OTLP_PAUSE_S
from orchestrator.telemetry.otlp import resource, sending, sound

Line = tuple[int, Mapping[str, Any]]
"""When it was written, ns since 1970, and its fields."""

SEVERITY: Final = {
    "debug": SeverityNumber.DEBUG,
    "info": SeverityNumber.INFO,
    "warning": SeverityNumber.WARN,
    "error": SeverityNumber.ERROR,
    "critical": SeverityNumber.FATAL,
}
ATTRIBUTES: Final = {
    "job": names.JOB,
    "step": names.STEP,
    "attempt": names.ATTEMPT,
    "outcome": names.OUTCOME,
    "number": names.STEP_NUMBER,
    "of": names.STEP_TOTAL,
    "exception": names.STACK,
}
"""Fields that are called in a record as they are in a span; all others keep their name."""
ELSEWHERE: Final = frozenset({"event", "level", "logger", "service", "timestamp", "trace_id", "span_id"})
LARGEST: Final = 2**63


def batches(endpoint: str, service: str) -> Batches[Line]:
    """What carries lines to an endpoint."""
    send, of = sending("logs", endpoint), resource(service)

    def export(lines: Sequence[Line]) -> None:
        send([_record(at_ns, fields, of()) for at_ns, fields in lines])

    return Batches(f"OTLP {endpoint}", export, pause_s=OTLP_PAUSE_S, what="log lines")


def _record(at_ns: int, fields: Mapping[str, Any], of: Resource) -> ReadableLogRecord:
    level = str(fields.get("level", "info"))
    record = LogRecord(
        timestamp=at_ns,
        observed_timestamp=at_ns,
        context=_context(fields),
        severity_text=level.upper(),
        severity_number=SEVERITY.get(level, SeverityNumber.INFO),
        body=sound(str(fields.get("event", ""))),
        attributes={
            ATTRIBUTES.get(name, sound(name)): _said(value) for name, value in fields.items() if name not in ELSEWHERE
        },
    )
    return ReadableLogRecord(record, of, InstrumentationScope(sound(str(fields.get("logger") or names.TRACER))))


def _context(fields: Mapping[str, Any]) -> Context:
    """The span that it was written in; of a line without one, its job's trace."""
    ids = SpanContext(_id(fields.get("trace_id"), 32), _id(fields.get("span_id"), 16), is_remote=False)
    return set_span_in_context(NonRecordingSpan(ids), Context())


def _id(text: Any, digits: int) -> int:
    """The number that such an id is; 0, which is none, for what is no id."""
    try:
        return int(text, 16) if isinstance(text, str) and len(text) == digits else 0
    except ValueError:
        return 0


def _said(value: Any) -> Any:
    """A value as OTLP can say it."""
    if isinstance(value, str):
        return sound(value)
    if isinstance(value, bool | float):
        return value
    if isinstance(value, int):
        return value if -LARGEST <= value < LARGEST else str(value)
    return sound(json.dumps(value, ensure_ascii=False, default=str))
