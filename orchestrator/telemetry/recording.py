"""Records spans: OpenTelemetry's own tracing API, and nothing that only a general SDK needs.

Every step pays for it. The SDK's spans lock, copy and check each attribute, which cost several times as much; here a
span is a few fields and a dictionary. What leaves for a collector is the SDK's again (`otlp.py`).
"""

import random
import time
import traceback
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from opentelemetry import trace
from opentelemetry.context import Context
from opentelemetry.trace import Link, NonRecordingSpan, SpanContext, SpanKind, Status, StatusCode, TraceFlags

MOST: Final = 128
"""Attributes, events and links of one span."""
VERSION_BITS, JOB_VERSION, NO_JOB_VERSION = 0xF << 76, 0x7 << 76, 0x4 << 76
"""Where a UUID says its version: 7 in a job, and 4 in traces of no job, so that their ids tell them apart."""
EXCEPTION: Final = "exception"
SAMPLED: Final = TraceFlags(TraceFlags.SAMPLED)


@dataclass(frozen=True)
class Scope:
    """Who records: a library, or we."""

    name: str
    version: str = ""
    schema_url: str = ""


def is_job(trace_id: int) -> bool:
    """Whether a trace is a job's."""
    return trace_id & VERSION_BITS == JOB_VERSION


class Recording(trace.Span):
    """A span, from its start until it is exported.

    Attributes:
        above: the span that it is a part of, where this process records that one too.
        told: it was kept while still open, so that what happened in it has its place even if this process is killed.
    """

    def __init__(self, done: "Callable[[Recording], None]", scope: Scope, name: str, context: SpanContext) -> None:
        self._done, self.scope, self.name, self.context = done, scope, name, context
        self.kind = SpanKind.INTERNAL
        self.parent: SpanContext | None = None
        self.above: Recording | None = None
        self.attributes: dict[str, Any] = {}
        self.events: list[tuple[str, int, Mapping[str, Any]]] = []
        self.links: list[Link] = []
        self.status = Status(StatusCode.UNSET)
        self.start_time, self.end_time, self.told = time.time_ns(), 0, False

    @property
    def of_job(self) -> bool:
        """Whether it belongs to a job's trace."""
        return is_job(self.context.trace_id)

    def get_span_context(self) -> SpanContext:
        """Its ids."""
        return self.context

    def is_recording(self) -> bool:
        """Whether it has not ended."""
        return not self.end_time

    def set_attribute(self, key: str, value: Any) -> None:
        """Record one attribute."""
        if not self.end_time and (len(self.attributes) < MOST or key in self.attributes):
            self.attributes[key] = value

    def set_attributes(self, attributes: Mapping[str, Any]) -> None:
        """Record several."""
        for key, value in attributes.items():
            self.set_attribute(key, value)

    def add_event(self, name: str, attributes: Mapping[str, Any] | None = None, timestamp: int | None = None) -> None:
        """Record that something happened."""
        if not self.end_time and len(self.events) < MOST:
            self.events.append((name, timestamp or time.time_ns(), attributes or {}))

    def add_link(self, context: SpanContext, attributes: Mapping[str, Any] | None = None) -> None:
        """Point to another span."""
        if not self.end_time and len(self.links) < MOST:
            self.links.append(Link(context, attributes))

    def update_name(self, name: str) -> None:
        """Call it otherwise."""
        self.name = name

    def set_status(self, status: Status | StatusCode, description: str | None = None) -> None:
        """Say how it went; once it is said to be fine it stays so."""
        said = status if isinstance(status, Status) else Status(status, description)
        if not self.end_time and self.status.status_code is not StatusCode.OK and not said.is_unset:
            self.status = said

    def record_exception(
        self,
        exception: BaseException,
        attributes: Mapping[str, Any] | None = None,
        timestamp: int | None = None,
        escaped: bool = False,
    ) -> None:
        """Record an error that passed."""
        del escaped
        kind = type(exception)
        told = {
            "exception.type": f"{'' if kind.__module__ == 'builtins' else f'{kind.__module__}.'}{kind.__qualname__}",
            "exception.message": str(exception),
            "exception.stacktrace": "".join(traceback.format_exception(exception)),
        }
        self.add_event(EXCEPTION, {**told, **(attributes or {})}, timestamp)

    def end(self, end_time: int | None = None) -> None:
        """It is over, and on its way out of the process."""
        if not self.end_time:
            self.end_time = end_time or time.time_ns()
            self._done(self)


class Recorder(trace.Tracer):
    """Starts spans: each in the trace of the span around it, which decides whether it is recorded."""

    def __init__(self, done: Callable[[Recording], None], scope: Scope) -> None:
        self._done, self._scope = done, scope

    def start_span(
        self,
        name: str,
        context: Context | None = None,
        kind: SpanKind = SpanKind.INTERNAL,
        attributes: Mapping[str, Any] | None = None,
        links: Sequence[Link] | None = (),
        start_time: int | None = None,
        record_exception: bool = True,
        set_status_on_exception: bool = True,
    ) -> trace.Span:
        """Begin a span; inside of one that is not recorded, it is not either."""
        del record_exception, set_status_on_exception
        around = trace.get_current_span(context)
        parent = around.get_span_context()
        if not parent.is_valid:
            trace_id = random.getrandbits(128) & ~VERSION_BITS | NO_JOB_VERSION
            span = self._recording(name, trace_id, random.getrandbits(64), attributes, links)
        elif parent.trace_flags.sampled:
            span = self._recording(name, parent.trace_id, random.getrandbits(64), attributes, links)
            span.parent, span.above = parent, around if isinstance(around, Recording) else None
        else:
            return NonRecordingSpan(parent)
        span.kind, span.start_time = kind, start_time or span.start_time
        return span

    def start_root(self, name: str, job_id: str, attributes: Mapping[str, Any], links: Sequence[Link]) -> Recording:
        """Begin a job's root span, whose ids are the job's."""
        return self._recording(name, int(job_id, 16), int(job_id[16:], 16), attributes, links)

    def _recording(
        self,
        name: str,
        trace_id: int,
        span_id: int,
        attributes: Mapping[str, Any] | None,
        links: Sequence[Link] | None,
    ) -> Recording:
        context = SpanContext(trace_id, span_id, is_remote=False, trace_flags=SAMPLED)
        span = Recording(self._done, self._scope, name, context)
        if attributes:
            span.attributes.update(attributes)
        if links:
            span.links.extend(links)
        return span

    def start_as_current_span(
        self,
        name: str,
        context: Context | None = None,
        kind: SpanKind = SpanKind.INTERNAL,
        attributes: Mapping[str, Any] | None = None,
        links: Sequence[Link] | None = (),
        start_time: int | None = None,
        record_exception: bool = True,
        set_status_on_exception: bool = True,
        end_on_exit: bool = True,
    ) -> Any:
        """Begin a span that is the current one until the block ends."""
        span = self.start_span(name, context, kind, attributes, links, start_time)
        return trace.use_span(span, end_on_exit, record_exception, set_status_on_exception)
