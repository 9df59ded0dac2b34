"""Where spans go: to the record of their job, and to a collector (`otlp.py`). Secrets are taken out first."""

import json
import time
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final, Protocol

from opentelemetry.sdk.trace import Event, ReadableSpan
from opentelemetry.sdk.util.instrumentation import InstrumentationScope
from opentelemetry.trace import SpanContext, TraceFlags, format_span_id, format_trace_id
from pydantic_core import PydanticSerializationError, to_json

from orchestrator.telemetry import names
from orchestrator.telemetry.batches import Batches, Export
from orchestrator.telemetry.redaction import redact, redact_text
from orchestrator.telemetry.spans import root_of

if TYPE_CHECKING:
    from orchestrator.telemetry.setup import SpanSink

OTLP_PAUSE_S = 10.0
EXCEPTION: Final = "exception"
PARTS: Final = (
    *("name", "context", "parent", "resource", "attributes", "events", "links", "kind", "status"),
    *("start_time", "end_time", "instrumentation_scope"),
)
"""What a span that has ended is made of."""
VERSION_BITS, JOB_VERSION, NO_JOB_VERSION = 0xF << 76, 0x7 << 76, 0x4 << 76
"""Where a UUID says its version: 7 in a job, and 4 in traces of no job, so that their ids tell them apart."""


class Source(Protocol):
    """Where the spans come from."""

    def untold(self, span: ReadableSpan) -> Iterator[ReadableSpan]:
        """The open spans around one, each once: kept with it as they stand, it has its place whatever happens."""
        ...

    def send(self, span: ReadableSpan) -> None:
        """Let one more be carried to all destinations."""
        ...


def destinations(
    service: str, otlp_endpoint: str, sink: "SpanSink | None", source: Source
) -> tuple[Batches[ReadableSpan], ...]:
    """Where this process sends its spans; each with a queue of its own, so that one cannot hold up the other."""
    kept = (Batches("the job store", into(sink, service, source), pause_s=0.0),) if sink is not None else ()
    if not otlp_endpoint:
        return kept
    from orchestrator.telemetry import otlp  # noqa: PLC0415 - the exporter costs 60 ms: only for those who export

    return (*kept, Batches(f"OTLP {otlp_endpoint}", otlp.to(otlp_endpoint, service), pause_s=OTLP_PAUSE_S))


def into(sink: "SpanSink", service: str, source: Source) -> Export[ReadableSpan]:
    """Export to the records of the spans' jobs; spans that belong to no job are not kept.

    The first to keep spans of a job that is not sampled makes its root as well, which its submitter has dropped.
    """

    def export(spans: Sequence[ReadableSpan]) -> None:
        rows: dict[str, list[bytes]] = {}
        rootless = set[str]()
        for span in spans:
            context = context_of(span)
            if of_a_job(context.trace_id):
                job_id = format_trace_id(context.trace_id)
                rows.setdefault(job_id, []).extend(row(one, service) for one in (*source.untold(span), span))
                if not context.trace_flags.sampled:
                    rootless.add(job_id)
        if rows:
            sink.append(rows)
        for found in sink.rootless(rootless) if rootless else ():
            source.send(_root(*found))

    return export


def _root(job_id: str, workflow: str, tenant: str, opened_ms: int) -> ReadableSpan:
    """The root span of a job that is not sampled: the moment at which it was submitted."""
    name, attributes = root_of(job_id, workflow, tenant)
    return ReadableSpan(
        name,
        SpanContext(int(job_id, 16), int(job_id[16:], 16), is_remote=False, trace_flags=TraceFlags(TraceFlags.SAMPLED)),
        attributes={**attributes, names.PARTIAL: True},
        start_time=opened_ms * 1_000_000,
        end_time=opened_ms * 1_000_000,
        instrumentation_scope=InstrumentationScope(names.TRACER),
    )


def of_a_job(trace_id: int) -> bool:
    """Whether a trace is a job's."""
    return trace_id & VERSION_BITS == JOB_VERSION


def context_of(span: ReadableSpan) -> SpanContext:
    """Its ids; only a span that was not recorded has none."""
    assert span.context is not None
    return span.context


def attributes_of(span: ReadableSpan) -> dict[str, Any]:
    """Its attributes without secrets: what libraries record was looked at by nobody."""
    attributes = dict(span.attributes or {})
    return attributes if _ours(span) else _redacted(attributes)


def events_of(span: ReadableSpan) -> list[tuple[str, int, dict[str, Any]]]:
    """Its events without secrets: errors come with messages and tracebacks of anybody's code."""
    events = [(event.name, event.timestamp, dict(event.attributes or {})) for event in span.events]
    return [(name, at, said if _ours(span) and name != EXCEPTION else _redacted(said)) for name, at, said in events]


def _ours(span: ReadableSpan) -> bool:
    """Whether `spans.py` recorded it, which takes out secrets itself."""
    return span.instrumentation_scope is not None and span.instrumentation_scope.name == names.TRACER


def without_content(span: ReadableSpan) -> ReadableSpan:
    """A copy that does not say what was asked and answered."""

    def kept(attributes: Mapping[str, Any] | None) -> dict[str, Any]:
        return {name: value for name, value in (attributes or {}).items() if name not in names.CONTENT}

    events = [Event(event.name, kept(event.attributes), event.timestamp) for event in span.events]
    return changed(span, attributes=kept(span.attributes), events=events)


def changed(span: ReadableSpan, **otherwise: Any) -> ReadableSpan:
    """A copy that says this otherwise."""
    return ReadableSpan(**{part: getattr(span, part) for part in PARTS} | otherwise)


def message_of(span: ReadableSpan) -> str:
    """What its status says, without secrets."""
    return redact_text(span.status.description or "")


def _redacted(attributes: Mapping[str, Any]) -> dict[str, Any]:
    return {name: redact(value, name) for name, value in attributes.items()}


def row(span: ReadableSpan, service: str) -> bytes:
    """A span as compact JSON, as the job's record keeps it and `tree.py` reads it."""
    fields: dict[str, Any] = {
        "name": span.name,
        "span_id": format_span_id(context_of(span).span_id),
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
    if not span.end_time:
        fields["open"] = True
    try:
        return to_json(fields, fallback=str)
    except PydanticSerializationError:  # half a character: what UTF-8 cannot say
        return json.dumps(fields, separators=(",", ":"), default=str).encode()
