"""Where spans go: to the record of their job, and to a collector (`otlp.py`). Secrets are taken out first."""

import json
import time
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from opentelemetry.trace import format_span_id, format_trace_id
from pydantic_core import PydanticSerializationError, to_json

from orchestrator.telemetry import names
from orchestrator.telemetry.batches import Batches, Export
from orchestrator.telemetry.recording import EXCEPTION, Recording
from orchestrator.telemetry.redaction import redact, redact_text

if TYPE_CHECKING:
    from orchestrator.telemetry.setup import SpanSink

OTLP_PAUSE_S = 10.0


def destinations(service: str, otlp_endpoint: str, sink: "SpanSink | None") -> tuple[Batches, ...]:
    """Where this process sends its spans; each with a queue of its own, so that one cannot hold up the other."""
    kept = (Batches("the job store", into(sink, service), pause_s=0.0),) if sink is not None else ()
    if not otlp_endpoint:
        return kept
    from orchestrator.telemetry import otlp  # noqa: PLC0415 - the SDK costs 0.1 s: only for those who export

    return (*kept, Batches(f"OTLP {otlp_endpoint}", otlp.to(otlp_endpoint, service), pause_s=OTLP_PAUSE_S))


def into(sink: "SpanSink", service: str) -> Export:
    """Export to the records of the spans' jobs; spans that belong to no job are not kept."""

    def export(spans: Sequence[Recording]) -> None:
        rows: dict[str, list[bytes]] = {}
        for span in spans:
            if span.of_job:
                kept = rows.setdefault(format_trace_id(span.context.trace_id), [])
                kept.extend(row(one, service) for one in (*_untold(span), span))
        if rows:
            sink.append(rows)

    return export


def _untold(span: Recording) -> Iterator[Recording]:
    """The spans around it that are still open and that no row tells of yet."""
    around = span.above
    while around is not None and around.is_recording() and not around.told:
        around.told = True
        yield around
        around = around.above


def attributes_of(span: Recording) -> dict[str, Any]:
    """Its attributes without secrets: what libraries record was looked at by nobody."""
    return dict(span.attributes) if span.scope.name == names.TRACER else _redacted(dict(span.attributes))


def events_of(span: Recording) -> list[tuple[str, int, Mapping[str, Any]]]:
    """Its events without secrets: errors come with messages and tracebacks of anybody's code."""
    ours = span.scope.name == names.TRACER
    return [(name, at, said if ours and name != EXCEPTION else _redacted(said)) for name, at, said in span.events]


def message_of(span: Recording) -> str:
    """What its status says, without secrets."""
    return redact_text(span.status.description or "")


def _redacted(attributes: Mapping[str, Any]) -> dict[str, Any]:
    return {name: redact(value, name) for name, value in attributes.items()}


def row(span: Recording, service: str) -> bytes:
    """A span as compact JSON, as the job's record keeps it and `tree.py` reads it."""
    fields: dict[str, Any] = {
        "name": span.name,
        "span_id": format_span_id(span.context.span_id),
        "parent_id": format_span_id(span.parent.span_id) if span.parent is not None else "",
        "kind": span.kind.name.lower(),
        "start_ns": span.start_time,
        "end_ns": span.end_time or time.time_ns(),
        "status": span.status.status_code.name.lower(),
        "message": message_of(span),
        "attributes": attributes_of(span),
        "events": [{"name": name, "at_ns": at, "attributes": said} for name, at, said in events_of(span)],
        "links": [f"{format_trace_id(k.context.trace_id)}-{format_span_id(k.context.span_id)}" for k in span.links],
        "service": service,
    }
    if span.is_recording():
        fields["open"] = True
    try:
        return to_json(fields, fallback=str)
    except PydanticSerializationError:  # half a character: what UTF-8 cannot say
        return json.dumps(fields, separators=(",", ":"), default=str).encode()
